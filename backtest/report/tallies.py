"""What a simulated account adds up to: by year, in stress windows, and its orders by what became of them."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from backtest import metrics
from backtest.costs import BUY
from backtest.fills import REASONS, SIDES
from backtest.result import COSTS, Result
from backtest.stress import WINDOWS
from data.panel import Floats


def years(result: Result, b_D: Floats) -> list[dict[str, float]]:
    """The main figures of each calendar year; returns are of the year's sessions, not annualised; costs are of mean equity."""
    rows = []
    of_year = np.array([day.year for day in result.dates])
    for year in sorted(set(of_year.tolist())):
        inside = of_year == year
        r_D, theirs_D = result.returns_D[inside], b_D[inside]
        ours, theirs = float(np.prod(1 + r_D)) - 1, float(np.prod(1 + theirs_D)) - 1
        rows.append(
            {
                "year": year,
                "sessions": len(r_D),
                "return": ours,
                "benchmark": theirs,
                "excess": (1 + ours) / (1 + theirs) - 1,
                "tracking_error": metrics.tracking_error(r_D, theirs_D),
                "information_ratio": metrics.information_ratio(r_D, theirs_D),
                "excess_drawdown": metrics.excess_drawdown(r_D, theirs_D),
                "turnover": float(result.turnover_D[inside].sum()),
                "cost": float(sum(result.costs_D[name][inside].sum() for name in COSTS) / result.nav_D[inside].mean()),
            }
        )
    return rows


def order_values(result: Result) -> pl.DataFrame:
    """Every order: date, side, reason (null: wholly filled), ordered and filled (CNY), amount (CNY at the deal price).

    ordered and filled take shares at the close of the session, so that an order that was never dealt has a value too.
    """
    rows = result.ledger[result.ledger["side"] <= BUY]
    close = np.nan_to_num(result.price_DN[rows["session"], rows["stock"]])
    reasons = pl.Series([None, *REASONS[1:]], dtype=pl.String)
    return pl.DataFrame(
        {
            "date": pl.Series(np.array(result.dates, dtype="datetime64[D]")[rows["session"]]).cast(pl.Date),
            "side": pl.Series(SIDES, dtype=pl.String).gather(rows["side"]),
            "reason": reasons.gather(rows["reason"]),
            "ordered": rows["ordered"] * close,
            "filled": rows["shares"] * close,
            "amount": rows["amount"] / 100,
        }
    )


def executions(result: Result) -> pl.DataFrame:
    """Orders by side and reason (null: wholly filled), in CNY.

    orders counts them; ordered, filled and amount are as in `order_values`; lost is the part of the value ordered on that side
    that the reason left unfilled.
    """
    whole = pl.col("ordered", "filled", "amount").sum().round(2)  # sums of floats may differ from run to run in the last bits
    found = order_values(result).group_by("side", "reason", maintain_order=True).agg(pl.len().alias("orders"), whole)
    lost = (pl.col("ordered") - pl.col("filled")) / pl.col("ordered").sum().over("side")
    return found.sort("side", "reason").with_columns(lost.alias("lost"))


def filled_share(result: Result) -> float:
    """The part of the value ordered that was filled; NaN where nothing was ordered."""
    found = order_values(result)
    ordered = float(found["ordered"].sum())
    return float(found["filled"].sum()) / ordered if ordered > 0 else float("nan")


def unfilled_by_quarter(result: Result) -> pl.DataFrame:
    """(quarter, reason, lost): the part of the value ordered in the quarter that the reason left unfilled."""
    found = order_values(result).with_columns(pl.col("date").dt.truncate("1q").alias("quarter"))
    whole = found.group_by("quarter").agg(pl.col("ordered").sum().alias("whole"))
    lost = found.filter(pl.col("reason").is_not_null()).group_by("quarter", "reason").agg((pl.col("ordered") - pl.col("filled")).sum().alias("lost"))
    rows = lost.join(whole, on="quarter", maintain_order="left").sort("quarter", "reason")
    return rows.select("quarter", "reason", pl.when(pl.col("whole") > 0).then(pl.col("lost") / pl.col("whole")).alias("lost"))


def windows(result: Result, b_D: Floats) -> list[dict[str, Any]]:
    """The main figures of each stress window that the account saw a session of; returns are of the window's sessions, not annualised."""
    rows = []
    for name, (first, last) in WINDOWS.items():
        inside = within(result.dates, first, last)
        days, r_D, theirs_D = result.dates[inside], result.returns_D[inside], b_D[inside]
        if not days:
            continue
        ours, theirs = float(np.prod(1 + r_D)) - 1, float(np.prod(1 + theirs_D)) - 1
        rows.append(
            {
                "window": name,
                "first": days[0],
                "last": days[-1],
                "sessions": len(days),
                "return": ours,
                "benchmark": theirs,
                "excess": (1 + ours) / (1 + theirs) - 1,
                "tracking_error": metrics.tracking_error(r_D, theirs_D),
                "excess_drawdown": metrics.excess_drawdown(r_D, theirs_D),
                "worst_day": float(np.min(r_D - theirs_D)),
                "turnover": float(result.turnover_D[inside].sum()),
            }
        )
    return rows


def within(dates: Sequence[date], first: date, last: date) -> slice:
    """The sessions from first to last."""
    return slice(bisect_left(dates, first), bisect_right(dates, last))


def periods(result: Result) -> list[tuple[str, slice]]:
    """Each calendar year that the account saw, then each stress window that isn't all that it saw of a year; by name."""
    dates = result.dates
    years = [(str(year), within(dates, date(year, 1, 1), date(year, 12, 31))) for year in sorted({day.year for day in dates})]
    stress = [(name, within(dates, first, last)) for name, (first, last) in WINDOWS.items()]
    return years + [(name, inside) for name, inside in stress if inside.start < inside.stop and inside not in [whole for _, whole in years]]
