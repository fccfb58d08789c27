"""Measures of a return series: pure functions of arrays.

r_D and b_D are simple daily returns of shape [D], of the strategy and of its benchmark, both complete: a NaN gives NaN, and so
does a series too short for the measure.  A year has `sessions` sessions: 243 on average in Shanghai (Qlib counts 238).
"""

import math
from collections.abc import Mapping
from datetime import date

import numpy as np

from backtest.result import COSTS, Result
from data.panel import Floats

SESSIONS = 243


def wealth(r_D: Floats) -> Floats:
    """What 1 became at each close, [D]."""
    return np.cumprod(1 + r_D, dtype=np.float64)


def relative_wealth(r_D: Floats, b_D: Floats) -> Floats:
    """Wealth over the benchmark's wealth at each close, [D]: the geometric excess, which needs no rebalancing to be earned."""
    return wealth(r_D) / wealth(b_D)


def annual_return(r_D: Floats, sessions: int = SESSIONS) -> float:
    """Geometric return a year."""
    return _annual(float(np.prod(1 + r_D)), len(r_D), sessions)


def annual_volatility(r_D: Floats, sessions: int = SESSIONS) -> float:
    """Standard deviation of daily returns (ddof 1) a year."""
    return float(np.std(r_D, ddof=1) * math.sqrt(sessions)) if len(r_D) > 1 else math.nan


def sharpe(r_D: Floats, riskless: float = 0.0, sessions: int = SESSIONS) -> float:
    """Arithmetic return above `riskless` (a year) over volatility."""
    return _ratio(float(np.mean(r_D)) * sessions - riskless, annual_volatility(r_D, sessions)) if len(r_D) else math.nan


def geometric_excess(r_D: Floats, b_D: Floats, sessions: int = SESSIONS) -> float:
    """Growth a year of relative wealth: (1 + strategy) / (1 + benchmark) - 1."""
    return _annual(float(np.prod(1 + r_D) / np.prod(1 + b_D)), len(r_D), sessions)


def arithmetic_excess(r_D: Floats, b_D: Floats, sessions: int = SESSIONS) -> float:
    """Mean daily difference times sessions: what Qlib reports, with sessions = 238 and a price index."""
    return float(np.mean(r_D - b_D) * sessions) if len(r_D) else math.nan


def tracking_error(r_D: Floats, b_D: Floats, sessions: int = SESSIONS) -> float:
    """Standard deviation of the daily difference (ddof 1) a year."""
    return annual_volatility(r_D - b_D, sessions)


def information_ratio(r_D: Floats, b_D: Floats, sessions: int = SESSIONS) -> float:
    """Arithmetic excess over tracking error."""
    return _ratio(arithmetic_excess(r_D, b_D, sessions), tracking_error(r_D, b_D, sessions))


def drawdown(wealth_D: Floats) -> Floats:
    """Loss from the highest wealth so far, the starting 1 included: [D], zero or negative."""
    return wealth_D / np.maximum(np.maximum.accumulate(wealth_D), 1.0) - 1 if len(wealth_D) else wealth_D


def max_drawdown(r_D: Floats) -> float:
    """Worst drawdown of the wealth of r_D, zero or negative."""
    return float(np.min(drawdown(wealth(r_D)))) if len(r_D) else math.nan


def excess_drawdown(r_D: Floats, b_D: Floats) -> float:
    """Worst drawdown of relative wealth."""
    return float(np.min(drawdown(relative_wealth(r_D, b_D)))) if len(r_D) else math.nan


def summed_drawdown(x_D: Floats) -> float:
    """Worst fall of the running sum from its highest point, the start not included: the drawdown that Qlib reports."""
    total = np.cumsum(x_D)
    return float(np.min(total - np.maximum.accumulate(total))) if len(x_D) else math.nan


def hit_rate(r_D: Floats, b_D: Floats) -> float:
    """Share of sessions that beat the benchmark."""
    return float(np.mean(r_D > b_D)) if len(r_D) and np.isfinite(r_D - b_D).all() else math.nan


def rolling(r_D: Floats, b_D: Floats, window: int = 60, sessions: int = SESSIONS) -> tuple[Floats, Floats]:
    """(tracking error, information ratio) a year over the last `window` sessions: [D] each, NaN before the window is full."""
    te, ir = np.full(len(r_D), np.nan), np.full(len(r_D), np.nan)
    if len(r_D) < window:
        return te, ir
    windows = np.lib.stride_tricks.sliding_window_view(r_D - b_D, window)
    te[window - 1 :] = windows.std(axis=1, ddof=1) * math.sqrt(sessions)
    excess = windows.mean(axis=1) * sessions
    np.divide(excess, te[window - 1 :], out=ir[window - 1 :], where=te[window - 1 :] > 0)
    return te, ir


def monthly(r_D: Floats, dates: tuple[date, ...]) -> dict[tuple[int, int], float]:
    """Compounded return by (year, month), in order."""
    if not dates:
        return {}
    first_M = np.flatnonzero(np.diff([12 * day.year + day.month for day in dates], prepend=0))
    grown_M = np.multiply.reduceat(1 + r_D, first_M)
    return {(dates[d].year, dates[d].month): grown - 1 for d, grown in zip(first_M.tolist(), grown_M.tolist(), strict=True)}


def monthly_excess(r_D: Floats, b_D: Floats, dates: tuple[date, ...]) -> dict[tuple[int, int], float]:
    """Geometric excess by (year, month): (1 + strategy) / (1 + benchmark) - 1."""
    ours, theirs = monthly(r_D, dates), monthly(b_D, dates)
    return {key: (1 + ours[key]) / (1 + theirs[key]) - 1 for key in ours}


def summary(result: Result, b_D: Floats, sessions: int = SESSIONS) -> dict[str, float]:
    """The figures of a simulated account against a benchmark [D]; costs are fractions of mean equity a year."""
    r_D = result.returns_D
    mean_nav, years = float(np.mean(result.nav_D)), len(r_D) / sessions
    paid = {name: float(result.costs_D[name].sum()) / mean_nav / years for name in COSTS}
    return {
        "annual_return": annual_return(r_D, sessions),
        "benchmark_annual_return": annual_return(b_D, sessions),
        "excess_geometric": geometric_excess(r_D, b_D, sessions),
        "excess_arithmetic": arithmetic_excess(r_D, b_D, sessions),
        "tracking_error": tracking_error(r_D, b_D, sessions),
        "information_ratio": information_ratio(r_D, b_D, sessions),
        "excess_max_drawdown": excess_drawdown(r_D, b_D),
        "max_drawdown": max_drawdown(r_D),
        "volatility": annual_volatility(r_D, sessions),
        "sharpe": sharpe(r_D, sessions=sessions),
        "hit_rate": hit_rate(r_D, b_D),
        "monthly_hit_rate": _share(monthly_excess(r_D, b_D, result.dates)),
        "turnover": float(result.turnover_D.mean() * sessions),
        "cost": sum(paid.values()),
        **{f"cost_{name}": value for name, value in paid.items()},
        "dividends": float(result.dividends_D.sum()) / mean_nav / years,
        "mean_holdings": float(result.holdings_D.mean()),
        "mean_cash": float(np.mean(result.cash_D / result.nav_D)),
        "final_nav": float(result.nav_D[-1]),
        "sessions": float(len(r_D)),
    }


def qlib_summary(result: Result, price_b_D: Floats) -> dict[str, float]:
    """Excess as Qlib 0.9 reports it, to compare with its published tables: sums of differences, 238 sessions, a price index."""
    difference = result.returns_D - price_b_D
    zero = np.zeros_like(difference)
    return {
        "annual_excess": arithmetic_excess(difference, zero, 238),
        "information_ratio": information_ratio(difference, zero, 238),
        "max_drawdown": summed_drawdown(difference),
    }


def _share(values: Mapping[tuple[int, int], float]) -> float:
    return sum(value > 0 for value in values.values()) / len(values) if values else math.nan


def _annual(growth: float, periods: int, sessions: int) -> float:
    return growth ** (sessions / periods) - 1 if periods and growth > 0 else math.nan


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else math.nan
