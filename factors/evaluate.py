"""Is a factor any good: correlation with later returns, its decay, quantile returns, turnover and coverage, by year.

Later returns come as an argument (models/labels.py makes them), so nothing in this package looks ahead.
Dims: D sessions, N stocks, H horizons, Q quantiles.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.panel import Floats
from data.progress import Track, silent
from factors.judge import by_year, daily_ic, daily_rank_ic, summary
from factors.ranks import rank_rows

QUANTILES = 5


@dataclass(frozen=True)
class Evaluation:
    """summary: a row a factor and horizon.  years: by year at the main horizon.  quantiles: mean return by quantile, [Q].  daily: RankIC [D]."""

    summary: pl.DataFrame
    years: pl.DataFrame
    quantiles: dict[str, Floats]
    daily: dict[str, Floats]


def evaluate(
    values: Mapping[str, Floats],
    y_DNH: NDArray[np.floating],
    horizons: Sequence[int],
    present_DN: NDArray[np.bool_],
    dates: Sequence[date],
    *,
    main: int = 5,
    track: Track = silent,
) -> Evaluation:
    """Evaluate factors [D, N] against returns [D, N, H] over the stocks present; decay is the summary read along the horizons."""
    rows, years, quantiles, daily = [], [], {}, {}
    for name in track(list(values), "evaluate"):
        x = np.where(present_DN, values[name], np.nan)
        extra = {"coverage": coverage(x, present_DN), "rank_autocorrelation": rank_autocorrelation(x)}
        for place, horizon in enumerate(horizons):
            y = np.where(present_DN, y_DNH[..., place], np.nan)
            ic, rank_ic = daily_ic(x, y), daily_rank_ic(x, y)
            found = summary(ic, rank_ic)
            rows.append({"factor": name, "horizon": horizon, **found.__dict__, "t": newey_west_t(rank_ic, lags=horizon), **extra})
            if horizon == main:
                quantiles[name] = quantile_returns(x, y)
                rows[-1]["spread"] = float(quantiles[name][-1] - quantiles[name][0])
                years.append(by_year(dates, ic, rank_ic).select(pl.lit(name).alias("factor"), pl.all()))
                daily[name] = rank_ic
    return Evaluation(pl.DataFrame(rows, infer_schema_length=None), pl.concat(years), quantiles, daily)


def coverage(x_DN: Floats, present_DN: NDArray[np.bool_]) -> float:
    """Share of the present stocks that have a value."""
    return float(np.isfinite(x_DN).sum() / max(int(present_DN.sum()), 1))


def rank_autocorrelation(x_DN: Floats, *, lag: int = 1) -> float:
    """Mean correlation of a session's ranks with those `lag` sessions before: near 1 is a slow factor, cheap to trade."""
    correlations = daily_rank_ic(x_DN[lag:], x_DN[:-lag])
    return float(np.nanmean(correlations)) if np.isfinite(correlations).any() else float("nan")


def quantile_returns(x_DN: Floats, y_DN: Floats, *, quantiles: int = QUANTILES) -> Floats:
    """Mean return of each quantile [Q], lowest values first: mean over sessions of the mean over the stocks in it."""
    both = np.isfinite(x_DN) & np.isfinite(y_DN)
    ranks = rank_rows(np.where(both, x_DN, np.nan))
    counts = both.sum(axis=1, keepdims=True)
    bucket = np.ceil(ranks / np.maximum(counts, 1) * quantiles)
    means = np.full(quantiles, np.nan)
    for q in range(quantiles):
        inside = bucket == q + 1
        found = inside.sum(axis=1)
        daily = np.where(inside, y_DN, 0.0).sum(axis=1)[found > 0] / found[found > 0]
        means[q] = daily.mean() if len(daily) else np.nan
    return means


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
