"""Small files that would be huge in memory, or take for ever."""

import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

#: TIFF types: 3 is uint16, 4 is uint32, 12 is float64.
_CODES = {3: "H", 4: "I", 12: "d"}
_DEFLATE = 8
_UTM11 = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32611)


def tiff(path: Path, size: tuple[int, int], layout: dict[int, int], block: bytes, blocks: int = 1) -> Path:
    """A one-band deflated GeoTIFF of bytes (width, height), all of whose blocks are the same packed one.

    `layout` are the tags of strips (278) or tiles (322, 323).
    """
    offsets, counts = (324, 325) if 322 in layout else (273, 279)
    tags: dict[int, tuple[int, Sequence[float]]] = {
        256: (4, [size[0]]), 257: (4, [size[1]]), 258: (3, [8]), 259: (3, [_DEFLATE]), 262: (3, [1]), 277: (3, [1]),
        **{tag: (4, [value]) for tag, value in layout.items()},
        33550: (12, [0.5, 0.5, 0]), 33922: (12, [0, 0, 0, 660_000, 4_000_000, 0]), 34735: (3, _UTM11),
    }  # fmt: skip
    block_at = 8 + 2 + 12 * (len(tags) + 2) + 4
    tags |= {offsets: (4, [block_at] * blocks), counts: (4, [len(block)] * blocks)}
    entries, values = b"", b""
    for tag, (kind, numbers) in sorted(tags.items()):
        raw = struct.pack(f"<{len(numbers)}{_CODES[kind]}", *numbers)
        place = struct.pack("<I", block_at + len(block) + len(values))
        entries += struct.pack("<HHI", tag, kind, len(numbers)) + (raw.ljust(4, b"\0") if len(raw) <= 4 else place)
        values += raw if len(raw) > 4 else b""
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    path.write_bytes(head + block + values)
    return path


def nine_gigabytes(path: Path) -> Path:
    """98,000 × 98,000 px of zeros, 1,000 rows a strip."""
    return tiff(path, (98_000, 98_000), {278: 1000}, zlib.compress(bytes(98_000_000), 9), 98)


def one_strip(path: Path) -> Path:
    """9.6 GB in a single strip; no more of it is packed than 200 MB."""
    return tiff(path, (98_000, 98_000), {278: 98_000}, zlib.compress(bytes(200_000_000), 9))


def two_strips(path: Path) -> Path:
    """Two strips of 200 MB: GDAL would hold one as a whole."""
    return tiff(path, (20_000, 20_000), {278: 10_000}, zlib.compress(bytes(200_000_000), 9), 2)


def one_tile(path: Path) -> Path:
    """A tile of 14,144 × 14,144 px."""
    return tiff(path, (14_000, 14_000), {322: 14_144, 323: 14_144}, zlib.compress(bytes(14_144**2), 9))


def million_tiles(path: Path) -> Path:
    """80,000 × 80,000 px in tiles of 16 px, 25 million of them, of which the file has one."""
    return tiff(path, (80_000, 80_000), {322: 16, 323: 16}, zlib.compress(bytes(256)))


def _features(path: Path, inner: str) -> Path:
    path.write_text(f'{{"type":"FeatureCollection","features":[{inner}]}}')
    return path


def _polygon(points: str) -> str:
    return f'{{"type":"Feature","geometry":{{"type":"Polygon","coordinates":[[{points}]]}}}}'


def two_million_vertices(path: Path) -> Path:
    """As 2,000 polygons."""
    return _features(path, ",".join([_polygon(",".join(["[0.1,0.2]"] * 1000))] * 2000))


def spread_out(path: Path) -> Path:
    """Two million vertices with a line for every number, as some programs write them."""
    return _features(path, _polygon(",\n".join(["[\n0.1,\n0.2\n]"] * 2_000_000)))


def nested_brackets(path: Path) -> Path:
    """100,000 inside each other."""
    return _features(path, "[" * 100_000 + "]" * 100_000)


def nested_objects(path: Path) -> Path:
    """100,000 inside each other."""
    return _features(path, '{"a":' * 100_000 + "1" + "}" * 100_000)


def nested_collections(path: Path) -> Path:
    """Deeper than JSON may be."""
    return _features(path, '{"type":"GeometryCollection","geometries":[' * 5000 + "]}" * 5000)


def not_numbers(path: Path) -> Path:
    """NaN, which JSON does not have."""
    return _features(path, _polygon("[NaN,1],[2,NaN],[3,3],[NaN,1]"))


def numbers(path: Path) -> Path:
    """Ten million numbers that are no vertices."""
    return _features(path, f'{{"properties":{{"a":[{"1.5," * 10_000_000}1]}}}}')


def objects(path: Path) -> Path:
    """Ten million empty features: 64 bytes each in memory."""
    return _features(path, "{}," * 10_000_000 + "{}")


def _table(path: Path, rows: str, columns: str = "ImageId,BuildingId,PolygonWKT_Pix") -> Path:
    path.write_text(f"{columns}\n{rows}")
    return path


def giant_wkt(path: Path) -> Path:
    """A single polygon of ten million vertices."""
    return _table(path, f'a,1,"POLYGON (({"0 0," * 10_000_000}0 0))"\n')


def many_columns(path: Path) -> Path:
    """A million."""
    return _table(path, "a\n", "ImageId,PolygonWKT_Pix" + ",a" * 1_000_000)


def many_rows(path: Path) -> Path:
    """Fifty million rows of one letter."""
    return _table(path, "a\n" * 50_000_000)


def tangle(path: Path) -> Path:
    """A ring of 3,000 vertices, 120 KB, that crosses itself three million times: a minute and 2 GB to repair."""
    points = np.random.default_rng(0).random((3000, 2)).tolist()
    return _features(path, _polygon(",".join(f"[{x},{y}]" for x, y in points)))


def far_away(path: Path) -> Path:
    """1e308, whose square is no number any more."""
    return _features(path, _polygon("[1e308,1e308],[-1e308,1],[1,2],[1e308,1e308]"))


def nested_wkt(path: Path) -> Path:
    """Ten million brackets in a row."""
    return _table(path, f'a,1,"MULTIPOLYGON {"(" * 10_000_000}"\n')


RASTERS: dict[Callable[[Path], Path], str] = {
    nine_gigabytes: "RasterTooLarge",
    one_strip: "RasterTooLarge",
    two_strips: "BlocksTooLarge",
    one_tile: "BlocksTooLarge",
}
VECTORS: dict[Callable[[Path], Path], str] = {
    two_million_vertices: "VectorTooLarge",
    spread_out: "VectorTooLarge",
    nested_brackets: "NotGeoJSON",
    nested_objects: "NotGeoJSON",
    nested_collections: "NotGeoJSON",
    not_numbers: "NotGeoJSON",
    numbers: "VectorTooLarge",
    objects: "VectorTooLarge",
    giant_wkt: "VectorTooLarge",
    many_columns: "NotFootprintsCSV",
    many_rows: "VectorTooLarge",
}
