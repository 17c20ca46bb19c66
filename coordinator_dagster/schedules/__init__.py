"""What runs by the calendar."""
