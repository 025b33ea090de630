"""The Upload page: what it says of a file, what its buttons do."""

import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.catalog.store import Catalog, read_catalog
from core.jobs.queue import Job, Queue, State
from core.settings import settings
from core.uploads.ingest import add, ingest
from core.uploads.upload import uploads
from tests.app.conftest import OpenPage
from tests.app.test_pages import html
from tests.core.geotiff import pixels_of, write_geotiff
from tests.core.tile_factory import HOUSES, grid_at, write_labels

pytestmark = [
    pytest.mark.usefixtures("empty_data"),
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
]


@pytest.fixture
def page(open_page: OpenPage) -> AppTest:
    return open_page("upload")


def give(page: AppTest, name: str, content: bytes, box: int = 0) -> AppTest:
    """Puts a file into a box of the page."""
    page.get("file_uploader")[box].set_value((name, content, "application/octet-stream")).run()
    assert not page.exception
    return page


def image(folder: Path, **profile) -> bytes:
    return write_geotiff(folder / "made.tif", pixels_of(), **profile).read_bytes()


def labels(folder: Path, column: float = 0) -> bytes:
    return write_labels(folder / "made.geojson", grid_at(column=column), HOUSES).read_bytes()


def press(page: AppTest, label: str) -> AppTest:
    page = next(button for button in page.button if button.label == label).click().run()
    assert not page.exception
    return page


def buttons(page: AppTest) -> list[str]:
    return [button.label for button in page.button]


def jobs() -> list[Job]:
    return Queue(settings().queue).jobs(task="upload")


def finish(state: State = State.DONE, error: str | None = None) -> None:
    """Does what a worker would."""
    queue = Queue(settings().queue)
    job = queue.claim("w")
    assert job is not None
    if state is State.DONE:
        add(job.params["upload"])
    queue.finish(job.id, "w", state, error)


def folders() -> list[Path]:
    return [*settings().uploads.glob("*")]


def test_the_empty_page_says_what_it_is_for(page: AppTest) -> None:
    assert not page.exception
    assert any("No uploads yet" in text.value for text in page.markdown)
    assert any("inbox" in caption.value for caption in page.caption)
    assert buttons(page) == []


def test_a_good_image_is_described_and_added(page: AppTest, tmp_path: Path) -> None:
    give(page, "Old town.tif", image(tmp_path))
    shown = html(page)
    assert all(fact in shown for fact in ("64 × 64 px", "3, uint8", "EPSG:32611", "0.5\u2009m", "0\u2009%"))
    assert page.text_input[0].value == "Old town"
    page.text_input[1].set_value("City of Springs, CC BY 4.0")
    press(page, "Add to the map")
    [job], [upload] = jobs(), uploads()
    assert (job.params, job.title, job.state) == ({"upload": upload.id}, "Add Old town", State.QUEUED)
    assert upload.attribution == "City of Springs, CC BY 4.0"
    assert "Add Old town" in html(page)
    assert page.get("file_uploader")[0].value is None
    finish()
    page.run()
    assert "View on map" in buttons(page)
    assert page.button(key=f"show {upload.id}").proto.type == "primary"
    press(page, "View on map")
    assert page.query_params["tile"] == upload.id


def test_a_file_is_checked_once_and_not_at_every_rerun(page: AppTest, tmp_path: Path) -> None:
    give(page, "a.tif", image(tmp_path))
    [first] = uploads()
    page.run()
    page.text_input[0].set_value("Another name").run()
    assert uploads() == [first]


def test_a_jpeg_named_tif_is_said_so(page: AppTest) -> None:
    give(page, "photo.tif", b"\xff\xd8\xff\xe0 JFIF")
    assert "photo.tif is not a GeoTIFF (a JPEG)" in page.error[0].value
    assert "Add to the map" not in buttons(page)
    assert folders() == []


def test_a_hostile_name_is_shown_as_text(page: AppTest, tmp_path: Path) -> None:
    give(page, "<img src=x onerror=alert(1)>[x](http://evil).tif", image(tmp_path))
    press(page, "Add to the map")
    finish()
    page.run()
    assert "<img" not in html(page)
    give(page, "**bold** <script>.tif", b"\xff\xd8\xff\xe0")
    assert r"\*\*bold\*\* \<script\>.tif" in page.error[0].value


def test_an_image_without_a_place_is_given_an_epsg_code(page: AppTest, tmp_path: Path) -> None:
    give(page, "a.tif", image(tmp_path, bare=True, transform=grid_at().transform))
    assert "has no coordinate reference system" in page.error[0].value
    assert page.button[0].disabled
    page.text_input[0].set_value("32611").run()
    press(page, "Apply")
    assert not page.error
    assert "EPSG:32611" in html(page)
    [upload] = uploads()
    assert upload.georeference.epsg == "32611"


def test_an_image_without_coordinates_is_given_its_edges(page: AppTest, tmp_path: Path) -> None:
    give(page, "a.tif", image(tmp_path, bare=True))
    page.segmented_control[0].set_value("Bounding box").run()
    press(page, "Apply")
    assert "Invalid bounding box" in page.error[0].value
    for box, degrees in zip(page.number_input, (8.0, 8.001, 50.0, 50.001), strict=True):
        box.set_value(degrees)
    press(page, "Apply")
    assert not page.error
    assert uploads()[0].georeference.edges == (8.0, 50.0, 8.001, 50.001)


def test_a_code_without_coordinates_leads_to_the_edges(page: AppTest, tmp_path: Path) -> None:
    give(page, "a.tif", image(tmp_path, bare=True))
    page.text_input[0].set_value("32611").run()
    press(page, "Apply")
    assert "an EPSG code is not enough" in page.error[0].value
    assert len(page.number_input) == 4


def test_another_file_takes_the_place_of_the_first(page: AppTest, tmp_path: Path) -> None:
    give(page, "a.tif", image(tmp_path))
    give(page, "b.tif", image(tmp_path))
    assert [upload.file for upload in uploads()] == ["b.tif"]
    assert len(folders()) == 1


def test_a_file_taken_out_again_is_removed_from_the_server(page: AppTest, tmp_path: Path) -> None:
    give(page, "a.tif", image(tmp_path))
    page.get("file_uploader")[0].set_value(None).run()
    assert folders() == []


# Labels


def test_labels_come_with_the_image(page: AppTest, tmp_path: Path) -> None:
    give(page, "a.tif", image(tmp_path))
    give(page, "a.geojson", labels(tmp_path), box=1)
    assert "2 buildings matched" in page.success[0].value
    press(page, "Add to the map")
    finish()
    assert read_catalog().tiles[0].buildings == 2


def test_labels_of_another_place_are_refused_and_can_be_taken_out(page: AppTest, tmp_path: Path) -> None:
    give(page, "a.tif", image(tmp_path))
    give(page, "a.geojson", labels(tmp_path, column=9000), box=1)
    assert "none within the image" in page.error[0].value
    assert page.button[0].disabled
    page.get("file_uploader")[1].set_value(None).run()
    assert not page.error
    assert not page.button[0].disabled
    assert uploads()[0].labels is None


def test_labels_are_added_and_replaced_later(open_page: OpenPage, tmp_path: Path) -> None:
    tile = ingest(write_geotiff(tmp_path / "a.tif", pixels_of()))
    page = open_page("upload")
    for houses in (2, 1):
        content = write_labels(tmp_path / "l.geojson", grid_at(), HOUSES[:houses]).read_bytes()
        give(page, "l.geojson", content, box=1)
        page.button(key=f"label {tile.id}").click().run()
        assert read_catalog().tile(tile.id).buildings == houses
    give(page, "l.geojson", b"{", box=1)
    page.button(key=f"label {tile.id}").click().run()
    assert "l.geojson is not a GeoJSON" in page.error[0].value
    assert read_catalog().tile(tile.id).buildings == 1


# The list


def test_an_upload_is_renamed(open_page: OpenPage, tmp_path: Path) -> None:
    tile = ingest(write_geotiff(tmp_path / "a.tif", pixels_of()))
    page = open_page("upload")
    next(box for box in page.text_input if box.label == "Name").set_value("Altes Dorf").run()
    page.button(key=f"rename {tile.id}").click().run()
    assert read_catalog().tile(tile.id).title == "Altes Dorf"
    assert "Altes Dorf" in html(page)


def test_deleting_asks_first_and_says_what_goes(open_page: OpenPage, tmp_path: Path) -> None:
    tile = ingest(write_geotiff(tmp_path / "a.tif", pixels_of()))
    page = open_page("upload")
    assert any("its labels and its predictions" in text.value for text in page.markdown)
    assert any("The source file on the server is kept" in caption.value for caption in page.caption)
    page.button(key=f"delete {tile.id}").click().run()
    assert read_catalog().tiles == ()
    assert folders() == []
    assert (tmp_path / "a.tif").exists()


def test_a_tile_whose_folder_is_gone_is_listed_and_can_be_deleted(open_page: OpenPage, tmp_path: Path) -> None:
    tile = ingest(write_geotiff(tmp_path / "a.tif", pixels_of()), name="Old <town>")
    shutil.rmtree(settings().uploads / tile.id)
    page = open_page("upload")
    assert "Old &lt;town&gt;" in html(page)
    page.button(key=f"delete {tile.id}").click().run()
    assert read_catalog().tiles == ()
    assert any("No uploads yet" in text.value for text in page.markdown)


def test_what_a_job_works_on_is_not_deleted_and_the_page_says_why(open_page: OpenPage, tmp_path: Path) -> None:
    tile = ingest(write_geotiff(tmp_path / "a.tif", pixels_of()))
    Queue(settings().queue).submit("predict", {"run": "a", "tile": tile.id}, "Predict roofs")
    page = open_page("upload")
    page.button(key=f"delete {tile.id}").click().run()
    assert "Predict roofs" in page.error[0].value
    assert read_catalog().tiles == (tile,)


def test_a_failed_job_says_why_and_can_be_tried_again(page: AppTest, tmp_path: Path) -> None:
    give(page, "a.tif", image(tmp_path))
    press(page, "Add to the map")
    finish(State.FAILED, "There is not enough disk space.")
    page.run()
    assert "not enough disk space" in page.error[0].value
    press(page, "Retry")
    assert [job.state for job in jobs()] == [State.QUEUED, State.FAILED]
    assert jobs()[0].params == jobs()[1].params


@pytest.mark.usefixtures("city")
def test_other_tiles_are_not_among_the_uploads(page: AppTest) -> None:
    assert any("No uploads yet" in text.value for text in page.markdown)


def test_an_image_somebody_else_is_about_to_add_is_not_shown(open_page: OpenPage, tmp_path: Path) -> None:
    give(open_page("upload"), "secret.tif", image(tmp_path))
    assert "secret" not in html(open_page("upload"))


# The inbox


def test_a_file_in_the_inbox_is_taken_in(open_page: OpenPage, tmp_path: Path) -> None:
    settings().inbox.mkdir(parents=True)
    (settings().inbox / "<b>big.tif").write_bytes(image(tmp_path))
    (settings().inbox / "link.tif").symlink_to(tmp_path / "made.tif")
    page = open_page("upload")
    assert "&lt;b&gt;big.tif" in html(page)
    assert buttons(page) == ["Import"]
    press(page, "Import")
    [job] = jobs()
    assert job.params == {"inbox": "<b>big.tif"}
    assert "Import" not in buttons(page)


def test_what_was_taken_in_is_marked(open_page: OpenPage, tmp_path: Path) -> None:
    settings().inbox.mkdir(parents=True)
    path = settings().inbox / "big.tif"
    path.write_bytes(image(tmp_path))
    ingest(path)
    page = open_page("upload")
    assert "on the map" in html(page)
    assert "Re-import" in buttons(page)


def test_the_page_leaves_the_catalogue_alone(city: Catalog, open_page: OpenPage) -> None:
    open_page("upload")
    assert read_catalog() == city
