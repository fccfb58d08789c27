"""Statistics of a market, of a simulated one and of a real one alike: a row a statistic, so that they can stand side by side.

Counted are the stocks that the index held at any time, from SETTLED sessions after their first bar on; without members all stocks.
Returns are close / pre_close - 1 on sessions with trade, so raw and adjusted lakes give the same numbers.
Dims: D sessions, N stocks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.errors import KestrelError
from data.members import weights_panel
from data.panel import Axes, to_panel, to_panels
from data.simulator import moments
from data.simulator.moments import deviation, mean, median

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rows = dict[str, float]

READ = ("bars", "caps", "index_bars", "members")  # the tables that `statistics` reads, as far as there are any
INDEX = "000905.SH"
YEAR = 244
SETTLED = 20  # sessions after the first bar from which a stock counts
LAGS = (1, 5, 20, 60)
RELISTED = 0.5  # a return beyond this comes of a relisting or a share reform, not of a session
AT_LIMIT = 1e-4  # relative
TAIL = 0.02  # share of the stocks' returns that are the tail; of the index's, three times as much


@dataclass(frozen=True)
class View:
    """A market as panels, NaN where a stock isn't listed, isn't settled or doesn't trade.  index and total: [D] levels, NaN unknown."""

    bars: dict[str, Floats]
    listed: Flags
    trading: Flags
    returns: Floats
    turnover: Floats | None
    index: Floats
    total: Floats
    weights: Floats | None


def statistics(tables: Mapping[str, pl.DataFrame], *, start: date | None = None, end: date | None = None, index: str = INDEX) -> pl.DataFrame:
    """(topic, statistic, value) of the sessions start..end, in a fixed order; NaN where the tables can't tell.

    tables: bars; and where there are any caps (turnover), index_bars (index) and members (which stocks, tracking).
    Fractions are fractions, a session's unless a year is named.
    """
    found = view(tables, start, end, index)
    rows = [(topic, name, value) for topic, measure in TOPICS.items() for name, value in measure(found).items()]
    return pl.DataFrame(rows, schema={"topic": pl.String, "statistic": pl.String, "value": pl.Float64}, orient="row")


def view(tables: Mapping[str, pl.DataFrame], start: date | None, end: date | None, index: str) -> View:
    """The panels of some tables; raises KestrelError for a span without bars."""
    bars = tables["bars"].filter(pl.col("date").is_between(start or date.min, end or date.max))
    if not bars.height:
        raise KestrelError(
            f"There are no bars from {start or 'the first'} to {end or 'the last'} day. Name a span that the lake holds: kestrel data show"
        )
    members = tables["members"].filter(pl.col("index") == index) if "members" in tables else None
    if members is not None:
        bars = bars.join(members.select("symbol").unique(), on="symbol", how="semi")
    axes = Axes(tuple(bars["date"].unique().sort()), tuple(bars["symbol"].unique().sort()))
    panels = to_panels(bars, ["open", "high", "low", "close", "pre_close", "volume", "limit_up", "limit_down", "is_trading"], axes)
    there = np.isfinite(panels["close"])
    young = np.cumsum(there, axis=0) <= SETTLED
    listed = there & ~(young & ~there[0])
    trading = listed & (panels["is_trading"] == 1) & (panels["volume"] > 0)
    floating = to_panel(tables["caps"], "float_shares", axes) if "caps" in tables else None
    with np.errstate(invalid="ignore", divide="ignore"):
        returns = np.where(trading, panels["close"] / panels["pre_close"] - 1, np.nan)
        returns[np.abs(returns) > RELISTED] = np.nan
        turnover = None if floating is None else np.where(trading, panels["volume"] / floating, np.nan)
    return View(
        panels, listed, trading, returns, turnover, _level(tables, "close", axes, index), _level(tables, "close_tr", axes, index),
        _weights(members, axes, index),
    )  # fmt: skip


def _weights(members: pl.DataFrame | None, axes: Axes, index: str) -> Floats | None:
    """Weights in force [D, N]; None where no date with members lies at or before the last session."""
    known = None if members is None else members.filter(pl.col("date") <= axes.dates[-1])
    return None if known is None or not known.height else weights_panel(known, axes, index)[0]


def _level(tables: Mapping[str, pl.DataFrame], column: str, axes: Axes, index: str) -> Floats:
    """A level of the index by session, [D]; NaN where it isn't known."""
    if "index_bars" not in tables:
        return np.full(len(axes.dates), np.nan)
    ours = tables["index_bars"].filter(pl.col("index") == index).select("date", pl.lit(index).alias("symbol"), column)
    return to_panel(ours, column, Axes(axes.dates, (index,)))[:, 0]


def _change(level: Floats) -> Floats:
    """Simple returns of a level, [D - 1, 1]."""
    return np.asarray(level[1:] / level[:-1] - 1)[:, None]


def _index(found: View) -> Rows:
    r = _change(found.index)
    if not np.isfinite(r).any():
        return {}
    level = found.index[np.isfinite(found.index)]
    return {
        "volatility a year": float(deviation(r)[0] * np.sqrt(YEAR)),
        "return a year": float((level[-1] / level[0]) ** (YEAR / (len(level) - 1)) - 1),
        "largest drawdown": moments.drawdown(level),
        "dividends a year": mean(_change(found.total) - r) * YEAR,
        "excess kurtosis": float(moments.kurtosis(r)[0]),
        "skewness": float(moments.skewness(r)[0]),
        "tail index of |return|": moments.hill(np.abs(r[:, 0]), share=3 * TAIL),
    }


def _stocks(found: View) -> Rows:
    r = found.returns
    volatility = deviation(r[:, np.isfinite(r).sum(axis=0) >= moments.FEWEST])
    z = r / deviation(r)
    return {
        "median volatility a year": median(volatility) * float(np.sqrt(YEAR)),
        "spread of log volatility": float(deviation(np.log(volatility)[:, None])[0]),
        "median excess kurtosis": median(moments.kurtosis(r)),
        "median skewness": median(moments.skewness(r)),
        "tail index up": moments.hill(z.ravel(), share=TAIL),
        "tail index down": moments.hill(-z.ravel(), share=TAIL),
    }


def _together(found: View) -> Rows:
    month = _compound(found, 20)
    return {
        "dispersion of a session": mean(deviation(found.returns.T)),
        "dispersion of 20 sessions": mean(deviation(month.T)),
        "mean pairwise correlation": moments.pairwise(found.returns),
        "skewness across stocks": mean(moments.skewness(found.returns.T)),
    }


def _compound(found: View, sessions: int) -> Floats:
    """Returns of successive, disjoint spans of sessions, [D / sessions, N]; a session without trade earns nothing."""
    growth = np.cumsum(np.nan_to_num(np.log1p(found.returns)), axis=0)[::sessions]
    there = found.listed[::sessions]
    return np.where(there[1:] & there[:-1], np.expm1(np.diff(growth, axis=0)), np.nan)


def _clustering(found: View) -> Rows:
    index, stocks = np.abs(_change(found.index)), np.abs(found.returns)
    rows = {f"|index return|, lag {lag}": moments.lagged(index, lag) for lag in LAGS}
    rows |= {f"|stock return|, lag {lag}": moments.lagged(stocks, lag) for lag in LAGS}
    dispersion = deviation(found.returns.T)[:, None]
    return rows | {"dispersion, lag 20": moments.lagged(dispersion, 20)}


def _memory(found: View) -> Rows:
    r = _change(found.index)
    week, month = _compound(found, 5), _compound(found, 20)
    return {
        "index return, lag 1": moments.lagged(r, 1),
        "index return, lag 5": moments.lagged(r, 5),
        "index return with the next |return|": mean(moments.correlate(np.abs(r[1:]), r[:-1])),
        "stock return, lag 1": moments.lagged(found.returns, 1),
        "stock return, lag 5": moments.lagged(found.returns, 5),
        "5 sessions with the next 5, across stocks": moments.across(week[1:], week[:-1]),
        "20 sessions with the next 20, across stocks": moments.across(month[1:], month[:-1]),
    }


def _turnover(found: View) -> Rows:
    if found.turnover is None:
        return {}
    with np.errstate(divide="ignore"):
        level = np.where(found.turnover > 0, np.log(found.turnover), np.nan)
    there = np.isfinite(level).any(axis=1)
    market = np.nanmean(level[there], axis=1)
    return {
        "median of a session": median(found.turnover.ravel()),
        "spread of log turnover across stocks": mean(deviation(level.T)),
        "log turnover, lag 1": moments.lagged(level, 1),
        "log turnover, lag 20": moments.lagged(level, 20),
        "deviation of the market's log turnover": float(market.std()),
        "log turnover with |return|": mean(moments.correlate(level, np.abs(found.returns))),
        "log turnover with return": mean(moments.correlate(level, found.returns)),
    }


def _limits(found: View) -> Rows:
    bars = found.bars
    with np.errstate(invalid="ignore"):
        up = found.trading & (bars["close"] >= bars["limit_up"] * (1 - AT_LIMIT))
        down = found.trading & (bars["close"] <= bars["limit_down"] * (1 + AT_LIMIT))
        sealed = up & (bars["low"] >= bars["limit_up"] * (1 - AT_LIMIT))
    traded = found.trading.sum()
    return {
        "closes at the upper limit": float(up.sum() / traded),
        "closes at the lower limit": float(down.sum() / traded),
        "upper limit again the session after": float((up[1:] & up[:-1]).sum() / max((up[:-1] & found.trading[1:]).sum(), 1)),
        "lower limit again the session after": float((down[1:] & down[:-1]).sum() / max((down[:-1] & found.trading[1:]).sum(), 1)),
        "upper limit all session": float(sealed.sum() / traded),
        "most upper limits in a session, of stocks": float((up.sum(axis=1) / np.maximum(found.trading.sum(axis=1), 1)).max()),
        "most lower limits in a session, of stocks": float((down.sum(axis=1) / np.maximum(found.trading.sum(axis=1), 1)).max()),
    }


def _suspensions(found: View) -> Rows:
    off = found.listed & ~found.trading
    return {"share of stock-sessions": float(off.sum() / found.listed.sum()), "mean length": moments.spells(off)}


def _within(found: View) -> Rows:
    bars = found.bars
    with np.errstate(invalid="ignore", divide="ignore"):
        night = np.where(found.trading, np.log(bars["open"] / bars["pre_close"]), np.nan)
        day = np.where(found.trading, np.log(bars["close"] / bars["open"]), np.nan)
        reach = np.where(found.trading, np.log(bars["high"] / bars["low"]), np.nan)
    both = np.log1p(found.returns)
    return {
        "overnight share of variance": float(np.nanvar(night) / np.nanvar(both)),
        "overnight with the day after": mean(moments.correlate(night, day)),
        "mean range over deviation of returns": float(np.nanmean(reach) / np.nanstd(both)),
    }


def _tracking(found: View) -> Rows:
    """The index out of members and weights: weights drift with prices between the dates they are given for."""
    if found.weights is None or not np.isfinite(found.total).any():
        return {}
    drifted = _drift(found.weights, np.nan_to_num(found.returns))
    known = np.isfinite(drifted[:-1]).any(axis=1, keepdims=True)
    rebuilt = np.where(known, np.nansum(drifted[:-1] * np.nan_to_num(found.returns)[1:], axis=1, keepdims=True), np.nan)
    index = _change(found.total)
    return {
        "correlation with the index": mean(moments.correlate(rebuilt, index)),
        "tracking error a year": float(deviation(rebuilt - index)[0] * np.sqrt(YEAR)),
    }


def _drift(weights: Floats, returns: Floats) -> Floats:
    """Weights of each session out of those of the date they were last given for, moved by the returns since.  [D, N]"""
    found = weights.copy()
    for session in range(1, len(weights)):
        if np.array_equal(weights[session], weights[session - 1], equal_nan=True):
            moved = found[session - 1] * (1 + returns[session])
            found[session] = moved / np.nansum(moved)
    return found


TOPICS: dict[str, Callable[[View], Rows]] = {
    "index": _index, "stocks": _stocks, "stocks together": _together, "volatility clustering": _clustering, "memory of returns": _memory,
    "turnover": _turnover, "limits": _limits, "suspensions": _suspensions, "within the session": _within, "index from its members": _tracking,
}  # fmt: skip
