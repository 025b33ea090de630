"""Partial results of a large prediction: finished row bands on disk, from which an interrupted one resumes.

A folder beside the result holds `rows.f32` (the finished rows), the overlap of the last row band, and `state.json`
(the number of finished row bands, and what they belong to).
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

from core.atomic_files import atomic_write, translating_errors


@dataclass
class PartialPrediction:
    """Predicted rows on disk, appended one row band at a time."""

    folder: Path
    key: str  #: hash of everything the prediction depends on
    shape: tuple[int, int, int]  #: (rows, cols, layers) of the whole
    finished: int = 0  #: row bands on disk

    @property
    def overlap_rows(self) -> NDArray[np.float32] | None:
        """Weighted sums of the rows that the next row band overlaps; None before the first.

        Returns:
            (rows, cols, layers) float32.
        """
        return np.load(self._overlap_file(self.finished)) if self.finished else None

    def append_rows(self, first: int, rows: NDArray[np.float32], overlap: NDArray[np.float32]) -> None:
        """Write a row band.

        Args:
            first: Its first row.
            rows: (rows, cols, layers) float32, final.
            overlap: (rows, cols, layers) float32 that the next row band adds to.

        Raises:
            CannotWrite: The folder cannot be written.
            DiskFull: The disk is full.
        """
        with translating_errors(self._rows), self._rows.open("r+b" if self.finished else "wb") as file:
            file.seek(first * self._row_bytes)
            file.write(np.ascontiguousarray(rows).data)
        with atomic_write(self._overlap_file(self.finished + 1)) as temporary, temporary.open("wb") as file:
            np.save(file, overlap)
        self.finished += 1
        with atomic_write(self._state) as temporary:
            temporary.write_bytes(orjson.dumps({"key": self.key, "done": self.finished}))
        self._overlap_file(self.finished - 1).unlink(missing_ok=True)

    def read(self, first: int, count: int) -> NDArray[np.float32]:
        """Read finished rows.

        Args:
            first: The first row.
            count: Number of rows.

        Returns:
            (count, cols, layers) float32.
        """
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

    def _overlap_file(self, finished: int) -> Path:
        return self.folder / f"carried-{finished}.npy"

    def count_finished(self) -> int:
        """Count the row bands of an interrupted prediction with the same key; 0 if there is none."""
        try:
            state = orjson.loads(self._state.read_bytes())
            if state["key"] == self.key and self._overlap_file(int(state["done"])).is_file():
                return int(state["done"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return 0


@contextmanager
def open_partial(out: Path, cache_key: object, shape: tuple[int, int, int]) -> Iterator[PartialPrediction]:
    """Open the partial results of a prediction; they stay on disk if it fails after its first row band.

    Args:
        out: File of the whole prediction.
        cache_key: Everything the prediction depends on, as plain values.
        shape: (rows, cols, layers) of the whole.

    Yields:
        Partial results, with those of an interrupted prediction of the same key.
    """
    key = hashlib.sha256(orjson.dumps([cache_key, shape], option=orjson.OPT_SORT_KEYS)).hexdigest()
    partial = PartialPrediction(out.with_name(f".{out.name}.strips"), key, shape)
    partial.finished = partial.count_finished()
    if not partial.finished:
        shutil.rmtree(partial.folder, ignore_errors=True)
    for temporary in partial.folder.glob(".*"):  # left by a killed process
        temporary.unlink(missing_ok=True)
    whole = False
    try:
        yield partial
        whole = True
    finally:
        if whole or not partial.finished:
            shutil.rmtree(partial.folder, ignore_errors=True)
