"""What a network learned from ImageNet, out of a package from PyPI: a file of PyTorch's is read without PyTorch.

The file (the form before PyTorch 1.6) is a row of pickles, then the numbers. Nothing but names, sizes and numbers is
let in: a pickle could run whatever it likes.
"""

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_KINDS: Mapping[str, str] = {"FloatStorage": "<f4", "LongStorage": "<i8"}


def weights_of(opened: IO[bytes]) -> dict[str, NDArray[Any]]:
    """The arrays in an open file of PyTorch's weights, by name.

    Raises pickle.UnpicklingError, and IndexError where numbers are missing.
    """
    for _ in range(3):  # magic number, version, sizes of C's types
        _Names(opened).load()
    tensors = _Names(opened).load()
    kinds = {key: kind for (kind, key), *_ in tensors.values()}
    numbers = {key: _numbers(opened, kinds[key]) for key in _Names(opened).load()}
    return {name: _laid_out(numbers[key], *where) for name, ((_, key), *where) in tensors.items()}


class _Names(pickle.Unpickler):
    """Reads a pickle in which tensors are (storage, offset, size, strides), and a storage its kind and key."""

    def find_class(self, module: str, name: str) -> Any:
        """What such files consist of, and nothing else."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda *parts: parts[:4]
        if module == "torch" and name in _KINDS:
            return name
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of weights")

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        """("storage", kind, key, device, length, view)."""
        return pid[1], pid[2]


def _numbers(opened: IO[bytes], kind: str) -> NDArray[Any]:
    dtype = np.dtype(_KINDS[kind])
    length = int.from_bytes(opened.read(8), "little")
    return np.frombuffer(opened.read(length * dtype.itemsize), dtype)


def _laid_out(numbers: NDArray[Any], offset: int, size: tuple[int, ...], strides: tuple[int, ...]) -> NDArray[Any]:
    """Rows need not follow each other in the file: it was made from one of TensorFlow's."""
    along = np.ogrid[tuple(slice(side) for side in size)]
    return np.asarray(numbers[sum((place * step for place, step in zip(along, strides, strict=True)), start=offset)])
