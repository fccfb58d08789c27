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
from factors.ranks import rank_rows

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
def _correlate_rows(a_SN: Floats, b_SN: Floats, fewest: int) -> Floats:
    result = np.full(a_SN.shape[0], np.nan)
    for s in range(a_SN.shape[0]):
        count, sum_a, sum_b = 0, 0.0, 0.0
        for n in range(a_SN.shape[1]):
            if np.isfinite(a_SN[s, n]) and np.isfinite(b_SN[s, n]):
                count += 1
                sum_a += a_SN[s, n]
                sum_b += b_SN[s, n]
        if count < fewest:
            continue
        mean_a, mean_b = sum_a / count, sum_b / count
        aa, bb, ab = 0.0, 0.0, 0.0
        for n in range(a_SN.shape[1]):
            if np.isfinite(a_SN[s, n]) and np.isfinite(b_SN[s, n]):
                a, b = a_SN[s, n] - mean_a, b_SN[s, n] - mean_b
                aa += a * a
                bb += b * b
                ab += a * b
        # Rounding leaves a constant row with a spread of about 1e-16 of its mean: no correlation, not a random one.
        if aa > 1e-24 * count * mean_a * mean_a and bb > 1e-24 * count * mean_b * mean_b:
            result[s] = ab / np.sqrt(aa) / np.sqrt(bb)
    return result


def daily_ic(score_SN: NDArray[np.floating], y_SN: NDArray[np.floating]) -> Floats:
    """Pearson correlation of each session over pairs that are both finite; NaN below FEWEST pairs or without spread."""
    a_SN, b_SN = np.ascontiguousarray(score_SN, dtype=np.float64), np.ascontiguousarray(y_SN, dtype=np.float64)
    if a_SN.shape != b_SN.shape:
        raise ValueError(f"scores have shape {a_SN.shape}, labels {b_SN.shape}")
    correlations: Floats = _correlate_rows(a_SN, b_SN, FEWEST)
    return correlations


def daily_rank_ic(score_SN: NDArray[np.floating], y_SN: NDArray[np.floating]) -> Floats:
    """Spearman correlation of each session, ties averaged; NaN as in daily_ic."""
    both = np.isfinite(score_SN) & np.isfinite(y_SN)
    return daily_ic(rank_rows(np.where(both, score_SN, np.nan)), rank_rows(np.where(both, y_SN, np.nan)))


def mean_rank_ic(score_SN: NDArray[np.floating], y_SN: NDArray[np.floating]) -> float:
    """Mean daily RankIC over the sessions that have one; NaN if none has."""
    return _mean(daily_rank_ic(score_SN, y_SN))


def summary(ic_S: Floats, rank_ic_S: Floats) -> Summary:
    """IC, ICIR, RankIC and RankICIR of the daily correlations; NaN where there are none (ratios: fewer than two)."""
    days = int(np.isfinite(rank_ic_S).sum())
    return Summary(days, _mean(ic_S), _ratio(ic_S), _mean(rank_ic_S), _ratio(rank_ic_S))


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
