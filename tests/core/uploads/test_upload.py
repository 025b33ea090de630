"""Images that people bring: received, found again, renamed, deleted, forgotten; nothing leaves their folders."""

import io
import os
import shutil
import time
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core.catalog.register import remove
from core.catalog.store import read_catalog, update_catalog
from core.errors import (
    CannotWrite,
    EmptyImage,
    MissingGeoreference,
    NoSuchUpload,
    RasterError,
    UnsupportedRaster,
    UploadBusy,
    UploadTooLarge,
)
from core.jobs.queue import Queue, State
from core.settings import settings
from core.uploads import upload as module
from core.uploads.ingest import add
from core.uploads.upload import (
    Upload,
    clean_name,
    delete,
    delete_abandoned,
    new_folder,
    receive,
    rename,
    upload_jobs,
    uploads,
)
from core.uploads.validation import Georeference
from tests.core.geotiff import pixels_of, write_geotiff
from tests.core.tile_factory import grid_at

pytestmark = [
    pytest.mark.usefixtures("data"),
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
]


def stream(folder: Path, pixels=None, **profile) -> io.BytesIO:
    path = write_geotiff(folder / "roofs.tif", pixels_of() if pixels is None else pixels, **profile)
    return io.BytesIO(path.read_bytes())


def received(folder: Path, file: str = "My roofs.tif", **profile) -> Upload:
    return receive(stream(folder, **profile), file)


def on_the_map(folder: Path) -> Upload:
    upload = received(folder)
    add(upload.id)
    return upload


def files() -> list[str]:
    return sorted(path.name for path in settings().uploads.rglob("*") if path.is_file())


# Received


def test_what_a_page_was_given_lies_in_a_folder_of_a_random_name(tmp_path):
    first, second = received(tmp_path), received(tmp_path)
    assert first.id != second.id
    assert first.folder.parent == settings().uploads
    assert sorted(path.name for path in first.folder.iterdir()) == ["original.tif", "upload.json"]
    assert first.original.read_bytes() == (tmp_path / "roofs.tif").read_bytes()
    assert (first.name, first.file) == ("My roofs", "My roofs.tif")
    assert first.grid == grid_at()
    assert read_catalog().tiles == ()


def test_it_is_found_again_as_it_was(tmp_path):
    upload = receive(stream(tmp_path, bare=True), "roofs.tif", Georeference(edges=(8.0, 50.0, 8.001, 50.001)))
    assert Upload.find(upload.id) == upload
    assert uploads() == [upload]


def test_a_file_of_spacenets_own_name_carries_its_attribution(tmp_path):
    assert "CosmiQ" in received(tmp_path, "RGB-PanSharpen_AOI_2_Vegas_img225.tif").attribution
    assert received(tmp_path, "roofs.tif").attribution == ""


@pytest.mark.parametrize(("size", "refused"), [(10_000, False), (9_999, True)])
def test_the_size_of_a_file_is_limited_in_a_page(tmp_path, monkeypatch, size, refused):
    monkeypatch.setenv("GROUNDPLAN_MAX_UPLOAD_BYTES", str(size))
    settings.cache_clear()
    small = stream(tmp_path, pixels_of(shape=(32, 32))).getvalue().ljust(10_000, b"\0")
    assert len(small) == 10_000
    if refused:
        with pytest.raises(UploadTooLarge, match=r"roofs.tif .*inbox on .*python -m core catalog add"):
            receive(io.BytesIO(small), "roofs.tif")
    else:
        receive(io.BytesIO(small), "roofs.tif")


def test_size_is_asked_before_format(monkeypatch):
    monkeypatch.setenv("GROUNDPLAN_MAX_UPLOAD_BYTES", "3")
    settings.cache_clear()
    with pytest.raises(UploadTooLarge):
        receive(io.BytesIO(b"\xff\xd8\xff\xe0 JPEG"), "roofs.tif")


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8\xff\xe0 JFIF", b"<VRTDataset/>", b"II*\0", b"MM\0*" + b"\xff" * 99]
)
def test_a_refused_file_leaves_no_folder(content):
    with pytest.raises(RasterError, match="My photo"):
        receive(io.BytesIO(content), "My photo.tif")
    assert files() == []
    assert not settings().uploads.exists() or not any(settings().uploads.iterdir())


def test_a_jpeg_never_reaches_the_disk(monkeypatch):
    monkeypatch.setattr(module, "new_folder", lambda: pytest.fail("a folder was made"))
    with pytest.raises(UnsupportedRaster, match="a JPEG"):
        receive(io.BytesIO(b"\xff\xd8\xff\xe0 JFIF"), "photo.tif")


@pytest.mark.parametrize(("pixels", "profile", "error"), [
    (pixels_of(), {"bare": True}, MissingGeoreference), (pixels_of() * 0, {}, EmptyImage),
])  # fmt: skip
def test_sentences_name_the_file_as_its_owner_does(tmp_path, pixels, profile, error):
    with pytest.raises(error, match="Haus und Hof"):
        receive(stream(tmp_path, pixels, **profile), "Haus und Hof.tif")
    assert files() == []


def test_a_stop_in_the_middle_leaves_nothing(tmp_path):
    def stop(_share, _doing):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        receive(stream(tmp_path), "roofs.tif", report=stop)
    assert files() == []


def test_a_folder_that_cannot_be_made_is_a_sentence(data):
    data.mkdir()
    (data / "uploads").write_text("in the way")
    with pytest.raises(CannotWrite), new_folder():
        pass


# Names

HOSTILE = [
    "../../../etc/passwd.tif", "..\\..\\windows\\system.tif", "/etc/shadow.tif", "a\0b.tif", "x" * 4096 + ".tif",
    "\u202egpj.tif", "${7*7}.tif", "<img src=x onerror=alert(1)>.tif", "</script><script>alert(1)</script>.tif",
    "con.tif", ".", "..", "", "~root.tif", "%2e%2e%2f.tif", "a\nb.tif", "\ud800.tif", "🏠.tif",
    "'; DROP TABLE jobs; --.tif", "{name}.tif",
]  # fmt: skip


@pytest.mark.parametrize("file", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_name_is_only_a_name(tmp_path, file):
    upload = received(tmp_path, file)
    add(upload.id)
    tile = read_catalog().tile(upload.id)
    assert upload.folder.resolve().parent == settings().uploads.resolve()
    assert files() == ["image.tif", "upload.json"]
    assert {path.name for path in tmp_path.iterdir()} == {"roofs.tif", "data"}
    assert 0 < len(tile.title) <= 80
    assert tile.title.isprintable()
    with pytest.raises(UnsupportedRaster) as error:
        receive(io.BytesIO(b"no"), file)
    assert str(error.value).isprintable()


@given(st.text(st.characters(), max_size=300))
@hypothesis_settings(deadline=None)
def test_a_tidy_name_is_short_printable_and_stays_so(text):
    name = clean_name(text)
    assert 0 < len(name) <= 80
    assert name == clean_name(name)
    assert name.isprintable()
    name.encode()


@pytest.mark.parametrize("name", [
    "..", "upload_", "upload_../../x", "upload_0123456789abcdeg", "Upload_0123456789abcdef", "", "/etc",
    "upload_0123456789abcdef\n", "upload_0123456789abcdef",
])  # fmt: skip
def test_only_ids_of_uploads_name_a_folder(name):
    for act in (Upload.find, lambda name: rename(name, "x")):
        with pytest.raises(NoSuchUpload):
            act(name)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"\xff", b'{"id": 3}'])
def test_a_damaged_record_is_no_upload(tmp_path, content):
    upload = received(tmp_path)
    (upload.folder / "upload.json").write_bytes(content)
    assert uploads() == []
    with pytest.raises(NoSuchUpload):
        Upload.find(upload.id)


# Renamed, deleted, forgotten


def test_an_upload_is_renamed_on_its_page_and_on_the_map(tmp_path):
    upload = on_the_map(tmp_path)
    rename(upload.id, "  Altes\n Dorf ")
    assert Upload.find(upload.id).name == read_catalog().tile(upload.id).title == "Altes Dorf"
    rename(upload.id, " \u202e ")
    assert Upload.find(upload.id).name == "Altes Dorf"


def test_before_it_is_on_the_map_it_can_be_renamed_too(tmp_path):
    upload = received(tmp_path)
    assert rename(upload.id, "New").name == "New"
    assert add(upload.id).title == "New"


def test_deleting_removes_tile_files_and_what_was_predicted_on_it(tmp_path):
    upload, other = on_the_map(tmp_path), on_the_map(tmp_path)
    for run in ("run1", "run2"):
        for name in (upload.id, other.id):
            (settings().predictions / run / name).mkdir(parents=True)
    delete(upload.id)
    assert [tile.id for tile in read_catalog().tiles] == [other.id]
    assert [found.id for found in uploads()] == [other.id]
    assert not upload.folder.exists()
    assert sorted(path.name for path in settings().predictions.glob("*/*")) == [other.id, other.id]
    delete(upload.id)


def test_a_damaged_upload_can_be_deleted(tmp_path):
    upload = on_the_map(tmp_path)
    (upload.folder / "upload.json").unlink()
    delete(upload.id)
    assert not upload.folder.exists()
    assert read_catalog().tiles == ()


@pytest.mark.parametrize("claimed", [False, True])
def test_what_a_job_works_on_is_not_deleted(tmp_path, claimed):
    upload, queue = received(tmp_path), Queue(settings().queue)
    job = queue.submit("upload", {"upload": upload.id})
    if claimed:
        queue.claim("w")
    with pytest.raises(UploadBusy, match="My roofs"):
        delete(upload.id)
    assert upload.original.exists()
    if claimed:
        queue.finish(job.id, "w", State.FAILED)
    else:
        queue.request_stop(job.id)
    delete(upload.id)
    assert not upload.folder.exists()


@pytest.mark.parametrize(("task", "params"), [
    ("predict", {"run": "a", "tile": "{id}"}), ("train", {"run": "a", "tiles": ["other", "{id}"]}),
])  # fmt: skip
@pytest.mark.parametrize("claimed", [False, True])
def test_what_is_predicted_or_trained_on_is_not_deleted(tmp_path, task, params, claimed):
    upload, queue = on_the_map(tmp_path), Queue(settings().queue)
    named = orjson.loads(orjson.dumps(params).replace(b"{id}", upload.id.encode()))
    job = queue.submit(task, named, "Learn roofs")
    if claimed:
        queue.claim("w")
    with pytest.raises(UploadBusy, match=r"My roofs .*Learn roofs"):
        delete(upload.id)
    assert read_catalog().tile(upload.id).image.exists()
    queue.finish(job.id, "w", State.DONE) if claimed else queue.request_stop(job.id)
    delete(upload.id)
    assert not upload.folder.exists()


def test_a_tile_whose_folder_is_gone_can_be_deleted(tmp_path):
    upload = on_the_map(tmp_path)
    shutil.rmtree(upload.folder)
    delete(upload.id)
    assert read_catalog().tiles == ()


def test_the_files_of_a_tile_that_was_taken_off_the_map_are_not_forgotten(tmp_path):
    upload = on_the_map(tmp_path)
    remove([upload.id])
    os.utime(upload.folder, (time.time() - 86_500,) * 2)
    delete_abandoned()
    assert upload.image.exists()


def test_deleting_follows_no_link(tmp_path):
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    (treasure / "kept").touch()
    settings().uploads.mkdir(parents=True)
    (settings().uploads / "upload_0123456789abcdef").symlink_to(treasure)
    delete("upload_0123456789abcdef")
    for name in ("..", "../../treasure", "*"):
        with pytest.raises(NoSuchUpload):
            delete(name)
    assert (treasure / "kept").exists()


def test_folders_of_no_tile_and_no_job_are_forgotten_after_a_day(tmp_path):
    old, young, queued, mapped = (received(tmp_path) for _ in range(4))
    Queue(settings().queue).submit("upload", {"upload": queued.id})
    add(mapped.id)
    for upload in (old, queued, mapped):
        os.utime(upload.folder, (time.time() - 86_500,) * 2)
    delete_abandoned()
    assert {upload.id for upload in uploads()} == {young.id, queued.id, mapped.id}
    assert not old.folder.exists()


def test_the_latest_job_of_an_upload_counts():
    queue = Queue(settings().queue)
    first, last = (queue.submit("upload", {"upload": "a"}) for _ in range(2))
    queue.submit("upload", {"inbox": "b.tif"})
    assert {name: job.id for name, job in upload_jobs().items()} == {"a": last.id}
    assert first.id < last.id


def test_a_tile_that_is_no_upload_is_left_alone_by_all_this(tmp_path):
    upload = on_the_map(tmp_path)
    before = read_catalog()
    update_catalog(lambda catalog: catalog)
    delete("upload_0123456789abcdef")
    assert read_catalog() == before
    assert upload.folder.exists()
