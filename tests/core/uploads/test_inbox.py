"""The inbox shows the GeoTIFFs that lie in it, and nothing that lies elsewhere."""

from pathlib import Path

import pytest

from core.errors import NotInInbox
from core.settings import settings
from core.uploads.inbox import inbox, inbox_file

pytestmark = pytest.mark.usefixtures("data")


def test_without_the_folder_there_is_nothing():
    assert inbox() == []


def test_geotiffs_are_listed_with_their_size(tmp_path: Path):
    folder = settings().inbox
    (folder / "deeper").mkdir(parents=True)
    for name in ("b.TIF", "a.tiff", "notes.txt", "deeper/c.tif"):
        (folder / name).write_bytes(b"12345")
    (tmp_path / "secret.tif").write_bytes(b"secret")
    (folder / "link.tif").symlink_to(tmp_path / "secret.tif")
    (folder / "broken.tif").symlink_to(tmp_path / "nowhere.tif")
    (folder / "folder.tif").mkdir()
    assert [(found.name, found.size) for found in inbox()] == [("a.tiff", 5), ("b.TIF", 5)]
    assert inbox_file("b.TIF").path == folder / "b.TIF"


@pytest.mark.parametrize("name", ["link.tif", "../secret.tif", "deeper/c.tif", "", "x\0.tif"])
def test_only_a_listed_name_is_found(name: str, tmp_path: Path):
    settings().inbox.mkdir(parents=True)
    (tmp_path / "secret.tif").touch()
    (settings().inbox / "link.tif").symlink_to(tmp_path / "secret.tif")
    with pytest.raises(NotInInbox, match="Copy it there again"):
        inbox_file(name)
