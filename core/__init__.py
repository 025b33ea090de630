"""Groundplan without its pages: tiles, labels, training, prediction, metrics, jobs."""

import os

#: GDAL reads only the file it is given, without sidecar files, VRT or network access, and caches 256 MB of blocks
#: instead of 5 % of the memory. GDAL reads these variables when it is loaded, so they are set before the first import
#: of rasterio, here and for every child process.
GDAL_GUARD = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_SKIP": "VRT OGR_VRT",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "none",
    "PROJ_NETWORK": "OFF",
    "GDAL_CACHEMAX": "256",
}
os.environ.update(GDAL_GUARD)
