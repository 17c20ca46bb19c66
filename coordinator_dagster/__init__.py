"""A coordinator for live forecasting competitions, as a Dagster code location."""
