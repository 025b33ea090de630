"""D4 symmetries of a window (the dihedral group of the square): flips and quarter turns."""

from numpy.typing import NDArray

#: Number of symmetries of the square.
SYMMETRIES = 8


def apply_d4(window: NDArray, symmetry: int) -> NDArray:
    """Apply a D4 symmetry: bit 1 flips the rows, bit 2 the columns, bit 4 then transposes.

    Args:
        window: (rows, cols, …).
        symmetry: Number of the symmetry, 0 to 7.

    Returns:
        A view of the window.
    """
    window = window[::-1] if symmetry & 1 else window
    window = window[:, ::-1] if symmetry & 2 else window
    return window.swapaxes(0, 1) if symmetry & 4 else window


def invert_d4(window: NDArray, symmetry: int) -> NDArray:
    """Undo `apply_d4`.

    Args:
        window: (rows, cols, …), as `apply_d4` returned it.
        symmetry: Number of the symmetry, 0 to 7.

    Returns:
        A view of the original window.
    """
    window = window.swapaxes(0, 1) if symmetry & 4 else window
    window = window[:, ::-1] if symmetry & 2 else window
    return window[::-1] if symmetry & 1 else window
