"""Nested windows over one tile: each function goes back once over the last 60 sessions and writes its features at the end of each window.

Sums are taken of distances from the latest value that the windows hold, so they cancel little however far the level is from zero, and a
window of one value repeated has a spread of exactly 0.  There is no running sum: a value depends on its own window alone, to the last bit.
Legend: tile series [R, 64], t the row of the session, slab [158, stocks] its features.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from factors.alpha158.names import WINDOWS, places
from factors.alpha158.tiles import (
    CHURN,
    CLOSE,
    HIGH,
    KNOWN,
    LISTED,
    LOG_RATIO,
    LOG_VOLUME,
    LOW,
    MOVED,
    PER_PRICE,
    PER_SHARE,
    RATIO,
    SHARE_STEP,
    STEP,
    STOCKS,
    VOLUME,
    Tile,
)

Slab = NDArray[np.float32]

SPANS = tuple(n - m for n, m in zip(WINDOWS, (0, *WINDOWS), strict=False))  # sessions that each window adds to the one before

MA, STD, BETA, RSQR, RESI, RANK, CORR, VMA, VSTD = range(9)
OF_LEVELS = places("MA", "STD", "BETA", "RSQR", "RESI", "RANK", "CORR", "VMA", "VSTD")
MAX, MIN, RSV, IMAX, IMIN, IMXD = range(6)
OF_EXTREMES = places("MAX", "MIN", "RSV", "IMAX", "IMIN", "IMXD")
CORD, WVMA = range(2)
OF_CHANGES = places("CORD", "WVMA")
CNTP, CNTN, CNTD, SUMP, SUMN, SUMD, VSUMP, VSUMN, VSUMD = range(9)
OF_STEPS = places("CNTP", "CNTN", "CNTD", "SUMP", "SUMN", "SUMD", "VSUMP", "VSUMN", "VSUMD")


@njit(cache=True, nogil=True, error_model="numpy")
def ratio(x: float, y: float) -> float:
    """X / y; 0 where y is 0, null where either is null."""
    return x / y if y != 0.0 else 0.0 * x


@njit(cache=True, nogil=True)
def _put(found: Slab, into: tuple[int, ...], window: int, slab: Slab) -> None:
    for place, row in enumerate(into):
        for j in range(slab.shape[1]):
            slab[row + window, j] = found[place, j]


@njit(cache=True, nogil=True, error_model="numpy")
def levels(tile: Tile, t: int, slab: Slab) -> None:
    """Means, deviations, lines through the close, its rank, and its correlation with log volume."""
    close, volume, logs, known = tile[CLOSE], tile[VOLUME], tile[LOG_VOLUME], tile[KNOWN]
    s, found = np.zeros((13, STOCKS)), np.empty((9, STOCKS), np.float32)
    age = 0
    for window in range(len(SPANS)):
        for _ in range(SPANS[window]):
            row = t - age
            for j in range(STOCKS):
                one = known[row, j]
                c = one * (close[row, j] - close[t, j])
                g = one * (logs[row, j] - logs[t, j])
                v = one * (volume[row, j] - volume[t, j])
                s[0, j] += one
                s[1, j] += one * age
                s[2, j] += one * age * age
                s[3, j] += c
                s[4, j] += c * c
                s[5, j] += c * age
                s[6, j] += g
                s[7, j] += g * g
                s[8, j] += g * c
                s[9, j] += v
                s[10, j] += v * v
                s[11, j] += 1.0 if c < 0.0 else 0.0
                s[12, j] += one if c == 0.0 else 0.0
            age += 1
        for j in range(STOCKS):
            each, each_but_one = 1.0 / s[0, j], 1.0 / (s[0, j] - 1.0)
            mean_age, mean_c, mean_g, mean_v = s[1, j] * each, s[3, j] * each, s[6, j] * each, s[9, j] * each
            ages, cc, gg, vv = s[2, j] - s[1, j] * mean_age, s[4, j] - s[3, j] * mean_c, s[7, j] - s[6, j] * mean_g, s[10, j] - s[9, j] * mean_v
            falling, cg = s[5, j] - s[3, j] * mean_age, s[8, j] - s[3, j] * mean_g
            slope = -falling / ages  # per session forward: an age runs backward
            per_price, per_share = tile[PER_PRICE, t, j], tile[PER_SHARE, t, j]
            found[MA, j] = (close[t, j] + mean_c) * per_price
            found[STD, j] = np.sqrt(cc * each_but_one) * per_price
            found[BETA, j] = slope * per_price
            found[RSQR, j] = falling * falling / (ages * cc)
            found[RESI, j] = -(mean_c + slope * mean_age) * per_price
            found[RANK, j] = (s[11, j] + 0.5 * (s[12, j] + 1.0)) * each if known[t, j] > 0.0 else np.nan
            found[CORR, j] = cg / np.sqrt(cc * gg)
            found[VMA, j] = (volume[t, j] + mean_v) * per_share
            found[VSTD, j] = np.sqrt(vv * each_but_one) * per_share
        _put(found, OF_LEVELS, window, slab)


@njit(cache=True, nogil=True, error_model="numpy")
def extremes(tile: Tile, t: int, slab: Slab) -> None:
    """Highs and lows, and how long ago they were; the earliest of equals."""
    high, low, listed = tile[HIGH], tile[LOW], tile[LISTED]
    s, found = np.zeros((5, STOCKS)), np.empty((6, STOCKS), np.float32)
    s[0], s[2] = -np.inf, np.inf
    age = 0
    for window in range(len(SPANS)):
        for _ in range(SPANS[window]):
            row = t - age
            for j in range(STOCKS):
                h, l = high[row, j], low[row, j]  # noqa: E741
                s[1, j] = age if h >= s[0, j] else s[1, j]
                s[0, j] = max(s[0, j], h)
                s[3, j] = age if l <= s[2, j] else s[3, j]
                s[2, j] = min(s[2, j], l)
                s[4, j] += listed[row, j]
            age += 1
        each = 1.0 / age
        for j in range(STOCKS):
            top, bottom, here = s[0, j], s[2, j], tile[PER_PRICE, t, j]
            some = top >= bottom  # not so where there is no bar: -inf, +inf
            since_top, since_bottom = s[1, j] if some else np.nan, s[3, j] if some else np.nan
            found[MAX, j] = top * here
            found[MIN, j] = bottom * here
            found[RSV, j] = ratio(tile[CLOSE, t, j] - bottom, top - bottom) if here == here else np.nan
            found[IMAX, j] = (s[4, j] - since_top) * each
            found[IMIN, j] = (s[4, j] - since_bottom) * each
            found[IMXD, j] = (since_bottom - since_top) * each
        _put(found, OF_EXTREMES, window, slab)


@njit(cache=True, nogil=True, error_model="numpy")
def changes(tile: Tile, t: int, slab: Slab) -> None:
    """Correlation of the close's change with the volume's, and the deviation of churn."""
    moved, ratios, logs, churn = tile[MOVED], tile[RATIO], tile[LOG_RATIO], tile[CHURN]
    s, found = np.zeros((8, STOCKS)), np.empty((2, STOCKS), np.float32)
    age = 0
    for window in range(len(SPANS)):
        for _ in range(SPANS[window]):
            row = t - age
            for j in range(STOCKS):
                one = moved[row, j]
                r = one * (ratios[row, j] - ratios[t, j])
                g = one * (logs[row, j] - logs[t, j])
                w = one * (churn[row, j] - churn[t, j])
                s[0, j] += one
                s[1, j] += r
                s[2, j] += r * r
                s[3, j] += g
                s[4, j] += g * g
                s[5, j] += r * g
                s[6, j] += w
                s[7, j] += w * w
            age += 1
        for j in range(STOCKS):
            each = 1.0 / s[0, j]
            mean_r, mean_g, mean_w = s[1, j] * each, s[3, j] * each, s[6, j] * each
            rr, gg, rg, ww = s[2, j] - s[1, j] * mean_r, s[4, j] - s[3, j] * mean_g, s[5, j] - s[1, j] * mean_g, s[7, j] - s[6, j] * mean_w
            found[CORD, j] = rg / np.sqrt(rr * gg)
            found[WVMA, j] = ratio(np.sqrt(ww / (s[0, j] - 1.0)), churn[t, j] + mean_w)
        _put(found, OF_CHANGES, window, slab)


@njit(cache=True, nogil=True, error_model="numpy")
def steps(tile: Tile, t: int, slab: Slab) -> None:
    """Rises and falls of close and volume: how many of the sessions, and their share of the way."""
    moved, listed, step, share_step = tile[MOVED], tile[LISTED], tile[STEP], tile[SHARE_STEP]
    s, found = np.zeros((8, STOCKS)), np.empty((9, STOCKS), np.float32)
    age = 0
    for window in range(len(SPANS)):
        for _ in range(SPANS[window]):
            row = t - age
            for j in range(STOCKS):
                s[0, j] += moved[row, j]
                s[1, j] += listed[row, j]
                s[2, j] += 1.0 if step[row, j] > 0.0 else 0.0
                s[3, j] += 1.0 if step[row, j] < 0.0 else 0.0
                s[4, j] += max(step[row, j], 0.0)
                s[5, j] += max(-step[row, j], 0.0)
                s[6, j] += max(share_step[row, j], 0.0)
                s[7, j] += max(-share_step[row, j], 0.0)
            age += 1
        for j in range(STOCKS):
            up, down, more, fewer = s[4, j], s[5, j], s[6, j], s[7, j]
            some = 1.0 if s[0, j] > 0.0 else np.nan
            each, way, share_way = 1.0 / s[1, j], ratio(some, up + down), ratio(some, more + fewer)
            found[CNTP, j], found[CNTN, j], found[CNTD, j] = s[2, j] * each, s[3, j] * each, (s[2, j] - s[3, j]) * each
            found[SUMP, j], found[SUMN, j], found[SUMD, j] = up * way, down * way, (up - down) * way
            found[VSUMP, j], found[VSUMN, j], found[VSUMD, j] = more * share_way, fewer * share_way, (more - fewer) * share_way
        _put(found, OF_STEPS, window, slab)
