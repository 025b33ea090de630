"""Waking Keras and its backend: threads, seed, and nothing on the terminal that a person has no use for."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from tempfile import TemporaryFile

from core.runtime.device import cpu_count


def start_keras(seed: int | None = None) -> None:
    """Imports keras, leaving one core to the server where there are more than two, and seeds it.

    What TensorFlow prints while it wakes (no CUDA here, oneDNN there) is told only where it fails to.
    """
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(cpu_count() - 1 if cpu_count() > 2 else cpu_count()))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # First, or GDAL would find TensorFlow's SQLite, which writes GeoPackages without a spatial index.
    import_module("pyogrio")
    with silent_stderr():
        import keras

        keras.ops.zeros(1)
    if seed is not None:
        keras.utils.set_random_seed(seed)


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Holds back what C++ writes to stderr, where Python's own redirection does not reach; shown if the work fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
