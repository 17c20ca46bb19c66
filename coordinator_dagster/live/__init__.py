"""The live driver: the stages, ticking through a window in real time."""
