"""A large prediction while it is made: strips of finished rows on disk, from which an interrupted one goes on.

A folder beside the result holds `rows.f32`, the layers row by row as far as they are finished, what the last strip
leaves to the next, and `state.json`, which says how many strips are whole and what they belong to.
"""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from core.atomic_files import replacing, writing


@dataclass
class Strips:
    """Rows of layers on disk, written strip by strip."""

    folder: Path
    key: str  #: what they are a prediction of, by what: another one's strips are of no use
    shape: tuple[int, int, int]  #: (rows, columns, layers) of the whole
    done: int = 0  #: strips that are whole

    @property
    def carried(self) -> NDArray[np.float32] | None:
        """What the last strip leaves to the next; None before the first."""
        return np.load(self._carried(self.done)) if self.done else None

    def put(self, first: int, rows: NDArray[np.float32], carried: NDArray[np.float32]) -> None:
        """Writes a strip from its first row on; `carried` is what the next one needs of it.

        Raises CannotWrite, DiskFull.
        """
        with writing(self._rows), self._rows.open("r+b" if self.done else "wb") as file:
            file.seek(first * self._row_bytes)
            file.write(np.ascontiguousarray(rows).data)
        with replacing(self._carried(self.done + 1)) as part, part.open("wb") as file:
            np.save(file, carried)
        self.done += 1
        with replacing(self._state) as part:
            part.write_bytes(orjson.dumps({"key": self.key, "done": self.done}))
        self._carried(self.done - 1).unlink(missing_ok=True)

    def read(self, first: int, count: int) -> NDArray[np.float32]:
        """(count, columns, layers): rows that are finished."""
        values = count * self.shape[1] * self.shape[2]
        return np.fromfile(self._rows, "<f4", values, offset=first * self._row_bytes).reshape(count, *self.shape[1:])

    @property
    def _row_bytes(self) -> int:
        return 4 * self.shape[1] * self.shape[2]

    @property
    def _rows(self) -> Path:
        return self.folder / "rows.f32"

    @property
    def _state(self) -> Path:
        return self.folder / "state.json"

    def _carried(self, done: int) -> Path:
        return self.folder / f"carried-{done}.npy"

    def find(self) -> int:
        """How many strips an interrupted prediction of the same has left; 0 where there was none."""
        try:
            state = orjson.loads(self._state.read_bytes())
            if state["key"] == self.key and self._carried(int(state["done"])).is_file():
                return int(state["done"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return 0


@contextmanager
def strips(out: Path, told: object, shape: tuple[int, int, int]) -> Iterator[Strips]:
    """The strips of a prediction that will lie in `out`; `told` is everything that it depends on, as plain values.

    Where the same prediction was interrupted, its strips are there. They are left where this one fails after its first.
    """
    key = hashlib.sha256(orjson.dumps([told, shape], option=orjson.OPT_SORT_KEYS)).hexdigest()
    found = Strips(out.with_name(f".{out.name}.strips"), key, shape)
    found.done = found.find()
    if not found.done:
        shutil.rmtree(found.folder, ignore_errors=True)
    for left in found.folder.glob(".*"):  # what a kill has left of files that never became whole
        left.unlink(missing_ok=True)
    whole = False
    try:
        yield found
        whole = True
    finally:
        if whole or not found.done:
            shutil.rmtree(found.folder, ignore_errors=True)
