"""The eight symmetries of the square (dihedral group D4): flips and quarter turns."""

from numpy.typing import NDArray

#: Of the square.
SYMMETRIES = 8


def turned(window: NDArray, symmetry: int) -> NDArray:
    """One of the square's eight symmetries of (rows, columns, …), as a view.

    Bit 1 mirrors the rows, bit 2 the columns, bit 4 then swaps both.
    """
    window = window[::-1] if symmetry & 1 else window
    window = window[:, ::-1] if symmetry & 2 else window
    return window.swapaxes(0, 1) if symmetry & 4 else window


def unturned(window: NDArray, symmetry: int) -> NDArray:
    """What `turned` was given, as a view."""
    window = window.swapaxes(0, 1) if symmetry & 4 else window
    window = window[:, ::-1] if symmetry & 2 else window
    return window[::-1] if symmetry & 1 else window
