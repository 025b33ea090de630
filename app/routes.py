"""What the map fetches by URL: Leaflet itself, tile outlines, and the layers of tiles and predictions.

Callers name things by their ids only, never by a path; an id is looked up among those there are.
"""

from collections.abc import Awaitable, Callable
from math import isfinite
from pathlib import Path

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from xstatic.pkg import jquery, leaflet

from app.assets import ASSETS
from core import colours, pictures, predicted
from core.catalog.store import read_catalog
from core.errors import CatalogError, GroundplanError
from core.geojson import feature_collection
from core.grids import LONLAT
from core.labels import Labels
from core.predicted import THRESHOLD
from core.vectors import Footprints


def _answer(make: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
    """Runs in a thread, so that drawing never holds up the pages; errors become a status and a sentence."""

    async def endpoint(request: Request) -> Response:
        try:
            response = await run_in_threadpool(make, request)
        except GroundplanError as error:
            return PlainTextResponse(str(error), 404 if isinstance(error, CatalogError) else 422)
        # Addresses carry the state of their files, but for thumbnails.
        keep = 3600 if "v" in request.query_params else 30
        response.headers.setdefault("Cache-Control", f"private, max-age={keep}")
        return response

    return endpoint


def _geojson(text: bytes) -> Response:
    return Response(text, media_type="application/geo+json")


def _tiles(_request: Request) -> Response:
    tiles = read_catalog().tiles
    facts = [{"id": tile.id, "labelled": tile.is_labelled, "buildings": tile.buildings} for tile in tiles]
    response = _geojson(feature_collection(np.array([tile.footprint for tile in tiles], dtype=object), facts))
    response.headers["Cache-Control"] = "no-cache"
    return response


def _tile_layer(request: Request) -> Response:
    tile, layer = read_catalog().tile(request.path_params["tile"]), request.path_params["layer"]
    if layer not in (*pictures.LAYERS, "thumbnail"):
        return PlainTextResponse("There is no such layer.", 404)
    stretch = pictures.area_stretch(read_catalog().of_aoi(tile.aoi).tiles)
    if "pixels" in request.query_params and layer != "thumbnail":
        picture = pictures.flat(pictures.draw(tile, layer, stretch), layer in pictures.PHOTOS)
    elif layer == "thumbnail":
        picture = pictures.thumbnail(tile, stretch)
    else:
        picture = pictures.overlay(pictures.draw(tile, layer, stretch), layer in pictures.PHOTOS)
    return Response(picture.data, media_type=picture.media_type)


def _outlines(request: Request) -> Response:
    labels = Labels.of_tile(read_catalog().tile(request.path_params["tile"]))
    footprints = Footprints.of(labels.ground, labels.grid.crs).to_crs(LONLAT)
    facts = [{"words": f"{area:.0f} m²"} for area in footprints.area_m2]
    return _geojson(feature_collection(footprints.geometries, facts))


def _probability(request: Request) -> Response:
    found = predicted.find(request.path_params["run"], request.path_params["tile"])
    picture = pictures.probability_overlay(found.probability)
    return Response(picture.data, media_type=picture.media_type)


def _predicted_outlines(request: Request) -> Response:
    found = predicted.find(request.path_params["run"], request.path_params["tile"])
    stretch = pictures.area_stretch(read_catalog().of_aoi(found.tile.aoi).tiles)
    image, footprints = pictures.draw(found.tile, "image", stretch), found.footprints(_threshold(request))
    pixels = image.grid.to_pixels(footprints.geometries, footprints.crs)
    picture = pictures.flat(pictures.outlined(image, pixels, colours.PREDICTION))
    return Response(picture.data, media_type=picture.media_type)


def _verdicts(request: Request) -> Response:
    found = predicted.find(request.path_params["run"], request.path_params["tile"])
    return _geojson(found.verdicts_geojson(_threshold(request)))


def _threshold(request: Request) -> float:
    try:
        asked = float(request.query_params.get("t", THRESHOLD))
    except ValueError:
        return THRESHOLD
    return min(max(asked, 0.01), 0.99) if isfinite(asked) else THRESHOLD


def _assets(package: object) -> StaticFiles:
    return StaticFiles(directory=Path(package.BASE_DIR))  # type: ignore[attr-defined]


ROUTES: list[BaseRoute] = [
    Mount("/assets/leaflet", _assets(leaflet)),
    Mount("/assets/jquery", _assets(jquery)),
    Mount("/assets/groundplan", StaticFiles(directory=ASSETS)),
    Route("/layers/tiles.geojson", _answer(_tiles)),
    Route("/layers/tiles/{tile}/outlines.geojson", _answer(_outlines)),
    Route("/layers/tiles/{tile}/{layer}", _answer(_tile_layer)),
    Route("/layers/predictions/{run}/{tile}/probability", _answer(_probability)),
    Route("/layers/predictions/{run}/{tile}/outlines", _answer(_predicted_outlines)),
    Route("/layers/predictions/{run}/{tile}/verdicts.geojson", _answer(_verdicts)),
]
