"""Dataset writer: samples to a new folder in COCO, Pascal VOC, YOLO, SBD or TFRecord format."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from core.atomic_files import atomic_folder
from core.errors import InvalidSetting
from core.exports.datasets.coco import Coco
from core.exports.datasets.samples import ExportSample
from core.exports.datasets.sbd import Sbd
from core.exports.datasets.tfrecord import TfRecord
from core.exports.datasets.voc import Voc
from core.exports.datasets.yolo import Yolo


class Writer(Protocol):
    """Dataset writer: saves samples to a folder in one format."""

    def add(self, sample: ExportSample) -> None:
        """Save a sample."""

    def close(self) -> None:
        """Write the files of the whole dataset."""


@dataclass(frozen=True)
class Format:
    """Dataset format: title and writer."""

    title: str
    writer: Callable[[Path], Writer]


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "coco": Format("COCO", Coco),
        "voc": Format("PASCAL VOC 2012", Voc),
        "yolo": Format("YOLO bounding boxes (Darknet)", Yolo),
        "yolo-segments": Format("YOLO polygons (segmentation)", partial(Yolo, outlines=True)),
        "sbd": Format("SBD: Semantic Boundaries (.mat)", Sbd),
        "tfrecord": Format("TFRecord", TfRecord),
    }
)


def write_set(samples: Iterable[ExportSample], kind: str, folder: Path) -> int:
    """Write a training dataset to a new folder; a failed export leaves nothing behind.

    README.txt in it names the source of images and labels.

    Args:
        samples: Samples to write.
        kind: Name of the dataset format, a key of FORMATS.
        folder: The new folder.

    Returns:
        Number of images.

    Raises:
        InvalidSetting: The format is unknown.
        CannotWrite: The folder exists already or cannot be written.
        DiskFull: The disk is full.
    """
    if kind not in FORMATS:
        raise InvalidSetting(setting="the format", value=kind, detail=f"must be one of {', '.join(FORMATS)}")
    with atomic_folder(folder) as temporary:
        return _write(samples, FORMATS[kind], temporary)


def _write(samples: Iterable[ExportSample], kind: Format, folder: Path) -> int:
    writer, counts, sources = kind.writer(folder), {"train": 0, "val": 0}, dict[str, None]()
    for sample in samples:
        writer.add(sample)
        counts[sample.split] += 1
        sources[sample.attribution] = None
    writer.close()
    attributions = "\n".join(source for source in sources if source)
    (folder / "README.txt").write_text(
        f"Building footprints, format: {kind.title}. Exported by Groundplan.\n"
        f"{counts['train']} training images and {counts['val']} validation images, never of adjacent tiles.\n"
        f"{attributions}\n"
    )
    return sum(counts.values())
