"""GeoJSON as RFC 7946 has it."""

import numpy as np
import orjson
import pytest
import shapely
from shapely import box

from core.geo.geojson import feature_collection

CLOCKWISE = shapely.orient_polygons(
    box(-115.2, 36.1, -115.1, 36.2) - box(-115.16, 36.14, -115.14, 36.16), exterior_cw=True
)


def test_outer_rings_run_against_the_clock_and_holes_with_it():
    document = orjson.loads(feature_collection(np.array([CLOCKWISE]), [{}]))
    outer, hole = document["features"][0]["geometry"]["coordinates"]
    assert shapely.is_ccw(shapely.linearrings(outer))
    assert not shapely.is_ccw(shapely.linearrings(hole))


def test_properties_and_further_members_are_kept():
    document = orjson.loads(
        feature_collection(np.array([CLOCKWISE]), [{"id": np.int64(7), "name": '"é'}], attribution="me")
    )
    assert document["type"] == "FeatureCollection"
    assert document["attribution"] == "me"
    assert document["features"][0]["properties"] == {"id": 7, "name": '"é'}


def test_coordinates_have_seven_decimals():
    shape = np.array([box(1 / 3, 1 / 3, 2 / 3, 2 / 3)])
    (ring,) = orjson.loads(feature_collection(shape, [{}]))["features"][0]["geometry"]["coordinates"]
    assert [0.3333333, 0.3333333] in ring


def test_no_shapes_are_a_collection_too():
    assert orjson.loads(feature_collection(np.empty(0, object), [])) == {"type": "FeatureCollection", "features": []}


def test_shapes_without_properties_are_a_mistake():
    with pytest.raises(ValueError, match="longer"):
        feature_collection(np.array([CLOCKWISE, CLOCKWISE]), [{}])
