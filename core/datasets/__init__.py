"""Tiles to training samples: resampling, normalization, chips, spatial split."""
