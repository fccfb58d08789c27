"""Alpha158 of whole sessions: a slab [158, stocks] each, in blocks of sessions that share one buffer.

Imports numpy and numba alone, so that it runs on a machine that has nothing else.  Dims: D sessions, B of a block, N stocks, F = 158 features.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count

import numpy as np
from numba import njit
from numpy.typing import NDArray

from factors.alpha158 import quantiles as quantiles_file
from factors.alpha158 import tiles, windows
from factors.alpha158.names import LOOKBACK, NAMES, WINDOWS, places
from factors.alpha158.quantiles import quantiles
from factors.alpha158.tiles import CLOSE, HIGH, KNOWN, LOW, OPEN, PER_PRICE, STOCKS, VWAP, Columns, Tile, cut
from factors.alpha158.windows import Slab, changes, extremes, levels, ratio, steps
from factors.cached import cached

Slabs = NDArray[np.float32]

ROC = places("ROC")[0]
BLOCK = 128  # sessions


def blocks(columns: Columns, *, start: int = 0, size: int = BLOCK, threads: int | None = None) -> Iterator[tuple[int, Slabs]]:
    """(first session, x_BFN) of each block from the session `start` on; every block lies in one buffer, so copy what you keep.

    A session's values depend on itself and the LOOKBACK sessions before it, to the last bit: neither blocks, threads, other stocks nor
    earlier history change them.
    """
    sessions, stocks = columns.close.shape
    buffer = np.empty((min(size, sessions - start), len(NAMES), stocks), np.float32)
    workers = threads or min(cpu_count() or 1, 8)
    with ThreadPoolExecutor(workers) as pool:
        for lo in range(start, sessions, size):
            found = buffer[: min(size, sessions - lo)]
            list(pool.map(lambda first, lo=lo, found=found: _tile(columns, lo, first, found), range(0, stocks, STOCKS)))
            yield lo, found


@cached(tiles, windows, quantiles_file)
def _tile(columns: Columns, lo: int, first: int, slabs: Slabs) -> None:
    """Fill the slabs [B, 158, N] of the sessions from lo on for one tile of stocks."""
    tile = cut(columns, lo, lo + len(slabs), first)
    mine = slabs[:, :, first : first + STOCKS]
    for window in range(len(WINDOWS)):
        quantiles(tile, window, mine)
    for b in range(len(slabs)):
        t, slab = b + LOOKBACK, mine[b]
        candle(tile, t, slab)
        levels(tile, t, slab)
        extremes(tile, t, slab)
        changes(tile, t, slab)
        steps(tile, t, slab)


@njit(cache=True, nogil=True, error_model="numpy")
def candle(tile: Tile, t: int, slab: Slab) -> None:
    """What needs no window: the session's candle, its prices over the close, and the closes of the windows' beginnings."""
    for j in range(slab.shape[1]):
        o, h, low, c, per_price = tile[OPEN, t, j], tile[HIGH, t, j], tile[LOW, t, j], tile[CLOSE, t, j], tile[PER_PRICE, t, j]
        middle, upper, lower, shift, height = c - o, h - max(o, c), min(o, c) - low, 2.0 * c - h - low, h - low
        slab[0, j], slab[1, j], slab[2, j] = middle / o, height / o, ratio(middle, height)
        slab[3, j], slab[4, j] = upper / o, ratio(upper, height)
        slab[5, j], slab[6, j] = lower / o, ratio(lower, height)
        slab[7, j], slab[8, j] = shift / o, ratio(shift, height)
        slab[9, j], slab[10, j], slab[11, j], slab[12, j] = o * per_price, h * per_price, low * per_price, tile[VWAP, t, j] * per_price
        for window in range(len(WINDOWS)):
            before = t - WINDOWS[window]
            slab[ROC + window, j] = tile[CLOSE, before, j] * per_price if tile[KNOWN, before, j] > 0.0 else np.nan
