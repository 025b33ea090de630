"""TFRecord dataset for the TensorFlow Object Detection API: images, boxes, classes and instance masks."""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.exports.datasets.samples import ExportSample
from core.runtime.keras_backend import start_keras

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass
class TfRecord:
    """TFRecord writer: train.tfrecord, val.tfrecord, label_map.pbtxt."""

    folder: Path
    _writers: dict[str, Any] = field(default_factory=dict, init=False)

    def add(self, sample: ExportSample) -> None:
        """Append a sample as one record."""
        start_keras()
        import tensorflow as tf

        if sample.split not in self._writers:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._writers[sample.split] = tf.io.TFRecordWriter(str(self.folder / f"{sample.split}.tfrecord"))
        self._writers[sample.split].write(_record(sample).SerializeToString())

    def close(self) -> None:
        """Close the record files and write the label map."""
        for writer in self._writers.values():
            writer.close()
        (self.folder / "label_map.pbtxt").write_text("item {\n  id: 1\n  name: 'building'\n}\n")


def _record(sample: ExportSample) -> "tf.train.Example":
    import tensorflow as tf

    def int_feature(*values: int) -> "tf.train.Feature":
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def text(*values: bytes) -> "tf.train.Feature":
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    def float_feature(values: NDArray[np.float64]) -> "tf.train.Feature":
        return tf.train.Feature(float_list=tf.train.FloatList(value=values.tolist()))

    rows, columns = sample.shape
    left, top, right, bottom = (sample.boxes / [columns, rows, columns, rows]).clip(0, 1).T
    count, name = len(sample.buildings), f"{sample.name}.png".encode()
    masks = [_png((sample.instance_mask == n + 1).astype(np.uint8)) for n in range(count)]
    features = {
        "image/encoded": text(_png(sample.pixels)), "image/format": text(b"png"), "image/filename": text(name),
        "image/source_id": text(name), "image/height": int_feature(rows), "image/width": int_feature(columns),
        "image/object/bbox/xmin": float_feature(left), "image/object/bbox/xmax": float_feature(right),
        "image/object/bbox/ymin": float_feature(top), "image/object/bbox/ymax": float_feature(bottom),
        "image/object/class/text": text(*[b"building"] * count), "image/object/class/label": int_feature(*[1] * count),
        "image/object/mask": text(*masks),
    }  # fmt: skip
    return tf.train.Example(features=tf.train.Features(feature=features))


def _png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG")
    return file.getvalue()
