"""Cross-sections by row: ranks with average ties, Gaussian ranks, z-scores, grades, and the inputs of a session made from them.

Every function works along the last axis, counts finite values only and leaves the others NaN.
"""

from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Inputs = Literal["raw", "z_score", "rank_gauss"]

CLIP = 3.0  # z-scores of inputs beyond this say "extreme" and no more


@njit(cache=True, nogil=True)
def _average_ties(values_SN: Floats, order_SN: NDArray[np.int64], ranks_SN: Floats) -> None:
    width = values_SN.shape[1]
    for s in range(values_SN.shape[0]):
        first = 0
        while first < width and not np.isnan(values_SN[s, order_SN[s, first]]):  # NaN sorts last
            last = first
            while last + 1 < width and values_SN[s, order_SN[s, last + 1]] == values_SN[s, order_SN[s, first]]:
                last += 1
            for place in range(first, last + 1):
                ranks_SN[s, order_SN[s, place]] = 0.5 * (first + last) + 1.0
            first = last + 1


def rank_rows(values_SN: NDArray[np.floating]) -> Floats:
    """Ranks 1 … n of each row, smallest first, ties averaged."""
    values = np.where(np.isfinite(values_SN), values_SN, np.nan).astype(np.float64, order="C")
    ranks_SN = np.full(values.shape, np.nan)
    _average_ties(values, np.argsort(values, axis=1), ranks_SN)
    return ranks_SN


def centred_ranks(values_SN: NDArray[np.floating]) -> Floats:
    """Ranks spread evenly over (-0.5, 0.5): a row sums to 0."""
    ranks_SN = rank_rows(values_SN)
    return (ranks_SN - 0.5) / _counts(ranks_SN) - 0.5


def rank_gauss(values_SN: NDArray[np.floating]) -> Floats:
    """The normal quantile of each value's rank, at (rank - 0.5) / n: bounded by n, deaf to fat tails."""
    from scipy.special import ndtri

    gauss: Floats = ndtri(centred_ranks(values_SN) + 0.5)
    return gauss


@njit(cache=True, nogil=True)
def _mean_spread(values_SN: Floats, mean_S: Floats, spread_S: Floats, top_S: Floats) -> None:
    """Mean, population deviation and largest magnitude of each row, summed one value after the other.

    Sequential on purpose: numpy's pairwise sums group by position, so that a stock listed years later would change the last bits.
    """
    for s in range(values_SN.shape[0]):
        total, count, top = 0.0, 0, 0.0
        for n in range(values_SN.shape[1]):
            v = values_SN[s, n]
            if np.isfinite(v):
                total += v
                count += 1
                top = max(top, abs(v))
        mean = total / count if count > 0 else np.nan
        square = 0.0
        for n in range(values_SN.shape[1]):
            v = values_SN[s, n]
            if np.isfinite(v):
                square += (v - mean) ** 2
        mean_S[s] = mean
        spread_S[s] = np.sqrt(square / count) if count > 0 else np.nan
        top_S[s] = top


def row_moments(values_SN: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """(mean, population deviation) of each row as [S, 1]; a row without spread has deviation 0, an empty one NaN."""
    values = np.ascontiguousarray(values_SN, dtype=np.float64)
    mean_S, spread_S, top_S = np.empty(len(values)), np.empty(len(values)), np.empty(len(values))
    _mean_spread(values, mean_S, spread_S, top_S)
    # A constant row misses its mean by rounding alone; dividing that by itself would invent a signal.
    spread_S[spread_S <= 1e-12 * top_S] = 0.0
    return mean_S[:, None], spread_S[:, None]


def z_score(values_SN: NDArray[np.floating]) -> Floats:
    """(value - mean) / population deviation of the row; a row without spread is 0."""
    values = np.asarray(values_SN, dtype=np.float64)
    mean, spread = row_moments(values.reshape(-1, values.shape[-1]))
    mean, spread = mean.reshape(*values.shape[:-1], 1), spread.reshape(*values.shape[:-1], 1)
    scaled = (values - mean) / np.where(spread == 0, 1.0, spread)
    return np.where(np.isfinite(values), np.where(spread == 0, 0.0, scaled), np.nan)


@njit(cache=True, nogil=True)
def _residuals(y_SN: Floats, x_SN: Floats, out_SN: Floats) -> None:
    for s in range(y_SN.shape[0]):
        count, mean_y, mean_x, top = 0, 0.0, 0.0, 0.0
        for n in range(y_SN.shape[1]):
            if np.isfinite(y_SN[s, n]) and np.isfinite(x_SN[s, n]):
                count += 1
                mean_y += y_SN[s, n]
                mean_x += x_SN[s, n]
                top = max(top, abs(x_SN[s, n]))
        mean_y, mean_x = mean_y / max(count, 1), mean_x / max(count, 1)
        xx, xy = 0.0, 0.0
        for n in range(y_SN.shape[1]):
            if np.isfinite(y_SN[s, n]) and np.isfinite(x_SN[s, n]):
                xx += (x_SN[s, n] - mean_x) ** 2
                xy += (x_SN[s, n] - mean_x) * (y_SN[s, n] - mean_y)
        slope = xy / xx if xx > count * (1e-12 * top) ** 2 else 0.0
        for n in range(y_SN.shape[1]):
            if np.isfinite(y_SN[s, n]) and np.isfinite(x_SN[s, n]):
                out_SN[s, n] = y_SN[s, n] - mean_y - slope * (x_SN[s, n] - mean_x)


def row_residuals(y_SN: Floats, x_SN: Floats) -> Floats:
    """What a straight line in x leaves of each row of y; NaN where either is, y less its mean where x has no spread."""
    y_SN, x_SN = np.broadcast_arrays(y_SN, x_SN)
    out_SN = np.full(y_SN.shape, np.nan)
    _residuals(np.ascontiguousarray(y_SN), np.ascontiguousarray(x_SN), out_SN)
    return out_SN


@njit(cache=True, nogil=True)
def _group_means(values_SN: Floats, groups_SN: Floats, total_G: Floats, count_G: Floats, means_SN: Floats) -> None:
    for s in range(values_SN.shape[0]):
        total_G[:] = 0.0
        count_G[:] = 0.0
        for n in range(values_SN.shape[1]):
            if np.isfinite(values_SN[s, n]) and np.isfinite(groups_SN[s, n]):
                total_G[int(groups_SN[s, n])] += values_SN[s, n]
                count_G[int(groups_SN[s, n])] += 1.0
        for n in range(values_SN.shape[1]):
            if np.isfinite(groups_SN[s, n]) and count_G[int(groups_SN[s, n])] > 0:
                means_SN[s, n] = total_G[int(groups_SN[s, n])] / count_G[int(groups_SN[s, n])]


def group_means(values_SN: Floats, groups_SN: Floats) -> Floats:
    """Mean of each row over the columns of a group, given to all of its columns.  groups: whole numbers from 0 on, NaN = none."""
    means_SN = np.full(values_SN.shape, np.nan)
    groups = _group_count(groups_SN)
    _group_means(np.ascontiguousarray(values_SN), np.ascontiguousarray(groups_SN), np.empty(groups), np.empty(groups), means_SN)
    return means_SN


@njit(cache=True, nogil=True)
def _group_ranks(values_SN: Floats, groups_SN: Floats, order_SN: NDArray[np.int64], below_G: Floats, equal_G: Floats, ranks_SN: Floats) -> None:
    """Walk each row upwards, one run of equal values after the other, with a count a group of what was passed."""
    width = values_SN.shape[1]
    for s in range(values_SN.shape[0]):
        below_G[:] = 0.0
        equal_G[:] = 0.0
        first = 0
        while first < width and not np.isnan(values_SN[s, order_SN[s, first]]):  # NaN sorts last
            stop = first
            while stop < width and values_SN[s, order_SN[s, stop]] == values_SN[s, order_SN[s, first]]:
                equal_G[int(groups_SN[s, order_SN[s, stop]])] += 1.0
                stop += 1
            for place in range(first, stop):
                group = int(groups_SN[s, order_SN[s, place]])
                ranks_SN[s, order_SN[s, place]] = below_G[group] + 0.5 * (equal_G[group] + 1.0)
            for place in range(first, stop):
                group = int(groups_SN[s, order_SN[s, place]])
                below_G[group] += equal_G[group]
                equal_G[group] = 0.0
            first = stop
        for n in range(width):
            if not np.isnan(ranks_SN[s, n]):
                ranks_SN[s, n] /= below_G[int(groups_SN[s, n])]


def group_ranks(values_SN: Floats, groups_SN: Floats) -> Floats:
    """Rank of each value among the columns of its group over their count, in (0, 1], ties averaged; groups as in group_means."""
    values = np.where(np.isfinite(groups_SN) & np.isfinite(values_SN), values_SN, np.nan)
    ranks_SN = np.full(values.shape, np.nan)
    groups = _group_count(groups_SN)
    _group_ranks(values, np.ascontiguousarray(groups_SN), np.argsort(values, axis=1), np.empty(groups), np.empty(groups), ranks_SN)
    return ranks_SN


def grades(values_SN: NDArray[np.floating], count: int) -> Floats:
    """Whole grades 0 … count-1 of equal size by rank, best highest: the relevance of a listwise loss."""
    share = centred_ranks(values_SN) + 0.5
    return np.minimum(np.floor(share * count), count - 1)


def prepare(x_NF: NDArray[np.float32], how: Inputs) -> NDArray[np.float32]:
    """Inputs of one session, factor by factor across its stocks; NaN stays NaN."""
    if how == "raw":
        return x_NF
    x_FN = np.ascontiguousarray(x_NF.T)
    scaled_FN: Floats = rank_gauss(x_FN) if how == "rank_gauss" else np.clip(z_score(x_FN), -CLIP, CLIP)
    return scaled_FN.T.astype(np.float32, order="C")


def _counts(values_SN: Floats) -> Floats:
    return np.maximum(np.isfinite(values_SN).sum(axis=-1, keepdims=True), 1).astype(np.float64)


def _group_count(groups_SN: Floats) -> int:
    return int(np.fmax.reduce(groups_SN, axis=None, initial=-1.0)) + 1
