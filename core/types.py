"""Names for the arrays that travel between modules. Units and axes are part of the name's meaning."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

#: (bands, rows, columns), the raster's own dtype.
Pixels: TypeAlias = NDArray[Any]
#: (rows, columns) uint8, 0 outside and 255 inside.
Mask: TypeAlias = NDArray[np.uint8]
#: (rows, columns) float32, metres on the ground, positive inside a building.
Distance: TypeAlias = NDArray[np.float32]
#: (rows, columns) float32, 0 to 1.
Probability: TypeAlias = NDArray[np.float32]
#: (rows, columns) bool.
Where: TypeAlias = NDArray[np.bool_]
#: one-dimensional object array of shapely geometries.
Geometries: TypeAlias = NDArray[np.object_]
#: (west, south, east, north).
Bounds: TypeAlias = tuple[float, float, float, float]
#: Pixels (n, rows, columns, bands), target (n, rows, columns, layers), weight (n, rows, columns) 0 without a picture.
Batch: TypeAlias = tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]
#: (smallest, largest) ground sample distance in meters a pixel.
GsdRange: TypeAlias = tuple[float, float]
