"""Exports: footprints, rasters, models, reports."""
