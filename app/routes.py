"""What the map fetches by URL: Leaflet itself, tile outlines, squares of images, layers of tiles and predictions.

Callers name things by their ids only, never by a path; an id is looked up among those there are.
"""

import re
from collections.abc import Awaitable, Callable
from math import isfinite
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from xstatic.pkg import jquery, leaflet

from app.assets import ASSETS
from core.catalog.spacenet_names import LABELS
from core.catalog.store import read_catalog
from core.catalog.tile_labels import read_tile_labels
from core.errors import CatalogError, GroundplanError, NoSuchBands
from core.evaluation.comparison import changes_geojson
from core.geo.geojson import feature_collection
from core.geo.grid import LONLAT
from core.geo.vector import Footprints
from core.inference import tile_prediction
from core.inference.tile_prediction import Predicted
from core.postprocessing.config import Shaping
from core.rendering import colors, images
from core.review.verdicts import accepted_geojson, verdicts_geojson


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
    return _geojson(read_catalog().geojson)


def _square(request: Request) -> Response:
    tile = read_catalog().tile(request.path_params["raster"])
    z, x, y = (_number(request.path_params[name]) for name in "zxy")
    bands = _bands(request)
    picture = images.square(tile, (z, x, y), images.stretch_of(tile, bands), bands)
    return Response(picture.data, media_type=picture.media_type)


def _number(text: str) -> int:
    """A whole number of at most ten digits, -1 for anything else: there is no such square."""
    return int(text) if re.fullmatch(r"[0-9]{1,10}", text, re.ASCII) else -1


def _bands(request: Request) -> images.Bands | None:
    """Three numbers with commas between, None for the image's own colours; raises NoSuchBands."""
    asked = request.query_params.get("bands")
    if asked is None:
        return None
    found = images.parse_bands(asked)
    if found is None:
        raise NoSuchBands(bands=asked[:40])
    return found


def _file(request: Request) -> Response:
    tile, product = read_catalog().tile(request.path_params["tile"]), request.path_params["product"]
    path = tile.footprints if product == LABELS else tile.products.get(product)
    if path is None or not path.is_file():
        return PlainTextResponse(f"{tile.id} has no such file on this machine.", 404)
    return FileResponse(path, filename=path.name)


def _tile_layer(request: Request) -> Response:
    tile, layer = read_catalog().tile(request.path_params["tile"]), request.path_params["layer"]
    if layer not in (*images.LAYERS, "thumbnail"):
        return PlainTextResponse("There is no such layer.", 404)
    stretch = images.stretch_of(tile)
    if "pixels" in request.query_params and layer != "thumbnail":
        picture = images.flat(images.draw(tile, layer, stretch), layer in images.PHOTOS)
    elif layer == "thumbnail":
        picture = images.thumbnail(tile, stretch)
    else:
        picture = images.overlay(images.draw(tile, layer, stretch), layer in images.PHOTOS)
    return Response(picture.data, media_type=picture.media_type)


def _outlines(request: Request) -> Response:
    labels = read_tile_labels(read_catalog().tile(request.path_params["tile"]))
    footprints = Footprints.of(labels.ground, labels.grid.crs).to_crs(LONLAT)
    facts = [{"words": f"{area:.0f} m²"} for area in footprints.area_m2]
    return _geojson(feature_collection(footprints.geometries, facts))


def _probability(request: Request) -> Response:
    found = tile_prediction.find(request.path_params["run"], request.path_params["tile"])
    picture = images.probability_overlay(found.probability)
    return Response(picture.data, media_type=picture.media_type)


def _depth(request: Request) -> Response:
    found = tile_prediction.find(request.path_params["run"], request.path_params["tile"])
    picture = images.depth_overlay(found.probability)
    return Response(picture.data, media_type=picture.media_type)


def _predicted_outlines(request: Request) -> Response:
    found = tile_prediction.find(request.path_params["run"], request.path_params["tile"])
    stretch = images.stretch_of(found.tile)
    image, footprints = images.draw(found.tile, "image", stretch), found.footprints(_shaping(request, found))
    pixels = image.grid.to_pixels(footprints.geometries, footprints.crs)
    picture = images.flat(images.outlined(image, pixels, colors.PREDICTION))
    return Response(picture.data, media_type=picture.media_type)


def _verdicts(request: Request) -> Response:
    found = tile_prediction.find(request.path_params["run"], request.path_params["tile"])
    only_errors = request.query_params.get("only") == "errors"
    return _geojson(verdicts_geojson(found, _shaping(request, found), only_errors))


def _accepted(request: Request) -> Response:
    found = tile_prediction.find(request.path_params["run"], request.path_params["tile"])
    return _geojson(accepted_geojson(found))


def _changes(request: Request) -> Response:
    names, tile = request.path_params, request.path_params["tile"]
    one, other = (tile_prediction.find(names[run], tile) for run in ("run", "other"))
    return _geojson(changes_geojson(one, other))


def _shaping(request: Request, found: Predicted) -> Shaping:
    """As the run was tuned, but for what the address says; numbers beyond what the sliders have become theirs."""
    asked = request.query_params
    switches: dict[str, Any] = {name: asked[name] == "1" for name in ("square", "judged") if name in asked}
    numbers: dict[str, Any] = {name: _within(asked.get(letter, ""), *ends) for letter, (name, ends) in _NUMBERS.items()}
    return found.tuning.shaping.changed(**numbers, **switches)


#: What an address calls the numbers of a shaping, and between what they lie.
_NUMBERS = {
    "t": ("threshold", (0.01, 0.99)), "seed": ("seed", (0.0, 10.0)), "area": ("min_area_m2", (0.0, 10_000.0)),
    "simplify": ("simplify_px", (0.0, 20.0)),
}  # fmt: skip


def _within(text: str, low: float, high: float) -> float | None:
    try:
        asked = float(text)
    except ValueError:
        return None
    return min(max(asked, low), high) if isfinite(asked) else None


def _assets(package: object) -> StaticFiles:
    return StaticFiles(directory=Path(package.BASE_DIR))  # type: ignore[attr-defined]


ROUTES: list[BaseRoute] = [
    Mount("/assets/leaflet", _assets(leaflet)),
    Mount("/assets/jquery", _assets(jquery)),
    Mount("/assets/groundplan", StaticFiles(directory=ASSETS)),
    Route("/tiles/{raster}/{z}/{x}/{y}.webp", _answer(_square)),
    Route("/files/{tile}/{product}", _answer(_file)),
    Route("/layers/tiles.geojson", _answer(_tiles)),
    Route("/layers/tiles/{tile}/outlines.geojson", _answer(_outlines)),
    Route("/layers/tiles/{tile}/{layer}", _answer(_tile_layer)),
    Route("/layers/changes/{run}/{other}/{tile}/changes.geojson", _answer(_changes)),
    Route("/layers/predictions/{run}/{tile}/probability", _answer(_probability)),
    Route("/layers/predictions/{run}/{tile}/depth", _answer(_depth)),
    Route("/layers/predictions/{run}/{tile}/outlines", _answer(_predicted_outlines)),
    Route("/layers/predictions/{run}/{tile}/verdicts.geojson", _answer(_verdicts)),
    Route("/layers/predictions/{run}/{tile}/accepted.geojson", _answer(_accepted)),
]
