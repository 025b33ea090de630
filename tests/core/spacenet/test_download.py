"""From the bucket into the catalogue, against a bucket on this machine with SpaceNet's own keys."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from core.catalog.store import read_catalog, update_catalog
from core.catalog.tile import Tile
from core.errors import (
    BucketUnreachable,
    DiskFull,
    DownloadRunning,
    GroundplanError,
    InsufficientDiskSpace,
    NotInBucket,
)
from core.jobs.folder import JobFolder
from core.jobs.launchers.local import launch
from core.jobs.queue import Queue
from core.settings import settings
from core.spacenet import download as module
from core.spacenet.bucket import Bucket, Object, area_named
from core.spacenet.download import download_tiles, format_bytes, local_path, plan_download
from core.spacenet.resumable_download import read_manifest
from core.spacenet.selection import TileSelection
from core.tasks.data import fetch_task
from tests.core.jobs.fake_tasks import wait_for
from tests.core.spacenet_bucket import RIO, VEGAS, FakeBucket
from tests.core.tile_factory import grid_at


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("GROUNDPLAN_DATA", str(tmp_path / "data"))
    settings.cache_clear()
    yield tmp_path / "data"
    settings.cache_clear()


@pytest.fixture
def vegas(bucket: FakeBucket) -> FakeBucket:
    """Tiles 1, 2 and 4 of Las Vegas."""
    for number in (1, 2, 4):
        bucket.put_tile(VEGAS, number)
    return bucket


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {".lock"}


def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Fills with the name of every file that is read from the bucket."""
    names: list[str] = []
    real = Bucket.read

    def read(self: Bucket, wanted: Object, offset: int = 0) -> Iterator[bytes]:
        names.append(wanted.name)
        return real(self, wanted, offset)

    monkeypatch.setattr(Bucket, "read", read)
    return names


def test_tiles_come_with_colour_and_labels_and_are_registered(vegas: FakeBucket) -> None:
    found = download_tiles(TileSelection.of(VEGAS, [1, 2]))
    area = area_named(VEGAS)
    keys = {area.key(product, number) for product in ("PS-RGB", "geojson_buildings") for number in (1, 2)}
    assert files_below(settings().spacenet) == keys | {"manifest.json"}
    assert all((settings().spacenet / key).read_bytes() == vegas.get(key) for key in keys)
    assert read_manifest(settings().spacenet / "manifest.json").keys() == keys
    assert found.problems == ()
    tiles = read_catalog().tiles
    assert [tile.id for tile in tiles] == ["AOI_2_Vegas_img1", "AOI_2_Vegas_img2"]
    assert [tile.buildings for tile in tiles] == [2, 2]
    assert {tile.attribution for tile in tiles} == {"SpaceNet on AWS, Maxar, CosmiQ Works, CC BY-SA 4.0"}


def test_the_first_spacenet_comes_too_with_its_eight_bands(bucket: FakeBucket) -> None:
    bucket.put_tile(RIO, 9)
    download_tiles(TileSelection.of(RIO, [9], ["3band", "geojson", "8band"]))
    [tile] = read_catalog().tiles
    assert (tile.id, set(tile.products), tile.is_labeled) == ("AOI_1_RIO_img9", {"3band", "8band"}, True)


@pytest.mark.usefixtures("vegas")
def test_a_tile_takes_the_place_of_the_listed_one() -> None:
    listed = [Tile.listed(f"{VEGAS}_img{n}", VEGAS, grid_at(column=64 * n).footprint) for n in (1, 2, 3)]
    update_catalog(lambda catalog: catalog.with_tiles(listed))
    download_tiles(TileSelection.of(VEGAS, [2]))
    assert [(tile.short_id, tile.is_downloaded) for tile in read_catalog().tiles] == [
        ("img1", False),
        ("img2", True),
        ("img3", False),
    ]


@pytest.mark.usefixtures("vegas")
def test_what_is_here_is_neither_sent_nor_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    download_tiles(TileSelection.of(VEGAS, [1]))
    asked = asked_for(monkeypatch)
    found = download_tiles(TileSelection.of(VEGAS, [1]))
    assert asked == []
    assert [tile.short_id for tile in found.tiles] == ["img1"]
    found = download_tiles(TileSelection.of(VEGAS, [2]))
    assert len(asked) == 2
    assert [tile.short_id for tile in found.tiles] == ["img2"]


def test_a_missing_file_is_told_by_name_and_does_not_stop_the_rest(vegas: FakeBucket) -> None:
    vegas.remove(area_named(VEGAS).key("geojson_buildings", 2))
    found = download_tiles(TileSelection.of(VEGAS, [1, 2, 3]))
    assert found.problems == (
        "The SpaceNet bucket has no PS-RGB for tiles 3 of AOI_2_Vegas.",
        "The SpaceNet bucket has no geojson_buildings for tiles 2-3 of AOI_2_Vegas.",
    )
    assert [(tile.short_id, tile.is_labeled) for tile in read_catalog().tiles] == [("img1", True), ("img2", False)]


@pytest.mark.usefixtures("bucket")
def test_none_of_the_files_is_an_error() -> None:
    with pytest.raises(NotInBucket, match="the tiles 7-9 of AOI_2_Vegas"):
        download_tiles(TileSelection.of(VEGAS, [7, 8, 9]))


def test_a_file_that_changes_while_it_comes_is_told_and_the_rest_comes(
    vegas: FakeBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_download(TileSelection.of(VEGAS, [1, 2]))
    key = area_named(VEGAS).key("PS-RGB", 2)
    vegas.put(key, vegas.get(key) + b"more")
    monkeypatch.setattr(module, "plan_download", lambda *_: plan)
    found = download_tiles(plan.selection)
    assert "PS-RGB_img2.tif changed in the bucket" in found.problems[0]
    assert [tile.short_id for tile in read_catalog().tiles] == ["img1"]


def test_a_plan_has_exact_sizes_and_what_is_here(vegas: FakeBucket) -> None:
    request = TileSelection.of(VEGAS, [1, 2])
    plan = plan_download(request)
    sizes = [len(vegas.get(area_named(VEGAS).key(product, n))) for product in request.products for n in (1, 2)]
    assert (plan.total_bytes, plan.missing_bytes) == (sum(sizes), sum(sizes))
    download_tiles(TileSelection.of(VEGAS, [1]))
    assert plan.missing_bytes == sizes[1] + sizes[3]
    text = "\n".join(plan.lines())
    assert "PS-RGB                 2 files" in text
    assert "CC BY-SA 4.0, https://creativecommons.org/licenses/by-sa/4.0/" in text
    assert "SpaceNet on AWS, Maxar, CosmiQ Works, CC BY-SA 4.0" in text


@pytest.mark.usefixtures("vegas")
def test_progress_is_in_bytes_and_files_and_only_grows() -> None:
    told: list[tuple[float, str]] = []
    download_tiles(TileSelection.of(VEGAS, [1, 2]), lambda share, doing: told.append((share, doing)))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert any("4 of 4 files" in doing and "KB" in doing for _, doing in told)


@pytest.mark.usefixtures("vegas")
def test_more_than_the_disk_holds_is_refused_before_anything_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "free_bytes", lambda: 10_000)
    with pytest.raises(InsufficientDiskSpace, match=r"needs \d+ KB, but only 10 KB of disk space"):
        download_tiles(TileSelection.of(VEGAS, [1]))
    assert not settings().spacenet.exists()


@pytest.mark.usefixtures("vegas")
def test_two_downloads_at_a_time_are_one_too_many() -> None:
    settings().spacenet.mkdir(parents=True)
    with FileLock(settings().spacenet / ".lock"), pytest.raises(DownloadRunning, match="Another download"):
        download_tiles(TileSelection.of(VEGAS, [1]))


def test_without_network_one_sentence_is_all(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(BucketUnreachable, match="cannot be reached"):
        download_tiles(TileSelection.of(VEGAS, [1]))
    assert not settings().spacenet.exists()


@pytest.mark.usefixtures("vegas")
@pytest.mark.parametrize("error", [BucketUnreachable(detail="no connection"), DiskFull(name="img4.tif")])
def test_where_network_or_disk_ends_in_the_middle_what_came_is_registered(
    monkeypatch: pytest.MonkeyPatch, error: GroundplanError
) -> None:
    real = Bucket.read

    def read(self: Bucket, wanted: Object, offset: int = 0) -> Iterator[bytes]:
        if "img4" in wanted.name:
            raise error
        return real(self, wanted, offset)

    monkeypatch.setattr(Bucket, "read", read)
    monkeypatch.setattr(module, "THREADS", 1)
    monkeypatch.setattr(module, "_MAX_REGISTERED_ON_STOP", 0)  # this is no stop: however much it is
    with pytest.raises(type(error)):
        download_tiles(TileSelection.of(VEGAS, [1, 2, 4]))
    assert [tile.short_id for tile in read_catalog().tiles] == ["img1", "img2"]
    assert len(read_manifest(settings().spacenet / "manifest.json")) == 4
    monkeypatch.setattr(Bucket, "read", real)
    download_tiles(TileSelection.of(VEGAS, [1, 2, 4]))
    assert [tile.short_id for tile in read_catalog().tiles] == ["img1", "img2", "img4"]


class Stop(BaseException):
    """What SIGTERM or Ctrl-C raises in the main thread."""


def test_a_stop_leaves_no_half_file_and_keeps_the_parts(bucket: FakeBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytes(2_000_000)
    for number in range(20):
        bucket.put(area_named(VEGAS).key("PS-RGB", number), content + bytes([number]))
    real = Bucket.read

    def slowly(self: Bucket, wanted: Object, offset: int = 0) -> Iterator[bytes]:
        for chunk in real(self, wanted, offset):
            yield chunk
            time.sleep(0.1)

    def stop(share: float, _doing: str) -> None:
        if share > 0.1:
            raise Stop

    monkeypatch.setattr(Bucket, "read", slowly)
    request = TileSelection.of(VEGAS, range(20), ["PS-RGB"])
    with pytest.raises(Stop):
        download_tiles(request, stop)
    plan = plan_download(request)
    whole = [one for one in plan.all_objects if local_path(one).exists()]
    assert all(local_path(one).stat().st_size == one.size for one in whole)
    assert len(whole) < 20
    parts = [*settings().spacenet.rglob("*.part")]
    assert parts
    monkeypatch.setattr(Bucket, "read", real)
    assert len(download_tiles(request).problems) == 20  # they are no pictures
    assert all(local_path(one).stat().st_size == one.size for one in plan.all_objects)
    assert not [*settings().spacenet.rglob("*.part")]


@pytest.mark.usefixtures("vegas")
@pytest.mark.parametrize(("quick", "known"), [(4, ["img1", "img2"]), (3, [])])
def test_on_a_stop_what_came_is_registered_where_that_is_quick(
    monkeypatch: pytest.MonkeyPatch, quick: int, known: list[str]
) -> None:
    def stop(_share: float, doing: str) -> None:
        if "4 of 4 files" in doing:
            raise Stop

    monkeypatch.setattr(module, "_MAX_REGISTERED_ON_STOP", quick)
    with pytest.raises(Stop):
        download_tiles(TileSelection.of(VEGAS, [1, 2]), stop)
    assert [tile.short_id for tile in read_catalog().tiles] == known


def test_the_job_does_the_same_and_says_what_is_missing(vegas: FakeBucket, capsys: pytest.CaptureFixture[str]) -> None:
    fetch_task(TileSelection.of(VEGAS, [1, 3]).params(), lambda _share, _doing: None)
    said = capsys.readouterr().out
    assert "no PS-RGB and geojson_buildings for tiles 3 of AOI_2_Vegas." in said
    assert "1 tile in 1 area" in said


def test_a_worker_s_job_is_stopped_and_goes_on(bucket: FakeBucket) -> None:
    content = bytes(4_000_000)
    for number in range(60):
        bucket.put(area_named(VEGAS).key("PS-RGB", number), content + bytes([number]))
    queue = Queue(settings().queue)
    job = queue.submit("fetch", TileSelection.of(VEGAS, range(60), ["PS-RGB"]).params())
    with launch(job) as run:
        wait_for(lambda: [*settings().spacenet.rglob("*.part")])
        run.stop()
    sizes = {path.stat().st_size for path in settings().spacenet.rglob("*.tif")}
    assert sizes <= {len(content) + 1}
    assert "Traceback" not in "\n".join(JobFolder.of(job.id).tail())


def test_sizes_are_written_for_people() -> None:
    assert [format_bytes(size) for size in (0, 6_000, 2_540_000, 12_300_000_000)] == [
        "0 KB",
        "6 KB",
        "2.5 MB",
        "12.3 GB",
    ]
