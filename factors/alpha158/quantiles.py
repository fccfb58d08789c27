"""Exact quantiles of nested windows: each window is kept sorted, one value in and one out from session to session.

What is kept is the window itself, so nothing drifts: the sorted window of a session is the same however it came about.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from factors.alpha158.names import LOOKBACK, WINDOWS, places
from factors.alpha158.tiles import KNOWN, ORDER, PER_PRICE, STOCKS, Tile

QTLU, QTLD = places("QTLU", "QTLD")
UPPER, LOWER = 0.8, 0.2


@njit(cache=True, nogil=True, error_model="numpy")
def quantiles(tile: Tile, window: int, slabs: NDArray[np.float32]) -> None:
    """Upper and lower quantile of the close over one of the windows, for the slabs [B, 158, stocks] of all sessions of the tile."""
    n, order, known = WINDOWS[window], tile[ORDER], tile[KNOWN]
    held, below, leaving = np.full((n + 1, STOCKS), np.inf), np.empty(STOCKS), np.full(STOCKS, np.inf)  # held: ascending, nulls (+inf) last
    count = np.zeros(STOCKS, np.int64)
    for t in range(LOOKBACK - n, len(order)):
        entering = order[t]
        if t >= LOOKBACK:
            leaving[:] = order[t - n]
        below[:] = -np.inf
        for i in range(n):
            for j in range(STOCKS):
                kept = held[i, j] if held[i, j] < leaving[j] else held[i + 1, j]  # the window without the value that leaves
                held[i, j] = max(below[j], min(entering[j], kept))  # and with the one that enters
                below[j] = kept
        for j in range(STOCKS):
            count[j] += known[t, j] > 0.0
            count[j] -= leaving[j] < np.inf
        if t >= LOOKBACK:
            for j in range(slabs.shape[2]):
                slabs[t - LOOKBACK, QTLU + window, j] = _quantile(held, count[j], UPPER, j) * tile[PER_PRICE, t, j]
                slabs[t - LOOKBACK, QTLD + window, j] = _quantile(held, count[j], LOWER, j) * tile[PER_PRICE, t, j]


@njit(cache=True, nogil=True, error_model="numpy")
def _quantile(held: NDArray[np.float64], count: int, share: float, j: int) -> float:
    """Linear between the two values beside the place share * (count - 1), as numpy and pandas have it; null of nothing."""
    if count == 0:
        return np.nan
    at = share * (count - 1)
    place = int(at)
    lower = held[place, j]
    return lower + (at - place) * (held[place + 1, j] - lower) if at > place else lower
