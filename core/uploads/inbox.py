"""The inbox: a folder on the server for images that are too large for a browser. Nothing outside it is ever named."""

from dataclasses import dataclass
from pathlib import Path

from core.errors import NotInInbox
from core.settings import settings
from core.uploads.upload import tidy

SUFFIXES = (".tif", ".tiff")


@dataclass(frozen=True)
class Waiting:
    """A GeoTIFF in the inbox."""

    path: Path
    size: int  #: bytes

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name


def inbox() -> list[Waiting]:
    """The GeoTIFFs that lie in the inbox itself, by name; no folders and no links, which could lead anywhere."""
    folder = settings().inbox
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return [
        Waiting(path, path.stat().st_size)
        for path in files
        if path.suffix.lower() in SUFFIXES and not path.is_symlink() and path.is_file()
    ]


def waiting(name: str) -> Waiting:
    """The file of that name, looked up among those there are; raises NotInInbox."""
    for found in inbox():
        if found.name == name:
            return found
    raise NotInInbox(name=tidy(name), inbox=str(settings().inbox))
