"""Every training set, read back by the reader of its own community."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import shapely
from PIL import Image
from scipy.io import loadmat

from core.errors import CannotWrite, InvalidSetting
from core.exports.datasets.samples import ExportSample, export_samples
from core.exports.datasets.writer import FORMATS, write_set
from tests.core.tile_factory import HOUSES, grid_at, make_tile

SQUARE = shapely.box(4, 6, 20, 16)
COURT = shapely.box(24, 20, 44, 40).difference(shapely.box(30, 26, 38, 34))


def example(
    name: str = "one", side: str = "train", buildings: tuple[shapely.Polygon, ...] = (SQUARE, COURT)
) -> ExportSample:
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    return ExportSample(name, side, pixels, np.array(buildings, object), "Somebody, CC BY 4.0")


def both() -> list[ExportSample]:
    return [example(), example("two", "val", (SQUARE,)), example("none", "train", ())]


@pytest.fixture(params=FORMATS)
def written(request, tmp_path) -> Path:
    assert write_set(both(), request.param, tmp_path / "set") == 3
    return tmp_path / "set"


def test_every_set_says_whose_it_is_and_how_it_was_parted(written):
    text = (written / "README.txt").read_text()
    assert "Somebody, CC BY 4.0" in text
    assert "2 training images and 1 validation images" in text
    assert not list(written.parent.glob(".*"))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_set_that_fails_leaves_nothing_behind(kind, tmp_path):
    def failing():
        yield example()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_set(failing(), kind, tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_overwritten_and_an_unknown_format_is_named(tmp_path):
    with pytest.raises(CannotWrite, match="already"):
        write_set(both(), "coco", tmp_path)
    with pytest.raises(InvalidSetting, match="coco, voc"):
        write_set(both(), "pascal", tmp_path / "set")


def test_coco_as_pycocotools_reads_it(tmp_path):
    from pycocotools.coco import COCO

    write_set(both(), "coco", tmp_path / "set")
    read = COCO(tmp_path / "set" / "annotations" / "instances_train.json")
    images = {image["file_name"]: image for image in read.loadImgs(read.getImgIds())}
    assert set(images) == {"one.png", "none.png"}
    square, court = read.loadAnns(read.getAnnIds(imgIds=images["one.png"]["id"]))
    assert square["bbox"] == [4, 6, 16, 10]
    for annotation, shape in ((square, SQUARE), (court, COURT)):
        assert read.annToMask(annotation).sum() == pytest.approx(shape.area, rel=0.1)
    assert read.annToMask(court)[30, 34] == 0, "the court is open"
    assert (tmp_path / "set" / "images" / "train" / "one.png").is_file()
    other = COCO(tmp_path / "set" / "annotations" / "instances_val.json")
    assert not set(read.getImgIds()) & set(other.getImgIds())
    assert not set(read.getAnnIds()) & set(other.getAnnIds())


def test_voc_as_its_development_kit_has_it(tmp_path):
    write_set(both(), "voc", tmp_path / "set")
    root = ElementTree.parse(tmp_path / "set" / "Annotations" / "one.xml").getroot()
    boxes = [[int(e.text or 0) for e in found] for found in root.iter("bndbox")]
    assert boxes == [[5, 7, 20, 16], [25, 21, 44, 40]]
    assert [e.text for e in root.iter("name")] == ["building", "building"]
    classes = np.array(Image.open(tmp_path / "set" / "SegmentationClass" / "one.png"))
    objects = np.array(Image.open(tmp_path / "set" / "SegmentationObject" / "one.png"))
    assert set(np.unique(classes)) == {0, 1, 255}
    assert set(np.unique(objects)) == {0, 1, 2, 255}
    assert classes[30, 34] == 0
    assert Image.open(tmp_path / "set" / "SegmentationClass" / "one.png").getpalette()[:6] == [0, 0, 0, 128, 0, 0]
    sets = tmp_path / "set" / "ImageSets" / "Segmentation"
    assert [(sets / f"{name}.txt").read_text().split() for name in ("train", "val")] == [["one", "none"], ["two"]]


def test_yolo_boxes_and_outlines_are_shares_of_the_picture(tmp_path):
    write_set(both(), "yolo", tmp_path / "boxes")
    lines = (tmp_path / "boxes" / "labels" / "train" / "one.txt").read_text().splitlines()
    kind, *box = map(float, lines[0].split())
    assert kind == 0
    assert box == pytest.approx([12 / 64, 11 / 48, 16 / 64, 10 / 48], abs=1e-6)
    write_set(both(), "yolo-segments", tmp_path / "outlines")
    first = (tmp_path / "outlines" / "labels" / "train" / "one.txt").read_text().splitlines()[0].split()
    ring = np.array(first[1:], float).reshape(-1, 2) * (64, 48)
    assert shapely.Polygon(ring).symmetric_difference(SQUARE).area < 0.01
    assert (tmp_path / "boxes" / "labels" / "train" / "none.txt").read_text() == ""
    assert (tmp_path / "boxes" / "obj.names").read_text() == "building\n"
    for name in (tmp_path / "boxes" / "train.txt").read_text().split():
        assert (tmp_path / "boxes" / name).is_file()


def test_sbd_as_scipy_reads_it(tmp_path):
    write_set(both(), "sbd", tmp_path / "set")
    inst = loadmat(tmp_path / "set" / "inst" / "one.mat")["GTinst"][0, 0]
    assert set(np.unique(inst["Segmentation"])) == {0, 1, 2}
    assert inst["Categories"].ravel().tolist() == [1, 1]
    assert inst["Boundaries"].shape == (2, 1)
    edge = inst["Boundaries"][0, 0].toarray()
    assert edge.sum() == 2 * (16 + 10) - 4
    of_class = loadmat(tmp_path / "set" / "cls" / "one.mat")["GTcls"][0, 0]
    assert set(np.unique(of_class["Segmentation"])) == {0, 1}
    assert (tmp_path / "set" / "val.txt").read_text() == "two\n"


def test_tfrecord_as_tensorflow_reads_it(tmp_path):
    import tensorflow as tf

    write_set(both(), "tfrecord", tmp_path / "set")
    many = tf.io.VarLenFeature
    kinds = {
        "image/encoded": tf.io.FixedLenFeature((), tf.string), "image/height": tf.io.FixedLenFeature((), tf.int64),
        "image/object/bbox/xmin": many(tf.float32), "image/object/mask": many(tf.string),
    }  # fmt: skip
    records = [
        tf.io.parse_single_example(raw, kinds)
        for raw in tf.data.TFRecordDataset([str(tmp_path / "set" / "train.tfrecord")])
    ]
    assert [int(record["image/height"]) for record in records] == [48, 48]
    np.testing.assert_array_equal(tf.io.decode_png(records[0]["image/encoded"]), example().pixels)
    assert tf.sparse.to_dense(records[0]["image/object/bbox/xmin"]).numpy() == pytest.approx([4 / 64, 24 / 64])
    masks = [tf.io.decode_png(mask).numpy()[..., 0] for mask in records[0]["image/object/mask"].values]
    assert [int(mask.sum()) for mask in masks] == [160, round(COURT.area)]


def test_tiles_are_cut_into_chips_with_their_buildings_and_parted_as_training_parts_them(tmp_path):
    tiles = [make_tile(tmp_path, f"img{n}", grid_at(200 * n)) for n in range(3)]
    found = list(export_samples(tiles, 32, 0))
    assert len(found) == 12
    assert {one.split for one in found} == {"train", "val"}
    assert len({one.name for one in found}) == 12
    whole = list(export_samples(tiles, 0, 0))
    assert [one.shape for one in whole] == [(64, 64)] * 3
    assert len(whole[0].buildings) == len(HOUSES)
    area = sum(shapely.area(one.buildings).sum() for one in found)
    assert area == pytest.approx(sum(shapely.area(one.buildings).sum() for one in whole), rel=0.02)
    for one in found:
        assert (shapely.bounds(one.buildings) >= 0).all()
        assert (shapely.bounds(one.buildings) <= 32).all()
