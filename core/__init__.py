"""Groundplan's domain: tiles, labels, training, prediction, scores. Knows nothing of the pages."""
