"""Probability to polygons: watershed, contours, vectorization, regularization, rescoring, thresholds."""
