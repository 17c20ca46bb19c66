"""What acts by itself once the daemon runs."""
