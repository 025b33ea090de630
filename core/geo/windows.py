"""Pixel windows of a grid."""

from dataclasses import dataclass

from core.geo.grid import Grid


@dataclass(frozen=True)
class PixelWindow:
    """Rectangle of pixels of a grid; may lie partly outside."""

    column: int
    row: int
    width: int
    height: int

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """First column and row, and the ones after the last."""
        return self.column, self.row, self.column + self.width, self.row + self.height

    def expand(self, margin: int) -> "PixelWindow":
        """Add a halo on all sides."""
        return PixelWindow(self.column - margin, self.row - margin, self.width + 2 * margin, self.height + 2 * margin)

    def clip(self, whole: "Grid | PixelWindow") -> "PixelWindow":
        """Crop to a grid, or to a window that begins at its first pixel."""
        column, row = max(self.column, 0), max(self.row, 0)
        width, height = min(self.column + self.width, whole.width), min(self.row + self.height, whole.height)
        return PixelWindow(column, row, width - column, height - row)

    def slices(self, outer: "PixelWindow") -> tuple[slice, slice]:
        """Return the slices of rows and columns in an array of the surrounding window `outer`."""
        row, column = self.row - outer.row, self.column - outer.column
        return slice(row, row + self.height), slice(column, column + self.width)
