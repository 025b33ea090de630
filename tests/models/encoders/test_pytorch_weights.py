"""A file of PyTorch's weights is read without PyTorch, and nothing in it runs."""

import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from models.encoders.pytorch_weights import read_pytorch_state_dict


class _Global:
    """Pickled as a name of a module that need not be there."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class _Writer(pickle._Pickler):
    """Writes what PyTorch wrote before 1.6."""

    def persistent_id(self, value: object) -> object:
        return value if isinstance(value, tuple) and value[:1] == ("storage",) else None

    def save_named(self, value: _Global) -> None:
        self.write(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())

    dispatch: ClassVar = {**pickle._Pickler.dispatch, _Global: save_named}


class _Tensor:
    """How a tensor is told to pickle."""

    def __init__(self, function: _Global, *parts: object) -> None:
        self.function, self.parts = function, parts

    def __reduce_ex__(self, _: object) -> tuple[object, ...]:
        return self.function, self.parts


def _save_tensor(writer: _Writer, value: _Tensor) -> None:
    writer.save(value.function)
    writer.save(value.parts)
    writer.write(pickle.REDUCE)


_Writer.dispatch[_Tensor] = _save_tensor
REBUILD = _Global("torch._utils", "_rebuild_tensor_v2")


def write(file: Path, rebuild: _Global = REBUILD, kind: str = "FloatStorage") -> None:
    """Two tensors in one storage of 0 to 11: "tall" from the third number on, column by column, and "all"."""
    storage = ("storage", _Global("torch", kind), "77", "cpu", 12, None)
    tensors = OrderedDict(
        tall=_Tensor(rebuild, storage, 2, (3, 2), (1, 3), False, OrderedDict()),
        all=_Tensor(rebuild, storage, 0, (12,), (1,), False, OrderedDict()),
    )
    with file.open("wb") as opened:
        for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(part, opened, 2)
        _Writer(opened, 2).dump(tensors)
        pickle.dump(["77"], opened, 2)
        opened.write(struct.pack("<q", 12) + np.arange(12, dtype="<f4").tobytes())


def read(file: Path) -> dict[str, np.ndarray]:
    with file.open("rb") as opened:
        return read_pytorch_state_dict(opened)


def test_tensors_are_where_their_strides_say(tmp_path):
    write(tmp_path / "net.pth")
    found = read(tmp_path / "net.pth")
    assert list(found) == ["tall", "all"]
    np.testing.assert_array_equal(found["tall"], [[2, 5], [3, 6], [4, 7]])
    np.testing.assert_array_equal(found["all"], np.arange(12))


@pytest.mark.parametrize(("module", "name"), [("os", "system"), ("builtins", "eval"), ("torch", "load")])
def test_whatever_else_a_file_names_is_refused(tmp_path, module, name):
    write(tmp_path / "net.pth", _Global(module, name))
    with pytest.raises(pickle.UnpicklingError, match="not allowed in a weights file"):
        read(tmp_path / "net.pth")


def test_a_file_that_ends_too_early_is_no_file_of_weights(tmp_path):
    write(tmp_path / "net.pth")
    whole = (tmp_path / "net.pth").read_bytes()
    (tmp_path / "net.pth").write_bytes(whole[:-20])
    with pytest.raises(IndexError, match="out of bounds"):
        read(tmp_path / "net.pth")
