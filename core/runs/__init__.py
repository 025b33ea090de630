"""A run folder, which is everything that a training leaves on disk."""
