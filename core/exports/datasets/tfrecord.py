"""TFRecord with the features of TensorFlow's object detection API: picture, boxes, classes, a mask a building."""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.exports.datasets.samples import Example
from core.runtime.keras_backend import start_keras

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass
class TfRecord:
    """train.tfrecord, val.tfrecord, label_map.pbtxt."""

    folder: Path
    _writers: dict[str, Any] = field(default_factory=dict, init=False)

    def add(self, example: Example) -> None:
        """Writes one record."""
        start_keras()
        import tensorflow as tf

        if example.side not in self._writers:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._writers[example.side] = tf.io.TFRecordWriter(str(self.folder / f"{example.side}.tfrecord"))
        self._writers[example.side].write(_record(example).SerializeToString())

    def close(self) -> None:
        """Ends the files."""
        for writer in self._writers.values():
            writer.close()
        (self.folder / "label_map.pbtxt").write_text("item {\n  id: 1\n  name: 'building'\n}\n")


def _record(example: Example) -> "tf.train.Example":
    import tensorflow as tf

    def whole(*values: int) -> "tf.train.Feature":
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def text(*values: bytes) -> "tf.train.Feature":
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    def real(values: NDArray[np.float64]) -> "tf.train.Feature":
        return tf.train.Feature(float_list=tf.train.FloatList(value=values.tolist()))

    rows, columns = example.shape
    left, top, right, bottom = (example.boxes / [columns, rows, columns, rows]).clip(0, 1).T
    count, name = len(example.buildings), f"{example.name}.png".encode()
    masks = [_png((example.numbered == n + 1).astype(np.uint8)) for n in range(count)]
    features = {
        "image/encoded": text(_png(example.pixels)), "image/format": text(b"png"), "image/filename": text(name),
        "image/source_id": text(name), "image/height": whole(rows), "image/width": whole(columns),
        "image/object/bbox/xmin": real(left), "image/object/bbox/xmax": real(right),
        "image/object/bbox/ymin": real(top), "image/object/bbox/ymax": real(bottom),
        "image/object/class/text": text(*[b"building"] * count), "image/object/class/label": whole(*[1] * count),
        "image/object/mask": text(*masks),
    }  # fmt: skip
    return tf.train.Example(features=tf.train.Features(feature=features))


def _png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG")
    return file.getvalue()
