"""Speed, measured beside a floor in the same run: `make bench NAME=replay`."""
