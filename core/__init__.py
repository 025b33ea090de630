"""Groundplan's domain: tiles, labels, training, prediction, scores. Knows nothing of the pages."""

import os

#: GDAL reads nothing but the file it is given: no side-car files, no VRT, no address on the network; and it
#: keeps 256 MB of blocks in memory, which would be a twentieth of all there is. It looks at these when it is loaded, so
#: they are set before the first import of rasterio, here and for every child process.
GDAL_GUARD = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_SKIP": "VRT OGR_VRT",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "none",
    "PROJ_NETWORK": "OFF",
    "GDAL_CACHEMAX": "256",
}
os.environ.update(GDAL_GUARD)
