"""Groundplan's domain: tiles, labels, training, prediction, scores. Knows nothing of the pages."""

import os

#: GDAL reads nothing but the file it is given: no side-car files, no VRT, no address on the network. It looks at these
#: when it is loaded, so they are set before the first import of rasterio, here and for every child process.
GDAL_GUARD = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_SKIP": "VRT OGR_VRT",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "none",
    "PROJ_NETWORK": "OFF",
}
os.environ.update(GDAL_GUARD)
