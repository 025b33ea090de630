"""Type aliases of arrays, with axes and units."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

#: (bands, rows, cols), the raster's own dtype.
Pixels: TypeAlias = NDArray[Any]
#: (rows, cols) uint8, 0 outside and 255 inside.
Mask: TypeAlias = NDArray[np.uint8]
#: (rows, cols) float32, signed distance on the ground [m], positive inside a building.
Distance: TypeAlias = NDArray[np.float32]
#: (rows, cols) float32, 0 to 1.
Probability: TypeAlias = NDArray[np.float32]
#: (rows, cols) bool.
BoolMask: TypeAlias = NDArray[np.bool_]
#: One-dimensional object array of shapely geometries.
Geometries: TypeAlias = NDArray[np.object_]
#: (west, south, east, north).
Bounds: TypeAlias = tuple[float, float, float, float]
#: Pixels (n, rows, cols, bands), target (n, rows, cols, layers), weight (n, rows, cols), 0 without data.
Batch: TypeAlias = tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]
#: (minimum, maximum) ground sample distance [m].
GsdRange: TypeAlias = tuple[float, float]
