"""Reader of PyTorch weight files without PyTorch (the format before PyTorch 1.6: pickles, then raw storages).

The unpickler admits nothing but names, sizes and numbers, because a pickle may run arbitrary code.
"""

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_STORAGE_DTYPES: Mapping[str, str] = {"FloatStorage": "<f4", "LongStorage": "<i8"}


def read_pytorch_state_dict(file: IO[bytes]) -> dict[str, NDArray[Any]]:
    """Read the arrays of a PyTorch weight file by name.

    Args:
        file: The open file.

    Returns:
        Arrays by the names of the parameters.

    Raises:
        pickle.UnpicklingError: The file holds anything but weights.
        IndexError: The file is truncated.
    """
    for _ in range(3):  # magic number, protocol version, sizes of C types
        _StateDictUnpickler(file).load()
    tensors = _StateDictUnpickler(file).load()
    storage_types = {key: storage_type for (storage_type, key), *_ in tensors.values()}
    storages = {key: _read_storage(file, storage_types[key]) for key in _StateDictUnpickler(file).load()}
    return {name: _strided_array(storages[key], *layout) for name, ((_, key), *layout) in tensors.items()}


class _StateDictUnpickler(pickle.Unpickler):
    """Unpickler of tensors as (storage, offset, size, strides), with a storage as its type and key."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the few classes that weight files consist of; refuse all others."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda *arguments: arguments[:4]
        if module == "torch" and name in _STORAGE_DTYPES:
            return name
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a weights file")

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        """Return type and key of ("storage", type, key, device, length, view)."""
        return pid[1], pid[2]


def _read_storage(file: IO[bytes], storage_type: str) -> NDArray[Any]:
    dtype = np.dtype(_STORAGE_DTYPES[storage_type])
    length = int.from_bytes(file.read(8), "little")
    return np.frombuffer(file.read(length * dtype.itemsize), dtype)


def _strided_array(storage: NDArray[Any], offset: int, size: tuple[int, ...], strides: tuple[int, ...]) -> NDArray[Any]:
    """Return the array of a tensor; its strides may be those of a transposed TensorFlow array."""
    axes = np.ogrid[tuple(slice(side) for side in size)]
    return np.asarray(storage[sum((index * stride for index, stride in zip(axes, strides, strict=True)), start=offset)])
