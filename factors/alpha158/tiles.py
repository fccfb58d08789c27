"""A tile: 64 stocks and some sessions of the panel, cut out and made ready for the windows.

A session in which a stock has no open, high, low, close or volume is null for it.  Its prices in the tile are those of the last session
it has, and a mask of 0 and 1 keeps them out of every sum: loops without branches run over the stocks, which lie beside each other in memory.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from factors.alpha158.names import LOOKBACK

Floats = NDArray[np.float64]

STOCKS = 64  # of a tile


class Columns(NamedTuple):
    """The panel's columns [D, N], NaN = null.  last: the close carried through suspensions, null before the listing alone."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    vwap: Floats
    volume: Floats
    last: Floats


# Series of a tile [18, R, 64].  Row LOOKBACK is the first session wanted; rows before the panel's start are null.
KNOWN = 0  # 1 where the session has a bar, else 0
LISTED = 1  # 1 since the listing
MOVED = 2  # 1 where this session and the one before have a bar, else 0
STEP = 3  # close less the one before; 0 where not moved
SHARE_STEP = 4  # volume less the one before; 0 where not moved
CLOSE, VOLUME, LOG_VOLUME = 5, 6, 7  # carried through nulls
RATIO = 8  # close over the one before; carried
LOG_RATIO = 9  # log(1 + volume over the one before); carried
CHURN = 10  # |return| * volume; carried
OPEN, VWAP = 11, 12  # NaN where null
PER_PRICE, PER_SHARE = 13, 14  # 1 / close and 1 / volume; NaN where null
HIGH = 15  # -inf where null: never the largest
LOW = 16  # +inf where null
ORDER = 17  # the close; +inf where null: sorts last

Tile = NDArray[np.float64]


@njit(cache=True, nogil=True, error_model="numpy")
def cut(columns: Columns, lo: int, hi: int, first: int) -> Tile:
    """The tile of the sessions lo … hi-1 and the stocks from `first` on; places beyond the last stock stay null."""
    tile = np.zeros((18, hi - lo + LOOKBACK, STOCKS))
    width = min(STOCKS, columns.close.shape[1] - first)
    for row in range(tile.shape[1]):
        _null(tile, row)
        day = lo - LOOKBACK + row
        if day >= 0:
            for j in range(width):
                _bar(columns, day, first + j, tile, row, j)
        if row > 0:
            for j in range(width):
                _change(tile, row, j)
    return tile


@njit(cache=True, nogil=True)
def _null(tile: Tile, row: int) -> None:
    """A session without a bar."""
    for series in range(OPEN, PER_SHARE + 1):
        for j in range(STOCKS):
            tile[series, row, j] = np.nan
    for j in range(STOCKS):
        tile[HIGH, row, j], tile[LOW, row, j], tile[ORDER, row, j] = -np.inf, np.inf, np.inf
    if row > 0:
        for series in range(CLOSE, CHURN + 1):
            for j in range(STOCKS):
                tile[series, row, j] = tile[series, row - 1, j]


@njit(cache=True, nogil=True, error_model="numpy")
def _bar(columns: Columns, day: int, stock: int, tile: Tile, row: int, j: int) -> None:
    """One session of one stock."""
    o, h, low, c = columns.open[day, stock], columns.high[day, stock], columns.low[day, stock], columns.close[day, stock]
    v, last = columns.volume[day, stock], columns.last[day, stock]
    tile[LISTED, row, j] = 1.0 if last == last else 0.0
    if o == o and h == h and low == low and c == c and v == v:
        tile[KNOWN, row, j] = 1.0
        tile[OPEN, row, j], tile[VWAP, row, j] = o, columns.vwap[day, stock]
        tile[HIGH, row, j], tile[LOW, row, j], tile[ORDER, row, j] = h, low, c
        tile[PER_PRICE, row, j], tile[PER_SHARE, row, j] = 1.0 / c, 1.0 / v
        tile[CLOSE, row, j], tile[VOLUME, row, j], tile[LOG_VOLUME, row, j] = c, v, np.log(v)


@njit(cache=True, nogil=True, error_model="numpy")
def _change(tile: Tile, row: int, j: int) -> None:
    """What changed since the session before, where both have a bar."""
    if tile[KNOWN, row, j] > 0.0 and tile[KNOWN, row - 1, j] > 0.0:
        close, before, volume, shares = tile[CLOSE, row, j], tile[CLOSE, row - 1, j], tile[VOLUME, row, j], tile[VOLUME, row - 1, j]
        tile[MOVED, row, j] = 1.0
        tile[STEP, row, j], tile[SHARE_STEP, row, j] = close - before, volume - shares
        tile[RATIO, row, j], tile[LOG_RATIO, row, j] = close / before, np.log(volume / shares + 1.0)
        tile[CHURN, row, j] = abs(close / before - 1.0) * volume
