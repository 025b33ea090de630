"""Exports: footprints, rasters, models, datasets, reports."""
