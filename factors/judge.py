"""How good scores are: daily correlations with what came after, their summary, and whether a difference is more than luck.

Dims: S sessions, N stocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from data.panel import Floats
from factors import ranks
from factors.cached import cached
from factors.ranks import Ordered, ordered, rank_among

FEWEST = 10  # pairs below which a session's correlation says nothing


@dataclass(frozen=True)
class Summary:
    """Means and mean / sample deviation of the daily correlations over the sessions that have one; not annualised."""

    days: int
    ic: float
    icir: float
    rank_ic: float
    rank_icir: float


@dataclass(frozen=True)
class Interval:
    """A mean with its bootstrap interval."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


@njit(cache=True, nogil=True)
def correlation(a_N: Floats, b_N: Floats, fewest: int) -> float:
    """Pearson correlation over the pairs that are both finite; NaN below `fewest` pairs or without spread."""
    count, sum_a, sum_b = 0, 0.0, 0.0
    for n in range(len(a_N)):
        if np.isfinite(a_N[n]) and np.isfinite(b_N[n]):
            count += 1
            sum_a += a_N[n]
            sum_b += b_N[n]
    if count < fewest:
        return np.nan
    mean_a, mean_b = sum_a / count, sum_b / count
    aa, bb, ab = 0.0, 0.0, 0.0
    for n in range(len(a_N)):
        if np.isfinite(a_N[n]) and np.isfinite(b_N[n]):
            a, b = a_N[n] - mean_a, b_N[n] - mean_b
            aa += a * a
            bb += b * b
            ab += a * b
    # Rounding leaves a constant row with a spread of about 1e-16 of its mean: no correlation, not a random one.
    if aa > 1e-24 * count * mean_a * mean_a and bb > 1e-24 * count * mean_b * mean_b:
        return ab / np.sqrt(aa) / np.sqrt(bb)
    return np.nan


@cached(ranks)
def rank_correlation(
    kept_a_M: NDArray[np.int32], rank_a_M: Floats, kept_b_M: NDArray[np.int32], rank_b_M: Floats, count: int, fewest: int, scratch_N: Floats
) -> float:
    """Pearson correlation of two sets of ranks of the same `count` columns, each in its own order, as rank_among writes them; NaN as above."""
    if count < fewest:
        return np.nan
    middle, aa, bb, ab = 0.5 * (count + 1), 0.0, 0.0, 0.0  # half-integers: these sums are exact in any order
    for m in range(count):
        centred = rank_a_M[m] - middle
        scratch_N[kept_a_M[m]] = centred
        aa += centred * centred
    for m in range(count):
        centred = rank_b_M[m] - middle
        bb += centred * centred
        ab += centred * scratch_N[kept_b_M[m]]
    return ab / np.sqrt(aa) / np.sqrt(bb) if aa > 0 and bb > 0 else np.nan


@njit(cache=True, nogil=True)
def _correlate_rows(a_SN: Floats, b_SN: Floats, fewest: int, out_S: Floats) -> None:
    for s in range(a_SN.shape[0]):
        out_S[s] = correlation(a_SN[s], b_SN[s], fewest)


@cached(ranks)
def _rank_correlate_rows(
    a_SN: Floats,
    a_SM: Floats,
    a_columns_SM: NDArray[np.int32],
    a_count_S: NDArray[np.int64],
    b_SN: Floats,
    b_SM: Floats,
    b_columns_SM: NDArray[np.int32],
    b_count_S: NDArray[np.int64],
    fewest: int,
    out_S: Floats,
) -> None:
    width = max(a_SM.shape[1], b_SM.shape[1])
    kept_a_M, kept_b_M = np.empty(width, dtype=np.int32), np.empty(width, dtype=np.int32)
    rank_a_M, rank_b_M, scratch_N = np.empty(width), np.empty(width), np.empty(a_SN.shape[1])
    for s in range(a_SN.shape[0]):
        a_here, b_here = a_count_S[s], b_count_S[s]
        count = rank_among(a_SM[s, :a_here], a_columns_SM[s, :a_here], b_SN[s], kept_a_M, rank_a_M)
        rank_among(b_SM[s, :b_here], b_columns_SM[s, :b_here], a_SN[s], kept_b_M, rank_b_M)
        out_S[s] = rank_correlation(kept_a_M, rank_a_M, kept_b_M, rank_b_M, count, fewest, scratch_N)


def daily_ic(score_SN: NDArray[np.floating], y_SN: NDArray[np.floating]) -> Floats:
    """Pearson correlation of each session over pairs that are both finite; NaN below FEWEST pairs or without spread."""
    a_SN, b_SN = np.ascontiguousarray(score_SN, dtype=np.float64), np.ascontiguousarray(y_SN, dtype=np.float64)
    _same_shape(a_SN, b_SN)
    ic_S = np.empty(len(a_SN))
    _correlate_rows(a_SN, b_SN, FEWEST, ic_S)
    return ic_S


def daily_rank_ic(score_SN: NDArray[np.floating], y_SN: NDArray[np.floating]) -> Floats:
    """Spearman correlation of each session, ties averaged; NaN as in daily_ic."""
    return rank_correlations(ordered(score_SN), ordered(y_SN))


def rank_correlations(a: Ordered, b: Ordered) -> Floats:
    """As daily_rank_ic, of rows whose order is known: [S]."""
    _same_shape(a.values_SN, b.values_SN)
    rank_ic_S = np.empty(len(a.values_SN))
    _rank_correlate_rows(*a, *b, FEWEST, rank_ic_S)
    return rank_ic_S


def _same_shape(a_SN: Floats, b_SN: Floats) -> None:
    if a_SN.shape != b_SN.shape:
        raise ValueError(f"scores have shape {a_SN.shape}, labels {b_SN.shape}")


def mean_rank_ic(score_SN: NDArray[np.floating], y_SN: NDArray[np.floating]) -> float:
    """Mean daily RankIC over the sessions that have one; NaN if none has."""
    return _mean(daily_rank_ic(score_SN, y_SN))


def summary(ic_S: Floats, rank_ic_S: Floats) -> Summary:
    """IC, ICIR, RankIC and RankICIR of the daily correlations; NaN where there are none (ratios: fewer than two)."""
    days = int(np.isfinite(rank_ic_S).sum())
    return Summary(days, _mean(ic_S), _ratio(ic_S), _mean(rank_ic_S), _ratio(rank_ic_S))


def newey_west_t(daily_D: Floats, *, lags: int) -> float:
    """T of the mean of a daily series with Bartlett weights over `lags` sessions, since returns overlap.  (Newey and West 1987)"""
    x = daily_D[np.isfinite(daily_D)]
    if len(x) <= lags + 1:
        return float("nan")
    centred = x - x.mean()
    variance = centred @ centred / len(x)
    for lag in range(1, lags + 1):
        variance += 2 * (1 - lag / (lags + 1)) * (centred[lag:] @ centred[:-lag]) / len(x)
    return float(x.mean() / np.sqrt(variance / len(x))) if variance > 0 else float("nan")


def by_year(dates: Sequence[date], ic_S: Floats, rank_ic_S: Floats) -> pl.DataFrame:
    """One row a year: year, days, ic, icir, rank_ic, rank_icir."""
    years = np.array([day.year for day in dates])
    found = []
    for year in sorted(set(years.tolist())):
        part = summary(ic_S[years == year], rank_ic_S[years == year])
        found.append({"year": year, **part.__dict__})
    return pl.DataFrame(found, schema={"year": pl.Int32, "days": pl.Int32, **dict.fromkeys(("ic", "icir", "rank_ic", "rank_icir"), pl.Float64)})


def difference(a_S: Floats, b_S: Floats, *, block: int = 20, draws: int = 2000, level: float = 0.95, seed: int = 0) -> Interval:
    """Mean of a - b over the sessions that have both, with a circular block-bootstrap interval.  (Politis and Romano 1992)

    Blocks of `block` sessions keep the dependence that overlapping labels make.  NaN throughout where no session has both.
    """
    both = np.isfinite(a_S) & np.isfinite(b_S)
    gap = a_S[both] - b_S[both]
    if len(gap) == 0:
        return Interval(np.nan, np.nan, np.nan)
    block = min(block, len(gap))
    blocks = -(-len(gap) // block)
    starts = np.random.default_rng(seed).integers(0, len(gap), size=(draws, blocks))
    picked = (starts[:, :, None] + np.arange(block)).reshape(draws, -1)[:, : len(gap)] % len(gap)
    low, high = np.quantile(gap[picked].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(gap.mean()), float(low), float(high))


def _mean(values_S: Floats) -> float:
    finite = values_S[np.isfinite(values_S)]
    return float(finite.mean()) if len(finite) else float("nan")


def _ratio(values_S: Floats) -> float:
    finite = values_S[np.isfinite(values_S)]
    spread = float(finite.std(ddof=1)) if len(finite) > 1 else 0.0
    return float(finite.mean()) / spread if spread > 0 else float("nan")
