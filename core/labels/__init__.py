"""Footprints to training labels: building mask, signed distance, boundary; and their files."""
