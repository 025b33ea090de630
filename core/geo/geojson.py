"""GeoJSON writer (RFC 7946): longitude and latitude, counter-clockwise outer rings."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import orjson
import shapely

from core.types import Geometries

#: Decimals of degrees, a centimeter; RFC 7946 asks for no more.
DECIMALS = 7


def feature_collection(polygons: Geometries, properties: Iterable[Mapping[str, Any]], **members: Any) -> bytes:
    """Encode polygons as a GeoJSON FeatureCollection.

    Args:
        polygons: Geometries in longitude and latitude (EPSG:4326).
        properties: Properties of each feature; an `id` among them becomes the id of the feature.
        members: Further top-level members of the collection.

    Returns:
        UTF-8 text with a final newline.
    """
    rounded = shapely.transform(polygons, lambda xy: np.round(xy, DECIMALS))
    outlines = shapely.to_geojson(shapely.orient_polygons(rounded, exterior_cw=False))
    features = [
        {
            "type": "Feature",
            **({"id": attributes["id"]} if "id" in attributes else {}),
            "properties": attributes,
            "geometry": orjson.Fragment(outline),
        }
        for attributes, outline in zip(properties, outlines, strict=True)
    ]
    document = {"type": "FeatureCollection", **members, "features": features}
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY)
