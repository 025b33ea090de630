"""The command line: everything real, exit status 0 or 2, one sentence, never a traceback."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
import rasterio
from shapely import box

from core.catalog.register import set_label_offset
from core.catalog.scan import ScanResult
from core.catalog.store import read_catalog, update_catalog
from core.catalog.tile import Tile
from core.cli import catalog as cli_catalog
from core.cli import main
from core.cli import train as cli_train
from core.datasets.normalization import Normalization
from core.errors import TooFewTiles
from core.geo.vector import read_footprints
from core.progress import Report
from core.runs.config import TrainingConfig
from core.runs.run import Record
from core.runs.run import Run as TrainedRun
from core.settings import settings
from tests.core.commands import Run, runner
from tests.core.tile_factory import make_tile


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Runs `python -m core …` in this process over a data folder of its own; gives status, stdout, stderr."""
    monkeypatch.setenv("GROUNDPLAN_DATA", str(tmp_path / "data"))
    settings.cache_clear()
    yield runner(monkeypatch, capsys)
    settings.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two labelled tiles in SN1's layout."""
    place = tmp_path / "city"
    for n in (1, 2):
        tile = make_tile(place, f"AOI_0_Made_img{n}")
        assert tile.footprints is not None
        tile.footprints.rename(place / f"Geo_AOI_0_Made_img{n}.geojson")
    return place


def test_catalog_add_says_what_it_found_and_keeps_it(run: Run, folder: Path) -> None:
    (folder / "3band_AOI_0_Made_img3.tif").write_bytes(b"\xff\xd8\xff\xe0 a photograph")
    status, out, err = run("catalog", "add", folder, "--attribution", "us")
    assert status == 0
    assert "2 tiles in 1 area, all labeled, 4 buildings" in out
    assert "3band_AOI_0_Made_img3.tif is not a GeoTIFF (a JPEG)" in err
    assert [tile.attribution for tile in read_catalog().tiles] == ["us", "us"]


def test_catalog_add_takes_in_one_image_of_any_name(run: Run, tmp_path: Path) -> None:
    made = make_tile(tmp_path, "img1")
    image = made.image.rename(tmp_path / "roofs of town.tif")
    status, out, err = run("catalog", "add", image, "--labels", made.labels, "--name", "Town", "--crs", "EPSG:32611")
    assert (status, err) == (0, "")
    assert "1 tile in 1 area, all labeled, 2 buildings" in out
    [tile] = read_catalog().tiles
    assert (tile.aoi, tile.title, tile.crs) == ("Uploads", "Town", "EPSG:32611")
    assert image.exists()


@pytest.mark.parametrize(("options", "said"), [
    (["--crs", "EPSG:5773"], "Unknown EPSG code"), (["--bbox", "1,2"], "Invalid bounding box"),
    (["--labels", "nowhere.geojson"], "nowhere.geojson does not exist"),
])  # fmt: skip
def test_catalog_add_says_what_is_wrong_with_an_option(run: Run, tmp_path: Path, options: list[str], said: str) -> None:
    status, _, err = run("catalog", "add", make_tile(tmp_path, "img1").image, *options)
    assert status == 2
    assert said in err
    assert not [*settings().uploads.glob("*")]


def test_catalog_add_has_options_of_one_image_for_one_image(run: Run, folder: Path) -> None:
    status, _, err = run("catalog", "add", folder, "--name", "Town")
    assert status == 2
    assert "apply to a single image" in err


def test_catalog_list_is_json_of_every_fact(run: Run, folder: Path) -> None:
    run("catalog", "add", folder)
    status, out, _ = run("catalog", "list", "--json")
    [first, second] = json.loads(out)
    assert status == 0
    assert (first["id"], second["id"]) == ("AOI_0_Made_img1", "AOI_0_Made_img2")
    assert first["buildings"] == 2
    assert first["gsd_m"] == pytest.approx(0.5, rel=1e-3)
    assert Path(first["products"]["3band"]).is_file()


def test_catalog_list_says_which_tiles_are_not_downloaded(run: Run) -> None:
    listed = Tile.listed("AOI_2_Vegas_img7", "AOI_2_Vegas", box(0, 0, 1, 1))
    update_catalog(lambda catalog: catalog.with_tiles([listed]))
    assert run("catalog", "list") == (0, "AOI_2_Vegas_img7\tnot downloaded\n", "")


def test_catalog_remove_takes_out_tiles_and_areas(run: Run, folder: Path) -> None:
    run("catalog", "add", folder)
    status, out, _ = run("catalog", "remove", "AOI_0_Made_img1")
    assert (status, out) == (0, "1 tile removed from the catalog; files are kept\n")
    assert [tile.short_id for tile in read_catalog().tiles] == ["img2"]
    assert run("catalog", "remove", "--aoi", "AOI_0_Made")[0] == 0
    assert read_catalog().tiles == ()
    assert (folder / "3band_AOI_0_Made_img1.tif").exists()
    assert run("catalog", "remove", "img9")[2].startswith("The catalog has no tile named img9")


def test_an_empty_catalog_says_how_to_fill_it(run: Run) -> None:
    status, out, err = run("catalog", "list")
    assert (status, out) == (0, "")
    assert "catalog add" in err


def test_labels_writes_every_file(run: Run, folder: Path, tmp_path: Path) -> None:
    image, truth = folder / "3band_AOI_0_Made_img1.tif", folder / "Geo_AOI_0_Made_img1.geojson"
    status, out, err = run("labels", "--image", image, "--footprints", truth, "--out", tmp_path / "out")
    assert status == 0
    assert "2 buildings" in err
    files = [Path(line) for line in out.split()]
    assert {path.suffix for path in files} == {".csv", ".geojson", ".tif", ".npy"}
    assert all(path.is_file() for path in files)
    with rasterio.open(tmp_path / "out" / "AOI_0_Made_img1_mask.tif") as mask:
        assert (mask.dtypes[0], mask.nodata, mask.compression.value) == ("uint8", 0, "LZW")


def test_labels_carry_the_attribution_that_the_image_s_name_tells(run: Run, folder: Path, tmp_path: Path) -> None:
    image, truth = folder / "3band_AOI_0_Made_img1.tif", folder / "Geo_AOI_0_Made_img1.geojson"
    image = image.rename(folder / "3band_AOI_1_RIO_img1.tif")
    run("labels", "--image", image, "--footprints", truth, "--out", tmp_path / "out")
    spacenet = "SpaceNet on AWS, Maxar, CosmiQ Works, CC BY-SA 4.0"
    with rasterio.open(tmp_path / "out" / "AOI_1_RIO_img1_mask.tif") as mask:
        assert mask.tags()["TIFFTAG_COPYRIGHT"] == spacenet
    assert json.loads((tmp_path / "out" / "AOI_1_RIO_img1_outlines.geojson").read_bytes())["attribution"] == spacenet


def test_labels_takes_only_the_buildings_of_its_image_from_a_table_of_many(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    table, square = tmp_path / "AOI_0_Made.csv", "POLYGON ((4 4, 9 4, 9 9, 4 9, 4 4))"
    rows = [(f"AOI_0_Made_img{n}", n, square, 1) for n in (1, 2, 3, 3)]
    pd.DataFrame(rows, columns=["ImageId", "BuildingId", "PolygonWKT_Pix", "Confidence"]).to_csv(table, index=False)
    arguments = "--footprints", table, "--out", tmp_path / "out"
    status, _, err = run("labels", "--image", folder / "3band_AOI_0_Made_img1.tif", *arguments)
    assert status == 0
    assert "1 building," in err
    assert set(pd.read_csv(tmp_path / "out" / "AOI_0_Made_img1_outlines.csv")["ImageId"]) == {"AOI_0_Made_img1"}
    other = folder / "3band_AOI_0_Made_img2.tif"
    other = other.rename(folder / "3band_AOI_0_Made_img7.tif")
    status, out, err = run("labels", "--image", other, *arguments)
    assert (status, out) == (2, "")
    assert "AOI_0_Made.csv does not list the image AOI_0_Made_img7." in err


def test_score_reproduces_the_published_totals(run: Run, shared: Path) -> None:
    sides = (
        "--truth",
        shared / "scoring/sn2/SN2_sample_truth.csv",
        "--proposals",
        shared / "scoring/sn2/SN2_sample_preds.csv",
    )
    status, out, _ = run("score", *sides, "--json")
    found = json.loads(out)
    assert status == 0
    assert found["aois"]["AOI_2_Vegas"]["f1"] == 0.8860759493670887
    assert found["aois"]["AOI_5_Khartoum"]["f1"] == 0.4444444444444444
    status, out, _ = run("score", *sides, "--rule", "solaris")
    assert status == 0
    assert "AOI_5_Khartoum_img463" in out
    assert "not scored" in out


def test_score_of_footprints_against_themselves_is_one(run: Run, folder: Path) -> None:
    truth = folder / "Geo_AOI_0_Made_img1.geojson"
    _, out, _ = run("score", "--truth", truth, "--proposals", truth, "--json")
    assert json.loads(out)["images"] == {
        "AOI_0_Made_img1": {"tp": 2, "fp": 0, "fn": 0, "precision": 1.0, "recall": 1.0, "f1": 1.0}
    }


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("catalog", "add", "/nowhere/at/all"), "all does not exist. Check the path."),
        (("score", "--truth", "none.csv", "--proposals", "none.csv"), "none.csv does not exist"),
        (("predict", "--run", "none", "--image", "a.tif", "--out", "a.doc"), "a.doc does not have the file extension"),
        (("predict", "--run", "none", "--image", "a.tif", "--out", "a.csv"), "There is no run at none"),
        (("labels", "--image", "a.tif", "--footprints", "b.shp", "--out", "c"), "b.shp does not exist"),
        (("score", "--truth", "a.csv"), "Missing option '--proposals'"),
        (("train", "--data", ".", "--out", "x", "--epochs", "0"), "epochs"),
        (("no-such-command",), "No such command"),
        (("catalog", "remove"), "Specify tiles, or an area with --aoi"),
        (("catalog", "remove", "--aoi", "AOI_9_Mars"), "The catalog has no area named AOI_9_Mars"),
        (("train", "--out", "x"), "Specify a folder with --data, or tiles of the catalog with --tiles"),
        (("train", "--out", "x", "--tiles", "img7"), "The catalog has no tile named img7"),
        (("train", "--modle", "fcn"), "No such option"),
        (("score", "--rule", "mine"), "'mine' is not one of"),
    ],
)
def test_bad_input_is_status_2_and_a_sentence_on_stderr(run: Run, arguments: tuple[str, ...], sentence: str) -> None:
    status, out, err = run(*arguments)
    assert status == 2
    assert out == ""
    assert sentence in err
    assert "Traceback" not in err
    assert err.count("\n") == 1, "one line"


def test_help_is_told_whole(run: Run) -> None:
    status, out, _ = run("train", "--help")
    assert status == 0
    assert out.count("\n") > 10
    status, _, err = run("catalog")
    assert status == 2
    assert {"add", "list", "sample"} <= set(err.split())


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(), "ran out of memory"),
        (type("ResourceExhaustedError", (Exception,), {})("OOM when allocating"), "ran out of memory"),
        (PermissionError(13, "Permission denied", "b.csv"), "b.csv cannot be used (Permission denied)."),
        (OSError(28, "No space left on device", "b.csv"), "not enough disk space to write b.csv"),
    ],
)
def test_what_nobody_foresaw_is_a_sentence(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    def fail(_path: Path) -> None:
        raise error

    monkeypatch.setattr(main, "read_footprints", fail)
    status, out, err = run("labels", "--image", "a.tif", "--footprints", "b.csv", "--out", "c")
    assert (status, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1


def test_a_mistake_in_the_program_is_no_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "read_footprints", lambda _path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("labels", "--image", "a.tif", "--footprints", "b.csv", "--out", "c")


def test_a_folder_in_no_known_layout_is_a_sentence_with_examples(run: Run, tmp_path: Path) -> None:
    (tmp_path / "photo.tif").write_bytes(b"II*\0")
    status, _, err = run("catalog", "add", tmp_path)
    assert status == 2
    assert "RGB-PanSharpen_AOI_2_Vegas_img225.tif" in err


def test_a_full_disk_is_a_sentence_and_nothing_is_left(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "mask.tif")

    monkeypatch.setattr("core.atomic_files.os.fsync", full)
    image, truth = folder / "3band_AOI_0_Made_img1.tif", folder / "Geo_AOI_0_Made_img1.geojson"
    status, _, err = run("labels", "--image", image, "--footprints", truth, "--out", tmp_path / "out")
    assert status == 2
    assert "not enough disk space" in err
    assert list((tmp_path / "out").iterdir()) == []


def test_a_tile_that_is_not_there_is_named(run: Run, folder: Path, tmp_path: Path) -> None:
    status, _, err = run("train", "--data", folder, "--out", tmp_path / "run", "--tiles", "img7")
    assert status == 2
    assert "no tile named img7" in err


def test_a_short_name_of_two_tiles_is_told_with_both_ids(run: Run, folder: Path, tmp_path: Path) -> None:
    make_tile(folder, "AOI_9_Other_img1")
    status, _, err = run("train", "--data", folder, "--out", tmp_path / "run", "--tiles", "img2,img1")
    assert status == 2
    assert "img1 is the name of several tiles. Use one of AOI_0_Made_img1, AOI_9_Other_img1." in err


def test_training_shows_that_it_reads_the_folder(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []

    @contextmanager
    def progress() -> Iterator[Report]:
        yield lambda _share, doing: said.append(doing)

    monkeypatch.setattr(cli_train, "progress", progress)
    run("train", "--data", folder, "--out", tmp_path / "run", "--tiles", "img7")
    assert said == ["Reading AOI_0_Made_img1", "Reading AOI_0_Made_img2"]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Tile]:
    """The tiles that training was called with; it ends there."""
    tiles: list[Tile] = []

    def train(chosen: Sequence[Tile], *_: object, **__: object) -> None:
        tiles.extend(chosen)
        raise TooFewTiles

    monkeypatch.setattr("core.training.train.train", train)
    return tiles


def test_training_takes_tiles_of_the_catalogue_by_name(run: Run, folder: Path, tmp_path: Path, trained) -> None:
    run("catalog", "add", folder)
    run("catalog", "add", make_tile(tmp_path, "a").image.rename(tmp_path / "roofs.tif"), "--name", "Town")
    run("train", "--out", tmp_path / "run", "--tiles", "img2,Town")
    assert [tile.title for tile in trained] == ["AOI_0_Made_img2", "Town"]


def test_training_on_a_folder_has_its_labels_where_they_were_moved(
    run: Run, folder: Path, tmp_path: Path, trained
) -> None:
    run("catalog", "add", folder)
    set_label_offset("AOI_0_Made_img2", 1.5, -0.5)
    run("train", "--data", folder, "--out", tmp_path / "run")
    assert [tile.offset_m for tile in trained] == [(0.0, 0.0), (1.5, -0.5)]


def test_a_seed_makes_another_sample_city(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = []
    monkeypatch.setattr(cli_catalog, "register_sample", lambda seed, _report: seeds.append(seed) or ScanResult(()))
    run("catalog", "sample")
    run("catalog", "sample", "--seed", 5)
    assert seeds == [None, 5]


REAL = {
    "rio": ("spacenet/SN1_buildings", 4, "3band/3band_AOI_1_RIO_img9.tif", "AOI_1_RIO_img5,AOI_1_RIO_img9"),
    "vegas": (
        "spacenet/SN2_buildings", 3, "RGB-PanSharpen/RGB-PanSharpen_AOI_2_Vegas_img225.tif", "AOI_2_Vegas_img225",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("city", REAL)
def test_real_tiles_train_and_predict(run: Run, shared: Path, tmp_path: Path, city: str) -> None:
    where, bands, image, tiles = REAL[city]
    [path] = (shared / where).glob(f"*/{image}")
    folder = tmp_path / "run"
    status, out, _ = run(
        "train", "--data", shared / where, "--model", "fcn", "--epochs", 1, "--out", folder, "--tiles", tiles
    )
    assert status == 0
    assert json.loads((folder / "config.json").read_text())["bands"] == bands
    for suffix in (".geojson", ".gpkg", ".parquet", ".csv"):
        out_file = tmp_path / f"found{suffix}"
        status, out, err = run("predict", "--run", folder, "--image", path, "--out", out_file, "--threshold", 0.05)
        assert (status, out.strip()) == (0, str(out_file)), err
    found = gpd.read_file(tmp_path / "found.gpkg")
    assert len(found) == len(gpd.read_parquet(tmp_path / "found.parquet"))
    assert len(read_footprints(tmp_path / "found.geojson")) >= len(found)
    table = pd.read_csv(tmp_path / "found.csv")
    assert list(table) == ["ImageId", "BuildingId", "PolygonWKT_Pix", "PolygonWKT_Geo", "Confidence"]


def test_more_epochs_are_added_to_a_run_with_its_tiles_and_settings(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def train(chosen: Sequence[Tile], config: TrainingConfig, out: Path, *_: object, **more: object) -> None:
        asked.append((config, [tile.id for tile in chosen], more["parent"], more["resume"]))
        raise TooFewTiles

    record = Record(
        TrainingConfig(epochs=4, batch=3), ("AOI_0_Made_img1",), ("AOI_0_Made_img2",),
        Normalization((0,) * 3, (1,) * 3), 3, (0.5, 0.5), 0, "", {},
    )  # fmt: skip
    old = TrainedRun.create(tmp_path / "old", record)
    old.add_metrics({"epoch": 2})
    run("catalog", "add", folder)
    monkeypatch.setattr("core.training.train.train", train)
    run("train", "--out", tmp_path / "new", "--from", old.path, "--epochs", 3)
    run("train", "--out", old.path, "--resume")
    (more, tiles, parent, resume), (same, again, _, resumed) = asked
    assert (more.epochs, more.batch, parent.path, resume) == (5, 3, old.path, False)
    assert (same, again, resumed) == (old.config, tiles, True)
    assert tiles == ["AOI_0_Made_img1", "AOI_0_Made_img2"]
