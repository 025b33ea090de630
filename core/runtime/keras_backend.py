"""Initialization of Keras and its backend: threads, random seed, and no backend messages on the terminal."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from tempfile import TemporaryFile

from core.runtime.device import cpu_count


def start_keras(seed: int | None = None) -> None:
    """Import Keras and set the random seed; with more than two cores, one is left to the server.

    Messages of TensorFlow's import (no CUDA, oneDNN) are shown only if it fails.
    """
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(cpu_count() - 1 if cpu_count() > 2 else cpu_count()))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Before TensorFlow, else GDAL finds TensorFlow's SQLite, which writes GeoPackages without a spatial index.
    import_module("pyogrio")
    with silent_stderr():
        import keras

        keras.ops.zeros(1)
    if seed is not None:
        keras.utils.set_random_seed(seed)


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Suppress what C++ writes to stderr, beyond Python's own redirection; it is shown if the work fails."""
    sys.stderr.flush()
    original = os.dup(2)
    with TemporaryFile() as buffer:
        os.dup2(buffer.fileno(), 2)
        try:
            yield
        except BaseException:
            buffer.seek(0)
            os.write(original, buffer.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)
