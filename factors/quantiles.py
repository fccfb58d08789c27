"""Portfolios of a factor's quantiles: their returns, how many names they replace, whether the returns rise all the way, what they can hold.

A quantile holds its stocks in equal parts; quantile 1 has the lowest values.  Ties share the quantile of their mean rank.
Dims: D sessions, N stocks, M stocks with a value, Q quantiles.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from data.panel import Floats
from factors import ranks
from factors.cached import cached
from factors.judge import correlation
from factors.ranks import Ordered, ordered, rank_among, rank_rows

QUANTILES = 5


@cached(ranks)
def _means(x_DM: Floats, columns_DM: NDArray[np.int32], count_D: NDArray[np.int64], x_DN: Floats, y_DN: Floats, out_DQ: Floats) -> None:
    quantiles = out_DQ.shape[1]
    kept_M, ranks_M = np.empty(x_DM.shape[1], dtype=np.int32), np.empty(x_DM.shape[1])
    for t in range(x_DN.shape[0]):
        count = rank_among(x_DM[t, : count_D[t]], columns_DM[t, : count_D[t]], y_DN[t], kept_M, ranks_M)
        total_Q, held_Q = np.zeros(quantiles), np.zeros(quantiles)
        for m in range(count):
            q = int(np.ceil(ranks_M[m] / count * quantiles)) - 1
            total_Q[q] += y_DN[t, kept_M[m]]
            held_Q[q] += 1
        for q in range(quantiles):
            out_DQ[t, q] = total_Q[q] / held_Q[q] if held_Q[q] > 0 else np.nan


def daily_quantile_returns(x: Ordered, y_DN: Floats, *, quantiles: int = QUANTILES) -> Floats:
    """Mean return [D, Q] of the stocks in each quantile of those with a value and a return; NaN where a quantile is empty."""
    out_DQ = np.empty((len(y_DN), quantiles))
    _means(x.sorted_SM, x.columns_SM, x.count_S, x.values_SN, np.ascontiguousarray(y_DN, dtype=np.float64), out_DQ)
    return out_DQ


def quantile_returns(x_DN: Floats, y_DN: Floats, *, quantiles: int = QUANTILES) -> Floats:
    """Mean return of each quantile [Q], lowest values first: mean over sessions of the mean over the stocks in it."""
    return column_means(daily_quantile_returns(ordered(x_DN), y_DN, quantiles=quantiles))


def column_means(values_DQ: Floats) -> Floats:
    """Mean [Q] of the finite values of each column; NaN where there are none."""
    known = np.isfinite(values_DQ)
    count_Q = known.sum(axis=0)
    return np.where(count_Q > 0, np.where(known, values_DQ, 0.0).sum(axis=0) / np.maximum(count_Q, 1), np.nan)


@cached(ranks)
def _buckets(x_DM: Floats, columns_DM: NDArray[np.int32], count_D: NDArray[np.int64], x_DN: Floats, quantiles: int, out_DN: NDArray[np.int8]) -> None:
    kept_M, ranks_M = np.empty(x_DM.shape[1], dtype=np.int32), np.empty(x_DM.shape[1])
    for t in range(x_DN.shape[0]):
        count = rank_among(x_DM[t, : count_D[t]], columns_DM[t, : count_D[t]], x_DN[t], kept_M, ranks_M)
        for m in range(count):
            out_DN[t, kept_M[m]] = int(np.ceil(ranks_M[m] / count * quantiles))


def buckets(x: Ordered, *, quantiles: int = QUANTILES) -> NDArray[np.int8]:
    """The quantile 1 … Q of each stock as known at the session's close, 0 without a value: [D, N] int8."""
    out_DN = np.zeros(x.values_SN.shape, dtype=np.int8)
    _buckets(x.sorted_SM, x.columns_SM, x.count_S, x.values_SN, quantiles, out_DN)
    return out_DN


@njit(cache=True, nogil=True)
def _turnover(bucket_DN: NDArray[np.int8], lag: int, out_DQ: Floats) -> None:
    quantiles = out_DQ.shape[1]
    for t in range(lag, bucket_DN.shape[0]):
        held_Q, fresh_Q, before_Q = np.zeros(quantiles), np.zeros(quantiles), np.zeros(quantiles)
        for n in range(bucket_DN.shape[1]):
            now, then = bucket_DN[t, n], bucket_DN[t - lag, n]
            if now > 0:
                held_Q[now - 1] += 1
                fresh_Q[now - 1] += now != then
            if then > 0:
                before_Q[then - 1] += 1
        for q in range(quantiles):
            if held_Q[q] > 0 and before_Q[q] > 0:
                out_DQ[t, q] = fresh_Q[q] / held_Q[q]


def turnover(bucket_DN: NDArray[np.int8], *, lag: int, quantiles: int = QUANTILES) -> Floats:
    """Share of the names of each quantile that weren't in it `lag` sessions before, [D, Q]; NaN where it was or is empty."""
    out_DQ = np.full((len(bucket_DN), quantiles), np.nan)
    _turnover(bucket_DN, lag, out_DQ)
    return out_DQ


def spread_net(returns_Q: Floats, turnover_Q: Floats, *, cost: float) -> float:
    """What the long-short spread keeps of one holding period: |top - bottom| - 2 cost (turnover of top + turnover of bottom).

    The spread is held in the direction in which it was positive.  turnover_Q is that over the holding period: each name that is replaced is
    sold and its successor bought, at `cost` a side; the weights' drift within the period costs nothing here.
    """
    return float(abs(returns_Q[-1] - returns_Q[0]) - 2 * cost * (turnover_Q[0] + turnover_Q[-1]))


def monotonicity(returns_DQ: Floats, *, block: int, draws: int = 1000, seed: int = 0) -> tuple[float, float]:
    """(Spearman correlation of the quantiles' mean returns with their numbers, p of their rising all the way in the spread's direction).

    The test's null is that some step from one quantile to the next doesn't rise: p is the share of resamples of blocks of `block` sessions
    whose smallest step, less its mean, is at least the smallest one found.  (Patton and Timmermann 2010)  NaN with an empty quantile.
    """
    rows = returns_DQ[np.isfinite(returns_DQ).all(axis=1)]
    if len(rows) < 2 * block:
        return float("nan"), float("nan")
    mean_Q = rows.mean(axis=0)
    rising = correlation(rank_rows(mean_Q[None, :])[0], np.arange(1.0, len(mean_Q) + 1), 2)
    steps = np.diff(rows, axis=1) * (1.0 if mean_Q[-1] >= mean_Q[0] else -1.0)
    found = steps.mean(axis=0)
    resampled = _block_means(steps - found, block, draws, seed)
    return rising, float((resampled.min(axis=1) >= found.min()).mean())


def _block_means(values_DQ: Floats, block: int, draws: int, seed: int) -> Floats:
    """Means [draws, Q] of circular blocks of rows drawn with replacement, as many as make up the length.  (Politis and Romano 1992)"""
    length = len(values_DQ)
    starts = np.random.default_rng(seed).integers(0, length, size=(draws, -(-length // block)))
    sums = np.concatenate([np.zeros((1, values_DQ.shape[1])), np.cumsum(np.concatenate([values_DQ, values_DQ[:block]]), axis=0)])
    return np.asarray((sums[starts + block] - sums[starts]).sum(axis=1) / (starts.shape[1] * block))


def capacity(bucket_DN: NDArray[np.int8], amount_DN: Floats, *, quantile: int, participation: float, share: float = 0.9) -> float:
    """CNY that the quantile can hold if nine names in ten are to be bought within a session: the median over sessions of n x p x a.

    n: its names; p: `participation` in a name's turnover; a: the amount (CNY a session, known at the close, e.g. the mean of 20 sessions)
    that `share` of its names exceed.  At that size an equal part, capacity / n, is p of a.  NaN where no amount is known.
    """
    found = []
    for bucket_N, amount_N in zip(bucket_DN, amount_DN, strict=True):
        held = amount_N[bucket_N == quantile]
        held = held[np.isfinite(held)]
        if len(held):
            found.append(len(held) * participation * float(np.quantile(held, 1 - share)))
    return float(np.median(found)) if found else float("nan")
