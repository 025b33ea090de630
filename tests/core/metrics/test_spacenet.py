"""The SpaceNet score: published numbers, the three readings of the rule, and a plain loop to agree with."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from core.errors import CRSMismatch
from core.geo.grid import LONLAT, WEB_MERCATOR, reproject
from core.geo.vector import Footprints, read_csv, read_geojson
from core.metrics.spacenet import RULES, Rule, Scores, area_of_image, score, score_images

TOPCODER, SOLARIS, UTILITIES = RULES["topcoder"], RULES["solaris"], RULES["utilities"]

AOIS = {
    "AOI_2_Vegas": (35, 2, 7, 0.8860759493670887),
    "AOI_5_Khartoum": (52, 55, 75, 0.4444444444444444),
}
IMAGES = {
    "AOI_2_Vegas_img3457": (28, 2, 6, 0.875),
    "AOI_2_Vegas_img5979": (7, 0, 1, 0.9333),
    "AOI_5_Khartoum_img130": (22, 13, 32, 0.4944),
    "AOI_5_Khartoum_img1301": (17, 15, 23, 0.4722),
    "AOI_5_Khartoum_img1306": (13, 27, 20, 0.3562),
    "AOI_5_Khartoum_img463": (0, 0, 0, None),
}


def boxes(*corners, crs=None, confidence=1.0, image=""):
    shapes = [shapely.box(*c) for c in corners]
    return Footprints.of(np.array(shapes, dtype=object), crs, confidence, image)


def counts(result):
    return result.tp, result.fp, result.fn


@pytest.fixture(scope="module", params=RULES.values(), ids=RULES)
def published(request, shared) -> Scores:
    folder = shared / "scoring/sn2"
    truth, proposals = (read_csv(folder / f"SN2_sample_{name}.csv") for name in ("truth", "preds"))
    return score_images(truth, proposals, request.param)


@pytest.mark.parametrize("aoi", AOIS)
def test_published_numbers_of_an_aoi_come_out_exactly(published, aoi):
    found = published.aois[aoi]
    assert (*counts(found), found.f1) == AOIS[aoi]


@pytest.mark.parametrize("image", IMAGES)
def test_published_numbers_of_an_image_come_out_exactly(published, image):
    found = published.images[image]
    assert (*counts(found), None if found.f1 is None else round(found.f1, 4)) == IMAGES[image]


def test_the_full_result_file_comes_out_to_the_last_digit(published, shared: Path):
    table = pd.read_csv(shared / "scoring/sn2/SN2_test_results_full.csv").set_index("imageID")
    assert set(table.index) == set(published.images)
    for image, row in table.iterrows():
        found = published.images[image]
        assert counts(found) == (row.TruePos, row.FalsePos, row.FalseNeg)
        if found.is_scored:
            assert (found.precision, found.recall, found.f1) == (row.Precision, row.Recall, row.F1Score)


def test_totals_sum_counts_before_the_shares(published):
    assert counts(published.total) == (87, 57, 82)
    assert published.total.precision == 87 / 144


def test_an_image_without_buildings_on_both_sides_is_not_scored():
    nothing = boxes()
    found = score(nothing, nothing)
    assert counts(found) == (0, 0, 0)
    assert (found.f1, found.precision, found.recall, found.is_scored) == (None, None, None, False)


def test_nothing_found_scores_zero():
    assert score(boxes((0, 0, 9, 9)), boxes()).f1 == 0
    assert score(boxes(), boxes((0, 0, 9, 9))).f1 == 0


def test_scores_become_json(published):
    document = json.loads(json.dumps(published.as_dict()))
    assert document["aois"]["AOI_2_Vegas"]["tp"] == 35
    assert document["images"]["AOI_5_Khartoum_img463"]["f1"] is None
    assert document["rule"] in RULES


@pytest.mark.parametrize(("rule", "found"), [(TOPCODER, 0), (SOLARIS, 0), (UTILITIES, 1)])
def test_an_iou_of_exactly_one_half_counts_for_the_utilities_only(rule: Rule, found):
    result = score(boxes((0, 0, 10, 10)), boxes((0, 0, 10, 5)), rule)
    assert counts(result) == (found, 1 - found, 1 - found)


@pytest.mark.parametrize(("rule", "counted"), [(TOPCODER, True), (SOLARIS, True), (UTILITIES, False)])
def test_a_building_of_exactly_twenty_pixels(rule: Rule, counted):
    assert score(boxes((0, 0, 4, 5)), boxes(), rule).fn == counted


@pytest.mark.parametrize(("rule", "counted"), [(TOPCODER, True), (SOLARIS, False), (UTILITIES, True)])
def test_a_proposal_of_exactly_twenty_pixels(rule: Rule, counted):
    assert score(boxes(), boxes((0, 0, 4, 5)), rule).fp == counted


@pytest.mark.parametrize(("rule", "counted"), [(TOPCODER, False), (SOLARIS, False), (UTILITIES, True)])
def test_the_utilities_keep_small_proposals(rule: Rule, counted):
    assert score(boxes(), boxes((0, 0, 1, 1)), rule).fp == counted


def test_a_building_that_is_left_out_is_neither_found_nor_missed():
    result = score(boxes((0, 0, 4, 4)), boxes((0, 0, 4, 5.1)), SOLARIS)
    assert counts(result) == (0, 1, 0)
    assert result.truth.counted.tolist() == [False]


def test_the_most_confident_proposal_chooses_first():
    truth, proposals = boxes((0, 0, 10, 10)), boxes((0, 0, 10, 10), (0, 0, 10, 9), confidence=[0.3, 0.9])
    assert score(truth, proposals, SOLARIS).proposals.partner.tolist() == [-1, 0]
    assert score(truth, proposals, UTILITIES).proposals.partner.tolist() == [0, -1]


def test_equal_confidences_go_in_file_order():
    proposals = boxes((0, 0, 10, 9), (0, 0, 10, 10), confidence=0.5)
    assert score(boxes((0, 0, 10, 10)), proposals).proposals.partner.tolist() == [0, -1]


def test_matches_name_each_other_with_their_iou():
    result = score(boxes((50, 50, 60, 60), (0, 0, 10, 10)), boxes((0, 0, 10, 8), (90, 90, 99, 99)))
    assert result.truth.partner.tolist() == [-1, 0]
    assert result.proposals.partner.tolist() == [1, -1]
    assert result.truth.iou.tolist() == [0, 0.8]
    assert result.proposals.iou.tolist() == [0.8, 0]
    assert result.truth.missed.tolist() == [True, False]
    assert result.proposals.missed.tolist() == [False, True]


def test_footprints_of_different_images_never_match():
    truth, proposals = boxes((0, 0, 9, 9), image="A_img1"), boxes((0, 0, 9, 9), image="A_img2")
    result = score_images(truth, proposals)
    assert counts(result.total) == (0, 1, 1)
    assert list(result.images) == ["A_img1", "A_img2"]
    assert list(result.aois) == ["A"]


@pytest.mark.parametrize(
    ("image", "aoi"),
    [("AOI_2_Vegas_img3457", "AOI_2_Vegas"), ("013022223130_Public_img140", "013022223130_Public"), ("", "")],
)
def test_the_aoi_is_what_stands_before_the_image_number(image, aoi):
    assert area_of_image(image) == aoi


def on_the_ground(*corners, crs=LONLAT):
    """Boxes of metres beside a point in Las Vegas."""
    degrees = boxes(*corners).geometries
    shapes = shapely.transform(degrees, lambda xy: xy * [1.11e-5, 9.01e-6] + [-115.2, 36.18])
    return Footprints.of(reproject(shapes, LONLAT, crs), crs)


def test_footprints_on_the_ground_compare_across_crs():
    truth = on_the_ground((0, 0, 10, 10), (50, 0, 60, 10))
    proposals = on_the_ground((0, 0, 10, 9), (90, 0, 99, 9), crs=WEB_MERCATOR)
    result = score(truth, proposals)
    assert counts(result) == (1, 1, 1)
    assert result.truth.iou[0] == pytest.approx(0.9, abs=1e-3)


def test_small_footprints_on_the_ground_count_unless_the_pixel_is_known():
    tiny = on_the_ground((0, 0, 2, 2))
    assert score(tiny, tiny).tp == 1
    assert score(tiny, tiny, pixel_area=0.09).tp == 1
    assert counts(score(tiny, tiny, pixel_area=0.25)) == (0, 0, 0)
    assert counts(score(tiny, Footprints.of(np.empty(0, object), LONLAT), pixel_area=0.25)) == (0, 0, 0)


@pytest.mark.parametrize("proposals", [boxes((0, 0, 9, 9)), boxes()], ids=["some", "none"])
def test_pixels_and_ground_are_not_compared(proposals):
    with pytest.raises(CRSMismatch, match="one is in pixel coordinates, the other in map coordinates"):
        score(on_the_ground((0, 0, 10, 10)), proposals)
    with pytest.raises(CRSMismatch):
        score_images(proposals, on_the_ground((0, 0, 10, 10)))


def test_labels_score_perfectly_against_themselves(shared: Path):
    folder = shared / "open-cities/AOI_20_Banepa_Train/geojson/buildings"
    labels = read_geojson(folder / "buildings_AOI_20_Banepa_img9041.geojson")
    result = score(labels, labels)
    assert len(labels) > 0
    assert counts(result) == (len(labels), 0, 0)
    assert result.truth.partner.tolist() == list(range(len(labels)))


def plain_loop(truth, proposals, confidence, rule: Rule):
    """The rule one polygon at a time, as its authors wrote it down."""
    order = sorted(range(len(proposals)), key=lambda i: -confidence[i]) if rule.by_confidence else range(len(proposals))
    free = [i for i, shape in enumerate(truth) if rule.truth_area.passes(shape.area)]
    tp = fp = 0
    for i in order:
        if not rule.proposal_area.passes(proposals[i].area):
            continue
        ious = [proposals[i].intersection(truth[j]).area / proposals[i].union(truth[j]).area for j in free]
        if ious and rule.iou.passes(max(ious)):
            free.pop(ious.index(max(ious)))
            tp += 1
        else:
            fp += 1
    return tp, fp, len(free)


#: Small whole numbers, so that areas of 20 and IoUs of one half really occur.
SIDES = st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(3, 10), st.integers(2, 10))
TOWN = st.lists(SIDES.map(lambda s: (s[0], s[1], s[0] + s[2], s[1] + s[3])), max_size=8)


@given(TOWN, TOWN, st.sampled_from(list(RULES.values())), st.randoms(use_true_random=False))
def test_all_at_once_equals_one_polygon_at_a_time(true, proposed, rule, random):
    confidence = [random.choice([0.2, 0.5, 0.8]) for _ in proposed]
    truth, proposals = boxes(*true), boxes(*proposed, confidence=confidence)
    expected = plain_loop(truth.geometries, proposals.geometries, confidence, rule)
    assert counts(score(truth, proposals, rule)) == expected


@given(TOWN, TOWN)
def test_every_counted_footprint_is_hit_or_missed_once(true, proposed):
    result = score(boxes(*true), boxes(*proposed))
    assert result.tp + result.fn == result.truth.counted.sum()
    assert result.tp + result.fp == result.proposals.counted.sum()
    hits = np.flatnonzero(result.proposals.hit)
    assert result.truth.partner[result.proposals.partner[hits]].tolist() == hits.tolist()
