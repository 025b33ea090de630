"""URL routes of the map: Leaflet, tile outlines, XYZ tiles of images, layers of tiles and predictions.

Requests contain IDs, never paths. An ID is looked up in the catalog or among the runs.
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
from core.inference.tile_prediction import TilePrediction
from core.postprocessing.config import VectorizeConfig
from core.rendering import colors, images
from core.review.verdicts import accepted_geojson, verdicts_geojson


def _endpoint(handler: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
    """Wrap a handler: run it in a thread, so that rendering blocks no page, and turn errors into HTTP statuses."""

    async def respond(request: Request) -> Response:
        try:
            response = await run_in_threadpool(handler, request)
        except GroundplanError as error:
            return PlainTextResponse(str(error), 404 if isinstance(error, CatalogError) else 422)
        # URLs contain the version of their files (v), except those of thumbnails.
        max_age_s = 3600 if "v" in request.query_params else 30
        response.headers.setdefault("Cache-Control", f"private, max-age={max_age_s}")
        return response

    return respond


def _geojson(text: bytes) -> Response:
    return Response(text, media_type="application/geo+json")


def _xyz_tile(request: Request) -> Response:
    tile = read_catalog().tile(request.path_params["raster"])
    z, x, y = (_parse_index(request.path_params[name]) for name in "zxy")
    bands = _bands(request)
    encoded = images.xyz_image(tile, (z, x, y), images.stretch_of(tile, bands), bands)
    return Response(encoded.data, media_type=encoded.media_type)


def _parse_index(text: str) -> int:
    """Parse a tile index of at most ten digits; -1, which no tile has, for other text."""
    return int(text) if re.fullmatch(r"[0-9]{1,10}", text, re.ASCII) else -1


def _bands(request: Request) -> images.Bands | None:
    """Parse the band combination of the query, None for natural color; raises NoSuchBands."""
    text = request.query_params.get("bands")
    if text is None:
        return None
    bands = images.parse_bands(text)
    if bands is None:
        raise NoSuchBands(bands=text[:40])
    return bands


def _source_file(request: Request) -> Response:
    tile, product = read_catalog().tile(request.path_params["tile"]), request.path_params["product"]
    path = tile.footprints if product == LABELS else tile.products.get(product)
    if path is None or not path.is_file():
        return PlainTextResponse(f"{tile.id} has no such file on this server.", 404)
    return FileResponse(path, filename=path.name)


def _tile_layer(request: Request) -> Response:
    tile, layer = read_catalog().tile(request.path_params["tile"]), request.path_params["layer"]
    if layer not in (*images.LAYERS, "thumbnail"):
        return PlainTextResponse("Unknown layer.", 404)
    stretch = images.stretch_of(tile)
    if "pixels" in request.query_params and layer != "thumbnail":
        encoded = images.on_background(images.draw(tile, layer, stretch), layer in images.IMAGE_LAYERS)
    elif layer == "thumbnail":
        encoded = images.thumbnail(tile, stretch)
    else:
        encoded = images.overlay(images.draw(tile, layer, stretch), layer in images.IMAGE_LAYERS)
    return Response(encoded.data, media_type=encoded.media_type)


def _label_outlines(request: Request) -> Response:
    labels = read_tile_labels(read_catalog().tile(request.path_params["tile"]))
    footprints = Footprints.of(labels.map_footprints, labels.grid.crs).to_crs(LONLAT)
    properties = [{"words": f"{area:.0f} m²"} for area in footprints.area_m2]
    return _geojson(feature_collection(footprints.geometries, properties))


def _overlay(render: Callable[[Path], images.EncodedImage]) -> Callable[[Request], Response]:
    """Return the handler of a layer rendered from the probability raster."""

    def handle(request: Request) -> Response:
        prediction = tile_prediction.find(request.path_params["run"], request.path_params["tile"])
        encoded = render(prediction.probability)
        return Response(encoded.data, media_type=encoded.media_type)

    return handle


def _predicted_outlines(request: Request) -> Response:
    prediction = tile_prediction.find(request.path_params["run"], request.path_params["tile"])
    stretch = images.stretch_of(prediction.tile)
    image, footprints = (
        images.draw(prediction.tile, "image", stretch),
        prediction.footprints(_query_config(request, prediction)),
    )
    pixels = image.grid.to_pixels(footprints.geometries, footprints.crs)
    encoded = images.on_background(images.draw_outlines(image, pixels, colors.PREDICTION))
    return Response(encoded.data, media_type=encoded.media_type)


def _verdicts(request: Request) -> Response:
    prediction = tile_prediction.find(request.path_params["run"], request.path_params["tile"])
    only_errors = request.query_params.get("only") == "errors"
    return _geojson(verdicts_geojson(prediction, _query_config(request, prediction), only_errors))


def _accepted_footprints(request: Request) -> Response:
    prediction = tile_prediction.find(request.path_params["run"], request.path_params["tile"])
    return _geojson(accepted_geojson(prediction))


def _changes(request: Request) -> Response:
    names, tile = request.path_params, request.path_params["tile"]
    prediction_a, prediction_b = (tile_prediction.find(names[run], tile) for run in ("run", "other"))
    return _geojson(changes_geojson(prediction_a, prediction_b))


def _query_config(request: Request, prediction: TilePrediction) -> VectorizeConfig:
    """Apply the query to the run's vectorization config; numbers are clipped to valid ranges."""
    query = request.query_params
    switches: dict[str, Any] = {field: query[key] == "1" for key, field in _SWITCHES.items() if key in query}
    numbers: dict[str, Any] = {
        field: _parse_clipped(query.get(key, ""), *limits) for key, (field, limits) in _NUMBERS.items()
    }
    return prediction.thresholds.vectorize.with_changes(**numbers, **switches)


_SWITCHES = {"square": "regularize", "judged": "rescore"}
#: Query keys of the numbers of a vectorization config, with their fields and ranges.
_NUMBERS = {
    "t": ("threshold", (0.01, 0.99)), "seed": ("saddle_ratio", (0.0, 10.0)), "area": ("min_area_m2", (0.0, 10_000.0)),
    "simplify": ("simplify_px", (0.0, 20.0)),
}  # fmt: skip


def _parse_clipped(text: str, minimum: float, maximum: float) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return min(max(value, minimum), maximum) if isfinite(value) else None


def _static_files(package: object) -> StaticFiles:
    return StaticFiles(directory=Path(package.BASE_DIR))  # type: ignore[attr-defined]


ROUTES: list[BaseRoute] = [
    Mount("/assets/leaflet", _static_files(leaflet)),
    Mount("/assets/jquery", _static_files(jquery)),
    Mount("/assets/groundplan", StaticFiles(directory=ASSETS)),
    Route("/tiles/{raster}/{z}/{x}/{y}.webp", _endpoint(_xyz_tile)),
    Route("/files/{tile}/{product}", _endpoint(_source_file)),
    Route("/layers/tiles.geojson", _endpoint(lambda _request: _geojson(read_catalog().geojson))),
    Route("/layers/tiles/{tile}/outlines.geojson", _endpoint(_label_outlines)),
    Route("/layers/tiles/{tile}/{layer}", _endpoint(_tile_layer)),
    Route("/layers/changes/{run}/{other}/{tile}/changes.geojson", _endpoint(_changes)),
    Route("/layers/predictions/{run}/{tile}/probability", _endpoint(_overlay(images.probability_overlay))),
    Route("/layers/predictions/{run}/{tile}/depth", _endpoint(_overlay(images.depth_overlay))),
    Route("/layers/predictions/{run}/{tile}/outlines", _endpoint(_predicted_outlines)),
    Route("/layers/predictions/{run}/{tile}/verdicts.geojson", _endpoint(_verdicts)),
    Route("/layers/predictions/{run}/{tile}/accepted.geojson", _endpoint(_accepted_footprints)),
]
