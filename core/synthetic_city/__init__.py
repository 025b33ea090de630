"""Synthetic sample city, generated from a random seed in the layout of SpaceNet 2, at 0° N 0° E.

plan (streets, blocks) ▸ districts (buildings, gardens, parking) ▸ surface (material, height and slope per pixel)
▸ camera (sun, shadows, haze, sensor) ▸ writer (tiles and labels on disk).
"""

from core.synthetic_city.writer import make_sample_city

__all__ = ["make_sample_city"]
