"""Cross-sections by row: ranks with average ties, Gaussian ranks, z-scores, grades, and the inputs of a session made from them.

Every function works along the last axis, `rank_gauss_columns` and `prepare` along the first, counts finite values only and leaves the others NaN.
"""

from functools import lru_cache
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


def rank_gauss_columns(x_NF: NDArray[np.float32]) -> NDArray[np.float32]:
    """`rank_gauss` down the columns, to the same bits in float32 and several times as fast: one integer holds a value and its place."""
    x_FN = np.ascontiguousarray(x_NF.T)
    keys_FN, count_F = np.empty(x_FN.shape, dtype=np.uint64), np.empty(len(x_FN), dtype=np.int64)
    _keys(x_FN, x_FN.view(np.uint32), keys_FN, count_F)
    keys_FN.sort(axis=1)
    out_NF = np.full(x_NF.shape, np.nan, dtype=np.float32)
    for column, count in enumerate(count_F.tolist()):
        _place(keys_FN[column, :count], _quantiles(count), out_NF[:, column])
    return out_NF


@lru_cache(maxsize=1024)
def _quantiles(count: int) -> Floats:
    """The normal quantile of each rank 1, 1.5 … count among so many, as `rank_gauss` computes it."""
    from scipy.special import ndtri

    ranks = 1 + np.arange(2 * count - 1) / 2
    quantiles: Floats = ndtri(((ranks - 0.5) / max(count, 1) - 0.5) + 0.5)
    return quantiles


@njit(cache=True, nogil=True)
def _keys(values_FN: NDArray[np.float32], bits_FN: NDArray[np.uint32], keys_FN: NDArray[np.uint64], count_F: NDArray[np.int64]) -> None:
    sign, low, all_ones = np.uint64(0x80000000), np.uint64(0xFFFFFFFF), np.uint64(0xFFFFFFFFFFFFFFFF)
    for f in range(values_FN.shape[0]):
        count = 0
        for n in range(values_FN.shape[1]):
            keys_FN[f, n] = all_ones  # absent: sorted behind the others
            if np.isfinite(values_FN[f, n]):
                # Turned so that integers are in the order of their floats; both zeros are one value.
                bits = np.uint64(bits_FN[f, n]) if values_FN[f, n] != 0 else np.uint64(0)
                bits = bits ^ low if bits & sign else bits | sign
                keys_FN[f, n] = bits << np.uint64(32) | np.uint64(n)
                count += 1
        count_F[f] = count


@njit(cache=True, nogil=True)
def _place(keys_M: NDArray[np.uint64], quantiles: Floats, out_N: NDArray[np.float32]) -> None:
    first = 0
    while first < len(keys_M):
        last = first
        while last + 1 < len(keys_M) and keys_M[last + 1] >> np.uint64(32) == keys_M[first] >> np.uint64(32):
            last += 1
        for place in range(first, last + 1):
            out_N[np.int64(keys_M[place] & np.uint64(0xFFFFFFFF))] = quantiles[first + last]
        first = last + 1


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
    if how == "rank_gauss":
        return rank_gauss_columns(x_NF)
    scaled_FN: Floats = np.clip(z_score(np.ascontiguousarray(x_NF.T)), -CLIP, CLIP)
    return scaled_FN.T.astype(np.float32, order="C")


def _counts(values_SN: Floats) -> Floats:
    return np.maximum(np.isfinite(values_SN).sum(axis=-1, keepdims=True), 1).astype(np.float64)
