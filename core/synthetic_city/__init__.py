"""A city that is nowhere: made by the program from a seed, in SpaceNet 2's layout, at 0° N 0° E.

plan (streets, blocks) ▸ districts (what stands in a block) ▸ surface (what lies and rises in each pixel)
▸ camera (sun, shadows, haze, sensor) ▸ writer (tiles and labels on disk).
"""

from core.synthetic_city.writer import make_sample_city

__all__ = ["make_sample_city"]
