"""Georeferenced input and output: rasters, vector footprints, windows, cloud-optimized GeoTIFFs, XYZ map tiles."""
