"""Tiles with their labels as a training set for other programs: a folder, there once it is whole."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from core.atomic_files import new_folder
from core.errors import InvalidSetting
from core.exports.datasets.coco import Coco
from core.exports.datasets.samples import Example
from core.exports.datasets.sbd import Sbd
from core.exports.datasets.tfrecord import TfRecord
from core.exports.datasets.voc import Voc
from core.exports.datasets.yolo import Yolo


class Writer(Protocol):
    """What writes the examples of a set into a folder."""

    def add(self, example: Example) -> None:
        """Writes one."""

    def close(self) -> None:
        """Writes what belongs to all of them."""


@dataclass(frozen=True)
class Format:
    """One a person may choose."""

    title: str
    writer: Callable[[Path], Writer]


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "coco": Format("COCO", Coco),
        "voc": Format("PASCAL VOC 2012", Voc),
        "yolo": Format("Darknet, YOLO: boxes", Yolo),
        "yolo-segments": Format("YOLO: outlines", partial(Yolo, outlines=True)),
        "sbd": Format("Semantic Boundaries (.mat)", Sbd),
        "tfrecord": Format("TFRecord", TfRecord),
    }
)


def write_set(examples: Iterable[Example], kind: str, folder: Path) -> int:
    """Writes a set into a new folder and returns how many pictures it has; a failed one leaves nothing behind.

    Every set says in README.txt whose pixels and labels they are. Raises InvalidSetting for an unknown format,
    CannotWrite where the folder is there already, DiskFull, and what the examples raise.
    """
    if kind not in FORMATS:
        raise InvalidSetting(setting="the format", value=kind, detail=f"it is one of {', '.join(FORMATS)}")
    with new_folder(folder) as part:
        return _write(examples, FORMATS[kind], part)


def _write(examples: Iterable[Example], kind: Format, folder: Path) -> int:
    writer, sides, sources = kind.writer(folder), {"train": 0, "val": 0}, dict[str, None]()
    for example in examples:
        writer.add(example)
        sides[example.side] += 1
        sources[example.attribution] = None
    writer.close()
    whose = "\n".join(source for source in sources if source)
    (folder / "README.txt").write_text(
        f"Building footprints as {kind.title}, exported by Groundplan.\n"
        f"{sides['train']} pictures to train on, {sides['val']} to validate on, never neighbours on the ground.\n"
        f"{whose}\n"
    )
    return sum(sides.values())
