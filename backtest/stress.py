"""An account in the market's hardest windows, and under shocks that haven't happened yet."""

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from backtest.earnings import earned
from backtest.futures.result import NeutralResult
from backtest.guard import at_limit_down
from backtest.market import Market
from backtest.metrics import annual_volatility, max_drawdown, tracking_error
from backtest.result import Result
from data.panel import Floats

# D sessions, N stocks, W sessions of a window
WINDOWS = {
    "2015-06 to 09: crash and suspensions": (date(2015, 6, 15), date(2015, 9, 30)),
    "2016-01: circuit breaker": (date(2016, 1, 4), date(2016, 1, 29)),
    "2017: large caps": (date(2017, 1, 3), date(2017, 12, 29)),
    "2018: decline": (date(2018, 1, 2), date(2018, 12, 28)),
    "2020-02: epidemic": (date(2020, 2, 3), date(2020, 2, 28)),
    "2024-02: small caps and crowded funds": (date(2024, 1, 29), date(2024, 2, 23)),
}


class Shocks(BaseModel):
    """Sizes of the shocks.  fall: of the index in a day; basis: by how much futures fall below it, as a part of it.

    participation: the part of a stock's mean volume of `window` sessions that may be traded a day; liquidity: what is left of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    fall: float = Field(default=0.07, gt=0, lt=1)
    basis: float = Field(default=0.05, gt=0, lt=1)
    participation: float = Field(default=0.10, gt=0, le=1)
    liquidity: float = Field(default=0.5, gt=0, le=1)
    window: int = Field(default=60, ge=10)


def windows(dates: Sequence[date], r_D: Floats, b_D: Floats) -> pl.DataFrame:
    """A row for every window that the account lived through, if only in part.

    Columns: window, start, end, sessions, complete, total, benchmark, excess (geometric), worst_day, max_drawdown, and volatility and
    tracking_error a year (null below two sessions).  r_D, b_D [D]: daily returns of account and benchmark (zeros for a hedged one).
    """
    days = np.array(dates, dtype="datetime64[D]")
    rows = []
    for name, (start, end) in WINDOWS.items():
        inside = (days >= np.datetime64(start)) & (days <= np.datetime64(end))
        if not inside.any():
            continue
        r, b, lived = r_D[inside], b_D[inside], days[inside]
        total, index = float(np.prod(1 + r)) - 1, float(np.prod(1 + b)) - 1
        figures = {"total": total, "benchmark": index, "excess": (1 + total) / (1 + index) - 1, "worst_day": float(r.min())}
        figures |= {"max_drawdown": max_drawdown(r), "volatility": annual_volatility(r), "tracking_error": tracking_error(r, b)}
        whole = bool(days[0] <= np.datetime64(start) and days[-1] >= np.datetime64(end))
        rows.append({"window": name, "start": lived[0].item(), "end": lived[-1].item(), "sessions": len(r), "complete": whole, **figures})
    numbers = ("total", "benchmark", "excess", "worst_day", "max_drawdown", "volatility", "tracking_error")
    schema = {"window": pl.String, "start": pl.Date, "end": pl.Date, "sessions": pl.Int64, "complete": pl.Boolean}
    return pl.DataFrame(rows, {**schema, **dict.fromkeys(numbers, pl.Float64)}).with_columns(pl.col(*numbers).fill_nan(None))


def sellable(result: Result, market: Market) -> Floats:
    """The part of an account's equity that each session lets go at its close, [D]: cash, and stocks that trade above their limit."""
    first = market.axes.index(result.dates[0])
    free_D = np.empty(len(result.dates))
    for s in range(len(result.dates)):
        locked_N = ~market.trading_DN[first + s] | at_limit_down(market, first + s)
        held_N = result.shares_DN[s] > 0
        stuck = (result.shares_DN[s] * result.price_DN[s])[locked_N & held_N].sum()
        free_D[s] = 1 - stuck / result.nav_D[s]
    return np.clip(free_D, 0.0, 1.0)


def shocked(result: Result, market: Market, index_D: Floats, *, shocks: Shocks | None = None, hedge: NeutralResult | None = None) -> pl.DataFrame:
    """What each shock would do to the account on the morrow of its last session: shock, measure, value; amounts in parts of equity.

    index_D [D]: the index's returns over the market's axes.  hedge: the hedged account that holds `result`, whose equity then counts.
    A fall hits every stock by its beta (of the window, 1 where unknown) but no lower than its limit; what reaches the limit can't be sold.
    """
    shocks = shocks or Shocks()
    d = market.axes.index(result.dates[-1])
    value_N = np.where(result.shares_DN[-1] > 0, result.shares_DN[-1] * np.nan_to_num(result.price_DN[-1]), 0.0)
    equity = result.nav_D[-1]
    if hedge is not None:
        value_N = value_N * (hedge.stocks_cents_D[-1] / result.nav_cents_D[-1])
        equity = hedge.equity_D[-1]
    move_N, locked_N = _fall(market, index_D, d, shocks)
    rows = [
        ("index falls", "stocks", float(value_N @ move_N) / equity),
        ("index falls", "unsellable", float(value_N[locked_N | ~market.trading_DN[d]].sum()) / equity),
        *_hedged(hedge, float(value_N @ move_N), float(-value_N @ move_N), shocks),
        *_liquidity(market, result, value_N, d, shocks),
    ]
    return pl.DataFrame(rows, {"shock": pl.String, "measure": pl.String, "value": pl.Float64}, orient="row")


def _fall(market: Market, index_D: Floats, d: int, shocks: Shocks) -> tuple[Floats, NDArray[np.bool_]]:
    """(return [N], reaches its limit [N]) of a day on which the index falls."""
    first = max(d - shocks.window + 1, 1)
    r_WN = np.array([earned(market, day) for day in range(first, d + 1)])
    index_W = index_D[first : d + 1] - index_D[first : d + 1].mean()
    variance = float(index_W @ index_W)
    beta_N = index_W @ r_WN / variance if variance > 0 else np.ones(r_WN.shape[1])
    limit_N = market.limit_down_DN[d] / market.reference_DN[d] - 1
    lowest_N = np.where(np.isfinite(limit_N), limit_N, -1.0)
    move_N = -shocks.fall * np.where(market.trading_DN[d], beta_N, 1.0)
    return np.maximum(move_N, lowest_N), move_N <= lowest_N


def _hedged(hedge: NeutralResult | None, stocks_fall: float, stocks_rise: float, shocks: Shocks) -> list[tuple[str, str, float]]:
    """The shocks as a hedged account feels them: a fall, a rise that calls margin, and a basis that widens either way."""
    if hedge is None:
        return []
    equity, cash, margin = hedge.equity_D[-1], hedge.cash_cents_D[-1] / 100, hedge.margin_cents_D[-1] / 100
    exposed = hedge.exposed_cents_D[-1] / 100
    gain = exposed * shocks.fall
    rate = margin / exposed if exposed else 0.0
    called = max(0.0, (exposed + gain) * rate - (cash - gain))
    return [
        ("index falls", "futures", gain / equity),
        ("index falls", "account", (stocks_fall + gain) / equity),
        ("index rises", "account", (stocks_rise - gain) / equity),
        ("index rises", "margin call", called / equity),
        ("discount widens", "account", exposed * shocks.basis / equity),
        ("discount narrows", "account", -exposed * shocks.basis / equity),
    ]


def _liquidity(market: Market, result: Result, value_N: Floats, d: int, shocks: Shocks) -> list[tuple[str, str, float]]:
    """How much of the stocks can be sold in a day, and how many days 95 % of them take, as it is and with less liquidity."""
    first = max(d - shocks.window + 1, 0)
    traded_WN = np.where(market.trading_DN[first : d + 1], market.volume_DN[first : d + 1] * market.close_DN[first : d + 1], 0.0)
    a_day_N = np.nan_to_num(traded_WN).mean(axis=0) * shocks.participation
    held_N = value_N > 0
    rows = []
    for name, left in (("liquidity as it is", 1.0), ("liquidity shrinks", shocks.liquidity)):
        days_N = np.divide(value_N, a_day_N * left, out=np.full(len(value_N), np.inf), where=a_day_N > 0)[held_N]
        share_N = value_N[held_N] / value_N.sum() if held_N.any() else np.empty(0)
        order = np.argsort(days_N, kind="stable")
        reached = np.searchsorted(np.cumsum(share_N[order]), 0.95 - 1e-12)
        rows.append((name, "sold in a day", float((share_N * np.minimum(1 / np.maximum(days_N, 1e-12), 1)).sum())))
        rows.append((name, "days for 95 %", float(days_N[order][min(reached, len(order) - 1)]) if len(order) else 0.0))
    return rows
