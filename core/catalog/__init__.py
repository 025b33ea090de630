"""The catalog of tiles and their files."""
