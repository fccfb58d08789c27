"""Whether a factor lasts: how fast its ranks change, and what it foretold in rising, falling, calm and wild markets.

Dims: D sessions, N stocks.
"""

from bisect import insort
from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.panel import Floats
from factors.judge import newey_west_t, rank_correlations, summary
from factors.ranks import Ordered

Bools = NDArray[np.bool_]

TREND, CALM = 60, 20  # sessions that say whether the market rises, and how much it moves


def rank_autocorrelation(x: Ordered, *, lag: int = 1) -> float:
    """Mean correlation of a session's ranks with those `lag` sessions before: near 1 is a slow factor, cheap to trade.  NaN where unknown."""
    found = rank_correlations(x.rows(lag, None), x.rows(None, -lag))
    return float(np.nanmean(found)) if np.isfinite(found).any() else float("nan")


def half_life(autocorrelation: Mapping[int, float]) -> float:
    """Sessions after which ranks correlate 0.5 with themselves, out of {lag: autocorrelation} with lags rising.

    Between two lags the logarithm is a straight line; before the first it starts from 1 at lag 0; beyond the last it goes on as from 0 to
    there.  inf where the last doesn't decay at all, NaN where nothing is known.
    """
    known = [(lag, value) for lag, value in autocorrelation.items() if np.isfinite(value)]
    if not known:
        return float("nan")
    before, level = 0, 1.0
    for lag, value in known:
        if value <= 0.5:
            # A correlation of 0 or less has no logarithm: then it is gone at this lag at the latest.
            part = np.log(0.5 / level) / np.log(max(value, 1e-3) / level)
            return float(before + part * (lag - before))
        before, level = lag, value
    return float(before * np.log(0.5) / np.log(level)) if level < 1 else float("inf")


def regimes(market_D: Floats) -> dict[str, Bools]:
    """{name: sessions [D] in that state} out of the market's daily returns, each known at the close of its session.

    Rising: the return compounded over TREND sessions is above 0, falling otherwise.  Wild: the deviation over CALM sessions is above the
    median of all such deviations up to that session, calm otherwise.  A session too early to tell is in none.
    """
    growth = np.cumsum(np.log1p(np.nan_to_num(market_D)))
    trend = np.full(len(market_D), np.nan)
    trend[TREND:] = growth[TREND:] - growth[:-TREND]
    deviation = np.full(len(market_D), np.nan)
    if len(market_D) > CALM:
        deviation[CALM:] = np.lib.stride_tricks.sliding_window_view(np.nan_to_num(market_D)[1:], CALM).std(axis=1)
    usual = _running_median(deviation)
    with np.errstate(invalid="ignore"):
        return {"rising": trend > 0, "falling": trend <= 0, "wild": deviation > usual, "calm": deviation <= usual}


def _running_median(values_D: Floats) -> Floats:
    """Median of the finite values up to each session, itself included; NaN before the first TREND of them."""
    out, seen = np.full(len(values_D), np.nan), list[float]()
    for t, value in enumerate(values_D):
        if np.isfinite(value):
            insort(seen, float(value))
        if len(seen) >= TREND:
            middle = len(seen) // 2
            out[t] = seen[middle] if len(seen) % 2 else (seen[middle - 1] + seen[middle]) / 2
    return out


def by_regime(states: Mapping[str, Bools], ic_D: Floats, rank_ic_D: Floats, *, lags: int) -> pl.DataFrame:
    """One row a regime: regime, days, ic, icir, rank_ic, rank_icir, t (Newey and West's, over the sessions of that regime in a row)."""
    rows = []
    for name, inside_D in states.items():
        part = summary(ic_D[inside_D], rank_ic_D[inside_D])
        rows.append({"regime": name, **part.__dict__, "t": newey_west_t(rank_ic_D[inside_D], lags=lags)})
    figures = dict.fromkeys(("ic", "icir", "rank_ic", "rank_icir", "t"), pl.Float64)
    return pl.DataFrame(rows, schema={"regime": pl.String, "days": pl.Int32, **figures})
