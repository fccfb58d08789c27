"""The futures of one product as dense arrays [session, contract], beside the index that they settle on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.futures.rolls import Rolls, inferred
from backtest.futures.settings import Neutral
from data.errors import KestrelError
from data.panel import Axes, Floats, to_panels
from data.rules import Rules

# D sessions, C contracts
NEVER = 1_000_000  # sessions left to a contract whose expiry nobody gives


@dataclass(frozen=True)
class Curve:
    """Contracts over sessions; prices are index points, NaN where a contract isn't quoted.

    before_DC is the settlement that a session's P&L counts from: that of the session before, or where a dominant series changed its
    contract, today's less the index's move.  left_DC counts sessions to the expiry, 0 on the day itself, days_DC calendar days.
    limit_*_DC are NaN where there is none or the settlement before is unknown.  interest_DC is open interest, volume where a source
    has none.  index_before_D is the index one session earlier, index_deal_D when futures trade.
    """

    dates: tuple[date, ...]
    contracts: tuple[str, ...]
    expiry: tuple[date | None, ...]
    settle_DC: Floats
    deal_DC: Floats
    before_DC: Floats
    limit_up_DC: Floats
    limit_down_DC: Floats
    interest_DC: Floats
    left_DC: NDArray[np.int64]
    days_DC: NDArray[np.int64]
    index_D: Floats
    index_before_D: Floats
    index_deal_D: Floats
    index_tr_growth_D: Floats  # dividends included; NaN on the first session
    rolls: Rolls
    settled: bool  # settlement prices were given; otherwise they are the closes


def curve(
    futures_bars: pl.DataFrame, index_bars: pl.DataFrame, dates: Sequence[date], known: NDArray[np.datetime64], neutral: Neutral, rules: Rules
) -> Curve:
    """The product's contracts on `dates`.  known: every session of the calendar, later ones too, for the time left to an expiry.

    Raises KestrelError where the product or the index lacks one of the dates.
    """
    bars = futures_bars.filter((pl.col("product") == neutral.product) & pl.col("date").is_between(dates[0], dates[-1]))
    _covered(bars, dates, neutral)
    axes = Axes(tuple(dates), tuple(sorted(bars["contract"].unique())))
    panels = to_panels(bars.rename({"contract": "symbol"}), ["open", "close", "settle", "volume", "open_interest"], axes)
    index = _index(index_bars, dates, neutral)
    settled = bool(bars["settle"].is_not_null().all())
    settle_DC = np.where(np.isfinite(panels["settle"]), panels["settle"], panels["close"])
    expiry = _expiries(bars, axes.symbols)
    rolls = inferred(settle_DC[:, 0], index.close_D, axes.days, known) if expiry == (None,) else Rolls.none(len(dates))
    before_DC = np.vstack([np.full(len(axes.symbols), np.nan), settle_DC[:-1]])
    before_DC[rolls.rolled_D] = settle_DC[rolls.rolled_D] - (index.close_D - index.before_D)[rolls.rolled_D, None]
    left_DC, days_DC = _left(axes.days, expiry, known)
    up_DC, down_DC = _limits(before_DC, left_DC, rolls, axes, rules)
    return Curve(
        dates=axes.dates,
        contracts=axes.symbols,
        expiry=expiry,
        settle_DC=settle_DC,
        deal_DC=panels[neutral.deal],
        before_DC=before_DC,
        limit_up_DC=up_DC,
        limit_down_DC=down_DC,
        interest_DC=np.where(np.isfinite(panels["open_interest"]), panels["open_interest"], panels["volume"]),
        left_DC=left_DC,
        days_DC=days_DC,
        index_D=index.close_D,
        index_before_D=index.before_D,
        index_deal_D=index.open_D if neutral.deal == "open" else index.close_D,
        index_tr_growth_D=index.tr_D,
        rolls=rolls,
        settled=settled,
    )


@dataclass(frozen=True)
class _Index:
    close_D: Floats
    open_D: Floats
    before_D: Floats
    tr_D: Floats


def _index(index_bars: pl.DataFrame, dates: Sequence[date], neutral: Neutral) -> _Index:
    """The price index on the dates, and the growth of the one with dividends (of the price index where a source has no other)."""
    bars = index_bars.filter(pl.col("index") == neutral.index)
    found = pl.DataFrame({"date": dates}, schema={"date": pl.Date}).join(bars, on="date", how="left", maintain_order="left")
    columns = ["close", "open"] if neutral.deal == "open" else ["close"]
    for column in columns:
        missing = found.filter(pl.col(column).is_null())["date"]
        if len(missing):
            hint = "Import it, or trade the futures at the close (deal = 'close')." if column == "open" else "Import it."
            raise KestrelError(f"{neutral.index} has no {column} on {len(missing)} of {len(dates)} sessions (first: {missing[0]}). {hint}")
    close_D, open_D = (found[column].cast(pl.Float64).to_numpy() for column in ("close", "open"))
    total = "close_tr" if "close_tr" in found.columns and not found["close_tr"].has_nulls() else "close"
    tr_D = found[total].cast(pl.Float64).to_numpy()
    return _Index(close_D, open_D, np.concatenate([close_D[:1], close_D[:-1]]), np.concatenate([[np.nan], tr_D[1:] / tr_D[:-1]]))


def _covered(bars: pl.DataFrame, dates: Sequence[date], neutral: Neutral) -> None:
    missing = sorted(set(dates) - set(bars["date"]))
    if missing:
        found = f"futures_bars has no {neutral.product} on {len(missing)} of {len(dates)} sessions (first: {missing[0]})"
        raise KestrelError(f"{found}. Give the long account the sessions that the futures have, or import them.")


def _expiries(bars: pl.DataFrame, contracts: Sequence[str]) -> tuple[date | None, ...]:
    """The last day of each contract; None for a series that changes its contract, which must then be the only one."""
    last = dict(bars.group_by("contract").agg(pl.col("expiry").max()).iter_rows())
    expiry = tuple(last[name] for name in contracts)
    if None in expiry and len(expiry) > 1:
        raise KestrelError(f"{contracts[expiry.index(None)]} has no expiry. Import one beside each contract, or the dominant series alone.")
    return expiry


def _left(days: NDArray[np.datetime64], expiry: Sequence[date | None], known: NDArray[np.datetime64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(sessions, calendar days) to each expiry [D, C]; beyond the known sessions every weekday counts as one."""
    left_DC, days_DC = (np.full((len(days), len(expiry)), NEVER, dtype=np.int64) for _ in range(2))
    for c, last in enumerate(expiry):
        if last is None:
            continue
        end = np.datetime64(last)
        beyond = int(np.busday_count(known[-1], end)) if end > known[-1] else 0
        left_DC[:, c] = min(int(np.searchsorted(known, end)), len(known) - 1) + beyond - np.searchsorted(known, days)
        days_DC[:, c] = (end - days).astype(np.int64)
    return left_DC, days_DC


def _limits(before_DC: Floats, left_DC: NDArray[np.int64], rolls: Rolls, axes: Axes, rules: Rules) -> tuple[Floats, Floats]:
    """(limit_up_DC, limit_down_DC): of the settlement before, wider on the last day, to the tick inside."""
    ordinary_D, last_D, tick_D = (rules.over("ic_futures", name, axes.days) for name in ("limit", "limit_last_day", "tick"))
    ratio_DC = np.where(left_DC == 0, last_D[:, None], ordinary_D[:, None])
    reference_DC = np.where(rolls.rolled_D[:, None], np.nan, before_DC)
    tick_D1 = tick_D[:, None]
    up_DC = np.floor(reference_DC * (1 + ratio_DC) / tick_D1 + 1e-6) * tick_D1
    down_DC = np.ceil(reference_DC * (1 - ratio_DC) / tick_D1 - 1e-6) * tick_D1
    return up_DC, down_DC
