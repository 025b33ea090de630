"""Footprints as files that other programs open."""
