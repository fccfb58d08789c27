"""Cross-sections by row: ranks with average ties, Gaussian ranks, z-scores, grades, and the inputs of a session made from them.

Every function works along the last axis, counts finite values only and leaves the others NaN.
"""

from typing import Literal, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Inputs = Literal["raw", "z_score", "rank_gauss"]

CLIP = 3.0  # z-scores of inputs beyond this say "extreme" and no more


class Ordered(NamedTuple):
    """Rows with their finite values in order: sorted_SM[s, :count_S[s]], smallest first, lie in the columns columns_SM[s, :count_S[s]]."""

    values_SN: Floats
    sorted_SM: Floats
    columns_SM: NDArray[np.int32]
    count_S: NDArray[np.int64]

    def rows(self, start: int | None, stop: int | None) -> "Ordered":
        """The rows start … stop-1, as views."""
        part = slice(start, stop)
        return Ordered(self.values_SN[part], self.sorted_SM[part], self.columns_SM[part], self.count_S[part])


def ordered(values_SN: NDArray[np.floating]) -> Ordered:
    """The rows in float64 with their order: sorted once, ranked as often as needed among whatever part of a row (see `rank_among`)."""
    rows_SN: Floats = np.ascontiguousarray(values_SN, dtype=np.float64)
    count_S = np.isfinite(rows_SN).sum(axis=1)
    shape = (len(rows_SN), int(count_S.max(initial=0)))
    # Sorting the finite values alone is several times faster than sorting rows with NaN in them; infinity fills up short rows.
    packed_SM, columns_SM = np.full(shape, np.inf), np.zeros(shape, dtype=np.int32)
    _pack(rows_SN, packed_SM, columns_SM)
    order_SM = np.argsort(packed_SM, axis=1)
    return Ordered(rows_SN, np.take_along_axis(packed_SM, order_SM, axis=1), np.take_along_axis(columns_SM, order_SM, axis=1), count_S)


@njit(cache=True, nogil=True)
def _pack(values_SN: Floats, packed_SM: Floats, columns_SM: NDArray[np.int32]) -> None:
    for s in range(values_SN.shape[0]):
        m = 0
        for n in range(values_SN.shape[1]):
            if np.isfinite(values_SN[s, n]):
                packed_SM[s, m], columns_SM[s, m] = values_SN[s, n], n
                m += 1


@njit(cache=True, nogil=True)
def rank_among(sorted_M: Floats, columns_M: NDArray[np.int32], others_N: Floats, kept_M: NDArray[np.int32], ranks_M: Floats) -> int:
    """Of the sorted values whose column is finite in others_N too: write their columns, by value, and their ranks 1 … count; return count.

    Ties are averaged.  kept_M and ranks_M need room for all values; what lies beyond count is scratch.
    """
    count, tied = 0, False
    for m in range(len(sorted_M)):
        if np.isfinite(others_N[columns_M[m]]):
            kept_M[count], ranks_M[count] = columns_M[m], sorted_M[m]
            tied |= count > 0 and ranks_M[count - 1] == sorted_M[m]
            count += 1
    first = 0
    while first < count:
        last = first
        while tied and last + 1 < count and ranks_M[last + 1] == ranks_M[first]:
            last += 1
        for place in range(first, last + 1):
            ranks_M[place] = 0.5 * (first + last) + 1.0
        first = last + 1
    return count


@njit(cache=True, nogil=True)
def _rank(values_SN: Floats, sorted_SM: Floats, columns_SM: NDArray[np.int32], count_S: NDArray[np.int64], out_SN: Floats) -> None:
    kept_M, ranks_M = np.empty(columns_SM.shape[1], dtype=np.int32), np.empty(columns_SM.shape[1])
    for s in range(values_SN.shape[0]):
        count = rank_among(sorted_SM[s, : count_S[s]], columns_SM[s, : count_S[s]], values_SN[s], kept_M, ranks_M)
        for m in range(count):
            out_SN[s, kept_M[m]] = ranks_M[m]


def rank_rows(values_SN: NDArray[np.floating]) -> Floats:
    """Ranks 1 … n of each row, smallest first, ties averaged."""
    rows = ordered(values_SN)
    ranks_SN = np.full(rows.values_SN.shape, np.nan)
    _rank(*rows, ranks_SN)
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
