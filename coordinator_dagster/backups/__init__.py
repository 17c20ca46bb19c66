"""A competition's schema into a file and back, also while it is live."""
