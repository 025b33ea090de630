"""Footprints and labels as files that other programs open."""
