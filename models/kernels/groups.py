"""Rows grouped by expert, cut into tiles: which expert and which rows a program works on, found on the device from the counts alone.

A tile holds rows of one expert.  Tiles of all experts are numbered in a row; there are at most P / ROWS + E of them, which the grid
knows without asking the device, and those beyond the last leave early.  (A branch around a loop would keep its loads from being pipelined.)
"""

from models.kernels.launch import jit, tl


def most_tiles(places: int, rows: int, experts: int) -> int:
    """Tiles there can be."""
    return places // rows + experts


@jit
def group(tile, counts, E: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr):
    """(expert, first row, end of the expert's rows) of a tile; expert E beyond the last tile."""
    e = tl.arange(0, WIDE)
    count = tl.load(counts + e, mask=e < E, other=0)
    tiles = (count + ROWS - 1) // ROWS
    expert = tl.sum((tl.cumsum(tiles, 0) <= tile).to(tl.int64) * (e < E), 0)
    inner = tile - tl.sum(tl.where(e < expert, tiles, 0), 0)
    first = tl.sum(tl.where(e < expert, count, 0), 0) + inner * ROWS
    return expert, first, tl.sum(tl.where(e <= expert, count, 0), 0)
