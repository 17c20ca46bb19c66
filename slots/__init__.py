"""The ten plug-in points of a competition: contracts, defaults, loader, and the views they are given."""
