"""Tile inspector, label views, tile selection, downloads."""
