"""Right angles, and the raw outline where they would be too far from it."""

import numpy as np
import shapely

from core.geo.vector import Footprints
from core.postprocessing.regularize import MIN_IOU, regularize
from tests.core.tile_factory import UTM


def wobbly(angle: float, side: float = 20.0) -> shapely.Polygon:
    """A square house with a traced outline."""
    random = np.random.default_rng(3)
    outline = shapely.get_coordinates(shapely.segmentize(shapely.box(0, 0, side, side * 0.7), 2))[:-1]
    rough = shapely.Polygon(outline + random.normal(0, 0.25, outline.shape))
    turned = shapely.affinity.rotate(rough, angle)
    return shapely.affinity.translate(turned, 660_000, 4_000_000)


def footprints(shapes: list[shapely.Polygon]) -> Footprints:
    return Footprints.of(np.array(shapes, object), UTM, np.linspace(0.5, 0.9, len(shapes)))


def test_outlines_become_rectangles_at_any_angle():
    raw = [wobbly(angle) for angle in (0, 17, 40, 73)]
    found = regularize(footprints(raw))
    for rough, square in zip(raw, found.geometries, strict=True):
        assert len(square.exterior.coords) <= 7 < len(rough.exterior.coords)
        assert rough.intersection(square).area / rough.union(square).area > 0.9


def test_order_numbers_and_confidence_stay():
    raw = footprints([wobbly(10), wobbly(30), wobbly(50)])
    found = regularize(raw)
    assert found.frame["id"].tolist() == raw.frame["id"].tolist()
    assert found.confidence.tolist() == raw.confidence.tolist()
    assert found.crs == raw.crs


def test_what_has_no_right_angles_stays_as_it_is():
    random = np.random.default_rng(0)
    star = shapely.Polygon([
        (660_000 + r * np.cos(a), 4_000_000 + r * np.sin(a))
        for a, r in zip(np.linspace(0, 2 * np.pi, 40, endpoint=False), random.choice([4, 14], 40), strict=True)
    ])  # fmt: skip
    [found] = regularize(footprints([star])).geometries
    iou = found.intersection(star).area / found.union(star).area
    assert iou >= MIN_IOU - 1e-6


def test_none_gives_none():
    assert len(regularize(footprints([]))) == 0
