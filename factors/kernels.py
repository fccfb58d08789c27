"""Windows that are no folds: ranks, quantiles, third and fourth moments; and values carried through nulls.

x [n - 1 + R, 64] holds the sessions before, NaN = null, which is skipped; out [R, 64].  A value depends on its own window alone, to the
last bit.  `need` is the fewest values a window must hold.  Imports numpy and numba alone.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
STOCKS = 64


@njit(cache=True, nogil=True)
def position(x: Floats, n: int, need: int, out: Floats) -> None:
    """Rank of the current value in its window over the count of values, ties averaged; null where the current value is."""
    below, equal, count = np.empty(STOCKS), np.empty(STOCKS), np.empty(STOCKS)
    for r in range(len(out)):
        t = r + n - 1
        below[:] = 0.0
        equal[:] = 0.0
        count[:] = 0.0
        for k in range(r, t + 1):
            for j in range(STOCKS):
                v, here = x[k, j], x[t, j]
                count[j] += 1.0 if v == v else 0.0
                below[j] += 1.0 if v < here else 0.0
                equal[j] += 1.0 if v == here else 0.0
        for j in range(STOCKS):
            known = equal[j] > 0.0 and count[j] >= need
            out[r, j] = (below[j] + 0.5 * (equal[j] + 1.0)) / count[j] if known else np.nan


@njit(cache=True, nogil=True)
def quantile(x: Floats, n: int, need: int, share: float, out: Floats) -> None:
    """The value at the place share * (count - 1) of the sorted window, linear between two.

    The window is kept sorted, one value in and one out from session to session: what is kept is the window itself, so nothing drifts.
    """
    held, below, leaving = np.full((n + 1, STOCKS), np.inf), np.empty(STOCKS), np.full(STOCKS, np.inf)
    count = np.zeros(STOCKS)
    for t in range(len(x)):
        below[:] = -np.inf
        for j in range(STOCKS):
            v = x[t - n, j] if t >= n else np.nan
            leaving[j] = v if v == v else np.inf
            count[j] += (1.0 if x[t, j] == x[t, j] else 0.0) - (1.0 if v == v else 0.0)
        for i in range(n):
            for j in range(STOCKS):
                kept = held[i, j] if held[i, j] < leaving[j] else held[i + 1, j]  # the window without the value that leaves
                v = x[t, j] if x[t, j] == x[t, j] else np.inf
                held[i, j] = max(below[j], min(v, kept))  # and with the one that enters
                below[j] = kept
        if t >= n - 1:
            for j in range(STOCKS):
                at = share * max(count[j] - 1.0, 0.0)
                place = int(at)
                lower = held[place, j]
                found = lower + (at - place) * (held[place + 1, j] - lower) if at > place else lower
                out[t - n + 1, j] = found if count[j] >= max(need, 1) else np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def shape(x: Floats, n: int, need: int, order: int, out: Floats) -> None:
    """Skewness (order 3) or excess kurtosis (4) about the window's own mean, of the population; null without spread."""
    mean, count = np.empty(STOCKS), np.empty(STOCKS)
    second, high, top = np.empty(STOCKS), np.empty(STOCKS), np.empty(STOCKS)
    for r in range(len(out)):
        mean[:] = 0.0
        count[:] = 0.0
        for k in range(r, r + n):
            for j in range(STOCKS):
                v = x[k, j]
                mean[j] += v if v == v else 0.0
                count[j] += 1.0 if v == v else 0.0
        for j in range(STOCKS):
            mean[j] /= count[j]
            second[j], high[j], top[j] = 0.0, 0.0, 0.0
        for k in range(r, r + n):
            for j in range(STOCKS):
                v = x[k, j]
                d = v - mean[j] if v == v else 0.0
                second[j] += d * d
                high[j] += d * d * d if order == 3 else d * d * d * d
                top[j] = max(top[j], abs(v) if v == v else 0.0)
        for j in range(STOCKS):
            variance = second[j] / count[j]
            found = high[j] / count[j] / variance**1.5 if order == 3 else high[j] / count[j] / (variance * variance) - 3.0
            # A constant window misses its mean by rounding alone: it has no spread.
            known = count[j] >= max(need, 2) and second[j] > count[j] * (1e-14 * top[j]) ** 2
            out[r, j] = found if known else np.nan


@njit(cache=True, nogil=True)
def carry(x: Floats, out: Floats) -> None:
    """Every null of x [D, N] replaced by the value before it; leading nulls stay."""
    for t in range(x.shape[0]):
        for j in range(x.shape[1]):
            v = x[t, j]
            out[t, j] = out[t - 1, j] if v != v and t > 0 else v
