"""What proves the contest's rules over the stored tables."""
