"""Windows as folds: a window's statistics are merged out of those of its parts, which double in length.

A part of 2m sessions is the part of the last m merged with that of the m before it; a window of n sessions is the merge of the parts
that n is the binary sum of, the newest first.  So n sessions cost log n merges instead of n steps, yet there is no running sum: what is
added to what follows from n alone, so a value depends on its own window to the last bit, and what has left the window leaves no trace.
Spreads are merged as deviations from each part's own mean (Chan, Golub and LeVeque 1979): they don't cancel, and a window of one
value repeated has a spread of exactly 0.

x [n - 1 + R, 64] holds the sessions before, NaN = null, which is skipped; out [R, 64].  A part is a row of K x 64 numbers, its count
first.  Imports numpy and numba alone.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
STOCKS = 64

# What is merged, and how many numbers a stock's part takes.
SUM, PRODUCT, EMA, MOMENTS, EXTREME, DECAY, PAIR = range(7)
WIDTH = (2, 2, 3, 3, 3, 4, 6)

FOLDS = (
    *("ts_sum", "ts_mean", "ts_product", "ema", "ts_std", "ts_max", "ts_min", "ts_argmax", "ts_argmin", "ts_first_argmax", "ts_first_argmin"),
    *("decay", "ts_corr", "ts_cov", "ts_beta", "ts_slope", "ts_rsquare", "ts_residual"),
)
(TS_SUM, TS_MEAN, TS_PRODUCT, TS_EMA, TS_STD, TS_MAX, TS_MIN, TS_ARGMAX, TS_ARGMIN, FIRST_ARGMAX, FIRST_ARGMIN) = range(11)
(TS_DECAY, TS_CORR, TS_COV, TS_BETA, TS_SLOPE, TS_RSQUARE, TS_RESIDUAL) = range(11, 18)
KINDS = (SUM, SUM, PRODUCT, EMA, MOMENTS, EXTREME, EXTREME, EXTREME, EXTREME, EXTREME, EXTREME, DECAY, PAIR, PAIR, PAIR, PAIR, PAIR, PAIR)


def room(n: int, rows: int) -> int:
    """Numbers that the parts of any fold over n sessions need to work in."""
    return (n - 1 + 2 * rows) * max(WIDTH) * STOCKS


@njit(cache=True, nogil=True, error_model="numpy")
def fold(op: int, x: Floats, y: Floats, n: int, need: int, out: Floats, work: Floats) -> None:
    """Any of FOLDS over the windows that end at the rows of out; y is the second series of a pair."""
    kind, rows = KINDS[op], len(out)
    width = WIDTH[kind] * STOCKS
    parts = work[: len(x) * width].reshape(len(x), width)
    windows = work[len(x) * width : (len(x) + rows) * width].reshape(rows, width)
    trend = op >= TS_SLOPE
    side = -1.0 if op in (TS_MIN, TS_ARGMIN, FIRST_ARGMIN) else 1.0
    _begin(kind, x, y, side, trend, parts)
    weight = 1.0 - 2.0 / (need + 1.0)  # an exponential mean's second parameter, its span, is also the fewest values it takes
    rule = 1.0 if op in (FIRST_ARGMAX, FIRST_ARGMIN) or trend else 0.0
    done, m = 0, 1
    while True:
        if n & m:
            first = n - 1 - done
            if done == 0:
                windows[:] = parts[first : first + rows]
            else:
                for r in range(rows):
                    _merge(kind, windows, r, parts, first + r, done, m, rule, weight**done)
            done += m
        if done == n:
            break
        for r in range(len(x) - 1, 2 * m - 2, -1):
            _merge(kind, parts, r, parts, r - m, m, m, rule, weight**m)
        m *= 2
    if kind == PAIR:
        _line(op, windows, x[n - 1 :], max(need, 2), out)
    else:
        _finish(op, windows, side, n, need, out)


@njit(cache=True, nogil=True)
def _begin(kind: int, x: Floats, y: Floats, side: float, trend: bool, parts: Floats) -> None:
    """Each session as a part of its own."""
    for r in range(len(x)):
        for j in range(STOCKS):
            v = x[r, j]
            known = v == v
            if kind == PAIR and not trend:
                known = known and y[r, j] == y[r, j]
            parts[r, j] = 1.0 if known else 0.0
            if kind == EXTREME:
                parts[r, STOCKS + j] = side * v if known else -np.inf
            elif kind == PRODUCT:
                parts[r, STOCKS + j] = v if known else 1.0
            else:
                parts[r, STOCKS + j] = v if known else 0.0
        for j in range(2 * STOCKS, parts.shape[1]):
            parts[r, j] = 0.0
        for j in range(STOCKS):
            if kind == DECAY:
                parts[r, 2 * STOCKS + j] = parts[r, STOCKS + j]
                parts[r, 3 * STOCKS + j] = parts[r, j]
            elif kind == EMA:
                parts[r, 2 * STOCKS + j] = parts[r, j]
            elif kind == PAIR and not trend:
                parts[r, 2 * STOCKS + j] = y[r, j] if parts[r, j] > 0.0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _merge(kind: int, new: Floats, a: int, old: Floats, b: int, ahead: int, span: int, rule: float, fade: float) -> None:
    """The newer part, of `ahead` sessions, becomes itself and the older one, of `span` sessions."""
    if kind == SUM:
        for j in range(2 * STOCKS):
            new[a, j] += old[b, j]
    elif kind == PRODUCT:
        for j in range(STOCKS):
            new[a, j] += old[b, j]
            new[a, STOCKS + j] *= old[b, STOCKS + j]
    elif kind == EMA:  # weights fade with age
        for j in range(STOCKS):
            new[a, j] += old[b, j]
            new[a, STOCKS + j] += fade * old[b, STOCKS + j]
            new[a, 2 * STOCKS + j] += fade * old[b, 2 * STOCKS + j]
    elif kind == EXTREME:
        for j in range(STOCKS):
            mine, theirs = new[a, STOCKS + j], old[b, STOCKS + j]
            older = theirs > mine or (rule > 0.0 and theirs == mine)
            new[a, j] += old[b, j]
            new[a, STOCKS + j] = theirs if older else mine
            new[a, 2 * STOCKS + j] = old[b, 2 * STOCKS + j] + ahead if older else new[a, 2 * STOCKS + j]
    elif kind == DECAY:  # weights 1 … length, so that those of the newer part rise by the older one's length
        for j in range(STOCKS):
            new[a, 2 * STOCKS + j] += span * new[a, STOCKS + j] + old[b, 2 * STOCKS + j]
            new[a, 3 * STOCKS + j] += span * new[a, j] + old[b, 3 * STOCKS + j]
            new[a, STOCKS + j] += old[b, STOCKS + j]
            new[a, j] += old[b, j]
    else:
        _merge_spread(kind, new, a, old, b, ahead * rule)


@njit(cache=True, nogil=True, error_model="numpy")
def _merge_spread(kind: int, new: Floats, a: int, old: Floats, b: int, earlier: float) -> None:
    """Means and sums of squared deviations; of a line, whose second series is the session's number, the older part lies `earlier`."""
    if kind == MOMENTS:
        for j in range(STOCKS):
            mine, theirs = new[a, j], old[b, j]
            share = theirs / max(mine + theirs, 1.0)
            step = old[b, STOCKS + j] - new[a, STOCKS + j]
            new[a, j] = mine + theirs
            new[a, STOCKS + j] += step * share
            new[a, 2 * STOCKS + j] += old[b, 2 * STOCKS + j] + step * share * mine * step
        return
    for j in range(STOCKS):
        mine, theirs = new[a, j], old[b, j]
        share = theirs / max(mine + theirs, 1.0)
        step, other = old[b, STOCKS + j] - new[a, STOCKS + j], old[b, 2 * STOCKS + j] - earlier - new[a, 2 * STOCKS + j]
        pull, pull_other = step * share * mine, other * share * mine
        new[a, j] = mine + theirs
        new[a, STOCKS + j] += step * share
        new[a, 2 * STOCKS + j] += other * share
        new[a, 3 * STOCKS + j] += old[b, 3 * STOCKS + j] + pull * step
        new[a, 4 * STOCKS + j] += old[b, 4 * STOCKS + j] + pull_other * other
        new[a, 5 * STOCKS + j] += old[b, 5 * STOCKS + j] + pull * other


@njit(cache=True, nogil=True, error_model="numpy")
def _finish(op: int, windows: Floats, side: float, n: int, need: int, out: Floats) -> None:
    """Values out of whole windows; null below `need` sessions."""
    for r in range(len(out)):
        for j in range(STOCKS):
            count, first, second = windows[r, j], windows[r, STOCKS + j], windows[r, windows.shape[1] - STOCKS + j]
            if op == TS_MEAN:
                found = first / count
            elif op == TS_EMA:
                found = first / second
            elif op == TS_STD:
                found = np.sqrt(second / (count - 1.0)) if second > count * (1e-14 * first) ** 2 else (0.0 if count > 1.0 else np.nan)
            elif op in (TS_MAX, TS_MIN):
                found = side * first
            elif op == TS_DECAY:
                found = windows[r, 2 * STOCKS + j] / second
            elif op in (TS_SUM, TS_PRODUCT):
                found = first
            else:
                found = second
            out[r, j] = found if count >= need and found - found == 0.0 else np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def _line(op: int, windows: Floats, x: Floats, need: int, out: Floats) -> None:
    """What a line of x on the other series says.  A spread within the rounding of the values is none."""
    for r in range(len(out)):
        for j in range(STOCKS):
            count, mean, other = windows[r, j], windows[r, STOCKS + j], windows[r, 2 * STOCKS + j]
            xx, yy, xy = windows[r, 3 * STOCKS + j], windows[r, 4 * STOCKS + j], windows[r, 5 * STOCKS + j]
            flat = xx <= count * (1e-14 * mean) ** 2
            flat_other = yy <= count * (1e-14 * other) ** 2
            if op in (TS_CORR, TS_RSQUARE):
                found = np.nan if flat or flat_other else min(1.0, max(-1.0, xy / np.sqrt(xx * yy)))
                found = found * found if op == TS_RSQUARE else found
            elif op == TS_COV:
                found = xy / (count - 1.0)
            elif op == TS_RESIDUAL:  # the current session's number is 0
                found = np.nan if flat_other else x[r, j] - mean + xy / yy * other
            else:
                found = np.nan if flat_other else xy / yy
            out[r, j] = found if count >= need else np.nan
