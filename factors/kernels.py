"""Windows over a panel [session, stock], one numba loop an operator.

Every kernel fills the rows lo … hi-1 of `out` from x and keeps no running state: a value depends on its own window alone, summed in
a fixed order, so that one new session computed by itself equals the same session out of the whole history, bit for bit.  Inner
loops run over the stocks, which lie beside each other in memory.  NaN is null; `need` is the fewest values a window must hold.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from data.panel import Floats

Counts = NDArray[np.int64]


@njit(cache=True, nogil=True)
def _moments(x: Floats, t: int, n: int, mean: Floats, count: Counts) -> None:
    """Mean and count of each stock's window that ends at t."""
    mean[:] = 0.0
    count[:] = 0
    for k in range(max(0, t - n + 1), t + 1):
        for j in range(x.shape[1]):
            v = x[k, j]
            if v == v:
                mean[j] += v
                count[j] += 1
    for j in range(x.shape[1]):
        mean[j] = mean[j] / count[j] if count[j] > 0 else np.nan


@njit(cache=True, nogil=True)
def total(x: Floats, n: int, need: int, lo: int, hi: int, out: Floats) -> None:
    """Sum of the window."""
    width = x.shape[1]
    mean, count = np.empty(width), np.empty(width, np.int64)
    for t in range(lo, hi):
        _moments(x, t, n, mean, count)
        for j in range(width):
            out[t, j] = mean[j] * count[j] if count[j] >= need else np.nan


@njit(cache=True, nogil=True)
def average(x: Floats, n: int, need: int, lo: int, hi: int, out: Floats) -> None:
    """Mean of the window."""
    width = x.shape[1]
    mean, count = np.empty(width), np.empty(width, np.int64)
    for t in range(lo, hi):
        _moments(x, t, n, mean, count)
        for j in range(width):
            out[t, j] = mean[j] if count[j] >= need else np.nan


@njit(cache=True, nogil=True)
def central(x: Floats, n: int, need: int, order: int, lo: int, hi: int, out: Floats) -> None:
    """Sample deviation (order 2), skewness (3) or excess kurtosis (4) about the window's own mean."""
    width = x.shape[1]
    mean, count = np.empty(width), np.empty(width, np.int64)
    second, high, top = np.empty(width), np.empty(width), np.empty(width)
    for t in range(lo, hi):
        _moments(x, t, n, mean, count)
        second[:] = 0.0
        high[:] = 0.0
        top[:] = 0.0
        for k in range(max(0, t - n + 1), t + 1):
            for j in range(width):
                v = x[k, j]
                if v == v:
                    d = v - mean[j]
                    second[j] += d * d
                    high[j] += d * d * d if order == 3 else d * d * d * d
                    top[j] = max(top[j], abs(v))
        for j in range(width):
            # A constant window misses its mean by rounding alone: it has no spread.
            flat = second[j] <= count[j] * (1e-14 * top[j]) ** 2
            if count[j] < max(need, 2):
                out[t, j] = np.nan
            elif order == 2:
                out[t, j] = 0.0 if flat else np.sqrt(second[j] / (count[j] - 1))
            elif flat:
                out[t, j] = np.nan
            else:
                variance = second[j] / count[j]
                out[t, j] = high[j] / count[j] / variance**1.5 if order == 3 else high[j] / count[j] / variance**2 - 3.0


@njit(cache=True, nogil=True)
def weighted(x: Floats, weights: Floats, need: int, lo: int, hi: int, out: Floats) -> None:
    """Mean of the window under weights [n], the last for the current session; weights of null sessions are left out."""
    n, width = len(weights), x.shape[1]
    top, bottom, count = np.empty(width), np.empty(width), np.empty(width, np.int64)
    for t in range(lo, hi):
        top[:] = 0.0
        bottom[:] = 0.0
        count[:] = 0
        for k in range(max(0, t - n + 1), t + 1):
            w = weights[n - 1 - (t - k)]
            for j in range(width):
                v = x[k, j]
                if v == v:
                    top[j] += w * v
                    bottom[j] += w
                    count[j] += 1
        for j in range(width):
            out[t, j] = top[j] / bottom[j] if count[j] >= need else np.nan


VALUE, LATEST, EARLIEST = 0, 1, 2


@njit(cache=True, nogil=True)
def extreme(x: Floats, n: int, need: int, side: float, what: int, lo: int, hi: int, out: Floats) -> None:
    """Largest (side 1) or smallest (-1) of the window (VALUE), or the sessions since it: the LATEST or the EARLIEST of equals."""
    width = x.shape[1]
    best, since, count = np.empty(width), np.empty(width), np.empty(width, np.int64)
    for t in range(lo, hi):
        best[:] = -np.inf
        since[:] = 0.0
        count[:] = 0
        for k in range(max(0, t - n + 1), t + 1):
            for j in range(width):
                v = side * x[k, j]
                if v == v:
                    count[j] += 1
                    if v > best[j] or (v == best[j] and what != EARLIEST):
                        best[j] = v
                        since[j] = t - k
        for j in range(width):
            found = side * best[j] if what == VALUE else since[j]
            out[t, j] = found if count[j] >= need else np.nan


@njit(cache=True, nogil=True)
def quantile(x: Floats, n: int, need: int, share: float, lo: int, hi: int, out: Floats) -> None:
    """The value at the place share * (count - 1) of the sorted window, linear between two."""
    ordered = np.empty(n)
    for t in range(lo, hi):
        for j in range(x.shape[1]):
            count = 0
            for k in range(max(0, t - n + 1), t + 1):
                v = x[k, j]
                if v == v:
                    place = count
                    while place > 0 and ordered[place - 1] > v:
                        ordered[place] = ordered[place - 1]
                        place -= 1
                    ordered[place] = v
                    count += 1
            at = share * max(count - 1, 0)
            below = int(at)
            above = min(below + 1, max(count - 1, 0))
            known = count >= max(need, 1)
            out[t, j] = ordered[below] + (at - below) * (ordered[above] - ordered[below]) if known else np.nan


@njit(cache=True, nogil=True)
def position(x: Floats, n: int, need: int, lo: int, hi: int, out: Floats) -> None:
    """Rank of the current value in its window over the count of values, ties averaged."""
    width = x.shape[1]
    below, equal, count = np.empty(width), np.empty(width), np.empty(width, np.int64)
    for t in range(lo, hi):
        below[:] = 0.0
        equal[:] = 0.0
        count[:] = 0
        for k in range(max(0, t - n + 1), t + 1):
            for j in range(width):
                v = x[k, j]
                if v == v:
                    count[j] += 1
                    below[j] += 1.0 if v < x[t, j] else 0.0
                    equal[j] += 1.0 if v == x[t, j] else 0.0
        for j in range(width):
            here = x[t, j] == x[t, j] and count[j] >= need
            out[t, j] = (below[j] + 0.5 * (equal[j] + 1.0)) / count[j] if here else np.nan


CORRELATION, SLOPE, RESIDUAL = 0, 1, 2


@njit(cache=True, nogil=True)
def pairs(y: Floats, x: Floats, n: int, need: int, what: int, lo: int, hi: int, out: Floats) -> None:
    """Correlation of y and x, the slope of y on x, or y's last residual, over the sessions of the window that have both; two at least."""
    width = x.shape[1]
    mean_y, mean_x, count = np.empty(width), np.empty(width), np.empty(width, np.int64)
    yy, xx, xy = np.empty(width), np.empty(width), np.empty(width)
    top_y, top_x = np.empty(width), np.empty(width)
    for t in range(lo, hi):
        first = max(0, t - n + 1)
        mean_y[:] = 0.0
        mean_x[:] = 0.0
        count[:] = 0
        for k in range(first, t + 1):
            for j in range(width):
                a, b = y[k, j], x[k, j]
                if a == a and b == b:
                    mean_y[j] += a
                    mean_x[j] += b
                    count[j] += 1
        for j in range(width):
            if count[j] > 0:
                mean_y[j] /= count[j]
                mean_x[j] /= count[j]
        yy[:] = 0.0
        xx[:] = 0.0
        xy[:] = 0.0
        top_y[:] = 0.0
        top_x[:] = 0.0
        for k in range(first, t + 1):
            for j in range(width):
                a, b = y[k, j], x[k, j]
                if a == a and b == b:
                    top_y[j] = max(top_y[j], abs(a))
                    top_x[j] = max(top_x[j], abs(b))
                    a -= mean_y[j]
                    b -= mean_x[j]
                    yy[j] += a * a
                    xx[j] += b * b
                    xy[j] += a * b
        for j in range(width):
            flat_y = yy[j] <= count[j] * (1e-14 * top_y[j]) ** 2
            flat_x = xx[j] <= count[j] * (1e-14 * top_x[j]) ** 2
            if count[j] < max(need, 2) or flat_x or (flat_y and what == CORRELATION):
                out[t, j] = np.nan
            elif what == CORRELATION:
                out[t, j] = min(1.0, max(-1.0, xy[j] / np.sqrt(yy[j] * xx[j])))
            elif what == SLOPE:
                out[t, j] = xy[j] / xx[j]
            else:
                out[t, j] = y[t, j] - mean_y[j] - xy[j] / xx[j] * (x[t, j] - mean_x[j])


@njit(cache=True, nogil=True)
def trend(x: Floats, n: int, need: int, what: int, lo: int, hi: int, out: Floats) -> None:
    """Least-squares slope of x per session over its window (SLOPE), its last RESIDUAL, or the share of its variance the line explains."""
    # Numbered from the window's own start: numbers from the panel's start would round differently on a shorter panel.
    sessions = np.empty((n, x.shape[1]))
    for k in range(n):
        sessions[k, :] = k
    for t in range(lo, hi):
        first = max(0, t - n + 1)
        length = t + 1 - first
        pairs(x[first : t + 1], sessions[n - length :], n, need, what, length - 1, length, out[first : t + 1])
    if what == CORRELATION:
        for t in range(lo, hi):
            for j in range(x.shape[1]):
                out[t, j] = out[t, j] * out[t, j]


@njit(cache=True, nogil=True)
def carry(x: Floats, out: Floats) -> None:
    """Every null replaced by the value before it; leading nulls stay."""
    for t in range(x.shape[0]):
        for j in range(x.shape[1]):
            v = x[t, j]
            out[t, j] = out[t - 1, j] if v != v and t > 0 else v
