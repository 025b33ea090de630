"""Windows of pixels."""

from dataclasses import dataclass

from core.geo.grid import Grid


@dataclass(frozen=True)
class Box:
    """A part of a grid; may lie partly outside."""

    column: int
    row: int
    width: int
    height: int

    def widened(self, by: int) -> "Box":
        """With a halo all around."""
        return Box(self.column - by, self.row - by, self.width + 2 * by, self.height + 2 * by)

    def within(self, grid: Grid) -> "Box":
        """The part inside the grid."""
        column, row = max(self.column, 0), max(self.row, 0)
        width, height = min(self.column + self.width, grid.width), min(self.row + self.height, grid.height)
        return Box(column, row, width - column, height - row)

    def slices(self, box: "Box") -> tuple[slice, slice]:
        """Its rows and columns of an array of a box around it."""
        row, column = self.row - box.row, self.column - box.column
        return slice(row, row + self.height), slice(column, column + self.width)
