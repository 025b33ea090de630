"""GeoJSON text as RFC 7946 has it: longitude and latitude, outer rings counter-clockwise."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import orjson
import shapely

from core.types import Geometries

#: A centimetre in degrees; RFC 7946 asks for no more.
DECIMALS = 7


def feature_collection(shapes: Geometries, properties: Iterable[Mapping[str, Any]], **members: Any) -> bytes:
    """Polygons in longitude and latitude with their properties, and further top-level members."""
    rounded = shapely.transform(shapes, lambda xy: np.round(xy, DECIMALS))
    outlines = shapely.to_geojson(shapely.orient_polygons(rounded, exterior_cw=False))
    features = [
        {"type": "Feature", **_identity(facts), "properties": facts, "geometry": orjson.Fragment(outline)}
        for facts, outline in zip(properties, outlines, strict=True)
    ]
    document = {"type": "FeatureCollection", **members, "features": features}
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY)


def _identity(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The feature's own id, where its properties have one."""
    return {"id": facts["id"]} if "id" in facts else {}
