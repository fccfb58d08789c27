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
LIMIT = 1e-12  # a correlation this near 1 is 1: two points are always on a line, however they round

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
                _merge(kind, windows, 0, parts, first, rows, 1, done, m, rule, weight**done)
            done += m
        if done == n:
            break
        top = len(x) - 1 - done  # what is above serves no window
        _merge(kind, parts, top, parts, top - m, top - 2 * m + 2, -1, m, m, rule, weight**m)
        m *= 2
    if kind == PAIR:
        _line(op, windows, x[n - 1 :], max(float(need), 2.0), out)
    else:
        _finish(op, windows, side, float(need), out)


@njit(cache=True, nogil=True)
def _begin(kind: int, x: Floats, y: Floats, side: float, trend: bool, parts: Floats) -> None:
    """Each session as a part of its own: its count, 1 or 0, its value, and what that kind starts with."""
    empty = -np.inf if kind == EXTREME else (1.0 if kind == PRODUCT else 0.0)
    if kind == PAIR and not trend:
        for r in range(len(x)):
            for j in range(STOCKS):
                a, b = x[r, j], y[r, j]
                v = a + b
                parts[r, j] = 1.0 if v == v else 0.0
                parts[r, STOCKS + j] = a if v == v else 0.0
                parts[r, 2 * STOCKS + j] = b if v == v else 0.0
                parts[r, 3 * STOCKS + j] = 0.0
                parts[r, 4 * STOCKS + j] = 0.0
                parts[r, 5 * STOCKS + j] = 0.0
        return
    for r in range(len(x)):
        for j in range(STOCKS):
            v = x[r, j]
            parts[r, j] = 1.0 if v == v else 0.0
            parts[r, STOCKS + j] = side * v if v == v else empty
    for plane in range(2, WIDTH[kind]):
        source = plane - 1 if kind == DECAY and plane == 2 else 0
        share = 1.0 if kind in (EMA, DECAY) else 0.0
        for r in range(len(x)):
            for j in range(STOCKS):
                parts[r, plane * STOCKS + j] = share * parts[r, source * STOCKS + j]


@njit(cache=True, nogil=True, error_model="numpy")
def _merge(kind: int, new: Floats, a: int, old: Floats, b: int, rows: int, way: int, ahead: int, span: int, rule: float, fade: float) -> None:
    """Newer parts, of `ahead` sessions, become themselves and the older ones, of `span` sessions: rows from a and b on, up or down."""
    if kind == SUM:
        for i in range(rows):
            for j in range(2 * STOCKS):
                new[a + i * way, j] += old[b + i * way, j]
    elif kind == PRODUCT:
        for i in range(rows):
            for j in range(STOCKS):
                new[a + i * way, j] += old[b + i * way, j]
                new[a + i * way, STOCKS + j] *= old[b + i * way, STOCKS + j]
    elif kind == EMA:  # weights fade with age
        for i in range(rows):
            for j in range(STOCKS):
                new[a + i * way, j] += old[b + i * way, j]
                new[a + i * way, STOCKS + j] += fade * old[b + i * way, STOCKS + j]
                new[a + i * way, 2 * STOCKS + j] += fade * old[b + i * way, 2 * STOCKS + j]
    elif kind == EXTREME:
        for i in range(rows):
            _merge_extremes(new[a + i * way], old[b + i * way], ahead, rule)
    elif kind == DECAY:  # weights 1 … length, so that those of the newer part rise by the older one's length
        for i in range(rows):
            for j in range(STOCKS):
                new[a + i * way, 2 * STOCKS + j] += span * new[a + i * way, STOCKS + j] + old[b + i * way, 2 * STOCKS + j]
                new[a + i * way, 3 * STOCKS + j] += span * new[a + i * way, j] + old[b + i * way, 3 * STOCKS + j]
                new[a + i * way, STOCKS + j] += old[b + i * way, STOCKS + j]
                new[a + i * way, j] += old[b + i * way, j]
    elif kind == MOMENTS:
        for i in range(rows):
            _merge_moments(new[a + i * way], old[b + i * way])
    else:
        for i in range(rows):
            _merge_pairs(new[a + i * way], old[b + i * way], ahead * rule)


@njit(cache=True, nogil=True, inline="always")
def _merge_extremes(new: Floats, old: Floats, ahead: int, rule: float) -> None:
    """The larger value and its age; of equals the newer one, or by the rule 1 the older."""
    for j in range(STOCKS):
        mine, theirs = new[STOCKS + j], old[STOCKS + j]
        older = (theirs > mine) | ((theirs == mine) & (rule > 0.0))
        new[j] += old[j]
        new[STOCKS + j] = theirs if older else mine
        new[2 * STOCKS + j] = old[2 * STOCKS + j] + ahead if older else new[2 * STOCKS + j]


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _merge_moments(new: Floats, old: Floats) -> None:
    """Counts, means, and sums of squared deviations from the mean."""
    for j in range(STOCKS):
        mine, theirs = new[j], old[j]
        count = mine + theirs
        share = theirs / (count if count > 1.0 else 1.0)
        step = old[STOCKS + j] - new[STOCKS + j]
        new[j] = count
        new[STOCKS + j] += step * share
        new[2 * STOCKS + j] += old[2 * STOCKS + j] + step * share * mine * step


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _merge_pairs(new: Floats, old: Floats, earlier: float) -> None:
    """Those of two series, and of their product; of a line, whose second series is the session's number, the older part lies `earlier`."""
    for j in range(STOCKS):
        mine, theirs = new[j], old[j]
        count = mine + theirs
        share = theirs / (count if count > 1.0 else 1.0)
        step, other = old[STOCKS + j] - new[STOCKS + j], old[2 * STOCKS + j] - earlier - new[2 * STOCKS + j]
        pull, pull_other = step * share * mine, other * share * mine
        new[j] = count
        new[STOCKS + j] += step * share
        new[2 * STOCKS + j] += other * share
        new[3 * STOCKS + j] += old[3 * STOCKS + j] + pull * step
        new[4 * STOCKS + j] += old[4 * STOCKS + j] + pull_other * other
        new[5 * STOCKS + j] += old[5 * STOCKS + j] + pull * other


@njit(cache=True, nogil=True, error_model="numpy")
def _finish(op: int, windows: Floats, side: float, need: float, out: Floats) -> None:
    """Values out of whole windows; null below `need` sessions.  The last numbers of a part are what its first are divided by, or an age."""
    last = windows.shape[1] - STOCKS
    for r in range(len(out)):
        if op == TS_MEAN:
            for j in range(STOCKS):
                out[r, j] = windows[r, STOCKS + j] / windows[r, j] if windows[r, j] >= need else np.nan
        elif op in (TS_EMA, TS_DECAY):
            for j in range(STOCKS):
                out[r, j] = windows[r, last - STOCKS + j] / windows[r, last + j] if windows[r, j] >= need else np.nan
        elif op == TS_STD:
            for j in range(STOCKS):
                count, mean, square = windows[r, j], windows[r, STOCKS + j], windows[r, last + j]
                found = np.sqrt(square / (count - 1.0)) if square > count * (1e-14 * mean) * (1e-14 * mean) else 0.0
                out[r, j] = found if count >= max(need, 2.0) else np.nan
        elif op in (TS_SUM, TS_PRODUCT, TS_MAX, TS_MIN):
            for j in range(STOCKS):
                v = side * windows[r, STOCKS + j]
                out[r, j] = v if (windows[r, j] >= need) & (v - v == 0.0) else np.nan
        else:
            for j in range(STOCKS):
                out[r, j] = windows[r, last + j] if windows[r, j] >= max(need, 1.0) else np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def _line(op: int, windows: Floats, x: Floats, need: float, out: Floats) -> None:
    """What a line of x on the other series says.  A spread within the rounding of the values is none."""
    for r in range(len(out)):
        for j in range(STOCKS):
            count, mean, other = windows[r, j], windows[r, STOCKS + j], windows[r, 2 * STOCKS + j]
            xx, yy, xy = windows[r, 3 * STOCKS + j], windows[r, 4 * STOCKS + j], windows[r, 5 * STOCKS + j]
            sloped = (count >= need) & (yy > count * (1e-14 * other) * (1e-14 * other))
            spread = sloped & (xx > count * (1e-14 * mean) * (1e-14 * mean))
            corr = xy / np.sqrt(xx * yy)
            corr = -1.0 if corr < LIMIT - 1.0 else (1.0 if corr > 1.0 - LIMIT else corr)
            corr = corr if spread else np.nan
            if op == TS_CORR:
                out[r, j] = corr
            elif op == TS_RSQUARE:
                out[r, j] = corr * corr
            elif op == TS_COV:
                out[r, j] = xy / (count - 1.0) if count >= need else np.nan
            elif op == TS_RESIDUAL:  # the current session's number is 0
                out[r, j] = x[r, j] - mean + xy / yy * other if sloped else np.nan
            else:
                out[r, j] = xy / yy if sloped else np.nan
