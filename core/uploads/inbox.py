"""Upload inbox: a folder on the server for GeoTIFFs too large to upload; no path outside it is accessible."""

from dataclasses import dataclass
from pathlib import Path

from core.errors import NotInInbox
from core.settings import settings
from core.uploads.upload import clean_name

SUFFIXES = (".tif", ".tiff")


@dataclass(frozen=True)
class InboxFile:
    """GeoTIFF in the inbox."""

    path: Path
    size: int  #: bytes

    @property
    def name(self) -> str:
        """File name."""
        return self.path.name


def inbox() -> list[InboxFile]:
    """List the GeoTIFFs directly in the inbox by name; folders and links, which could lead anywhere, are skipped."""
    folder = settings().inbox
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return [
        InboxFile(path, path.stat().st_size)
        for path in files
        if path.suffix.lower() in SUFFIXES and not path.is_symlink() and path.is_file()
    ]


def inbox_file(name: str) -> InboxFile:
    """Look up an inbox file by its name among the listed ones; raises NotInInbox."""
    for file in inbox():
        if file.name == name:
            return file
    raise NotInInbox(name=clean_name(name), inbox=str(settings().inbox))
