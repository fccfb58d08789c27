"""Small markets: one written by hand, one drawn at random, both through the tables that a lake would give."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from backtest.market import Market
from data.limits import with_limits
from data.panel import Axes

DIVIDENDS = {"symbol": pl.String, "ex_date": pl.Date, "cash": pl.Float64, "bonus": pl.Float64, "transfer": pl.Float64}


def weekdays(first: date, count: int) -> list[date]:
    days = [first + timedelta(days=i) for i in range(2 * count + 7)]
    return [day for day in days if day.weekday() < 5][:count]


def bars_of(
    axes: Axes, close: Any, *, open_: Any = None, pre_close: Any = None, trading: Any = None, st: Any = None, basis: str = "raw"
) -> pl.DataFrame:
    """Bars with limits by the rules; pre_close defaults to the last close, open to the close."""
    close = np.asarray(close, dtype=float)
    open_ = close if open_ is None else np.asarray(open_, dtype=float)
    before = np.vstack([close[:1], close[:-1]]) if pre_close is None else np.asarray(pre_close, dtype=float)
    trading = np.ones(close.shape, dtype=bool) if trading is None else np.asarray(trading)
    st = np.zeros(close.shape, dtype=bool) if st is None else np.asarray(st)
    grid = np.repeat(np.arange(axes.shape[0]), axes.shape[1])
    frame = pl.DataFrame(
        {
            "date": [axes.dates[d] for d in grid],
            "symbol": list(axes.symbols) * axes.shape[0],
            "open": open_.ravel(),
            "high": np.maximum(open_, close).ravel(),
            "low": np.minimum(open_, close).ravel(),
            "close": close.ravel(),
            "pre_close": before.ravel(),
            "volume": np.where(trading, 1e6, 0.0).ravel(),
            "amount": np.where(trading, 1e6 * close, 0.0).ravel(),
            "is_st": st.ravel(),
            "is_trading": trading.ravel(),
        }
    ).with_columns(raw_close=pl.col("close"))
    old = pl.Series([None] * frame.height, dtype=pl.Int64)
    return with_limits(frame.filter(pl.col("close").is_not_nan()), old.head(frame.filter(pl.col("close").is_not_nan()).height), price_basis=basis)


def market_of(
    close: Any,
    *,
    symbols: tuple[str, ...],
    first: date = date(2024, 3, 1),
    dividends: list[dict[str, Any]] | None = None,
    delisted: dict[str, date] | None = None,
    basis: str = "raw",
    first_session: int = 0,
    **columns: Any,
) -> Market:
    axes = Axes(tuple(weekdays(first, len(close))), symbols)
    securities = pl.DataFrame(
        {"symbol": symbols, "list_date": [None] * len(symbols), "delist_date": [(delisted or {}).get(name) for name in symbols]}
    )
    securities = securities.with_columns(pl.col("list_date", "delist_date").cast(pl.Date))
    rights = pl.DataFrame([{"cash": 0.0, "bonus": 0.0, "transfer": 0.0, **row} for row in dividends or []], schema=DIVIDENDS)
    return Market.of(bars_of(axes, close, basis=basis, **columns), securities, rights, axes, price_basis=basis, first_session=first_session)


def random_market(seed: int, sessions: int = 30, stocks: int = 12, first: date = date(2023, 8, 1)) -> Market:
    """Every rule at once: four boards, ST, limit days, suspensions, late listings, delistings, dividends and splits."""
    rng = np.random.default_rng(seed)
    names = sorted(rng.choice(["600", "000", "300", "688", "830"], stocks)[i] + f"{i:03d}" for i in range(stocks))
    symbols = tuple(name + (".SH" if name[0] == "6" else ".BJ" if name[0] == "8" else ".SZ") for name in names)
    days = weekdays(first, sessions)
    close, open_, before = (np.empty((sessions, stocks)) for _ in range(3))
    trading = rng.random((sessions, stocks)) > 0.1
    last = np.round(rng.uniform(5, 60, stocks), 2)
    rights = []
    for d in range(sessions):
        ex = last.copy()
        for n in np.flatnonzero((rng.random(stocks) < 0.04) & trading[d] & (d > 0)):
            cash, bonus = float(np.round(min(rng.uniform(0, 0.5), last[n] / 2), 3)), float(rng.choice([0.0, 0.1, 0.35, 1.0]))  # no more than it has
            rights.append({"symbol": symbols[n], "ex_date": days[d], "cash": cash, "bonus": bonus, "transfer": 0.0})
            ex[n] = max(0.05, np.floor((last[n] - cash) / (1 + bonus) * 100 + 0.5 + 1e-6) / 100)
        before[d] = ex
        open_[d] = np.maximum(0.02, np.round(ex * (1 + np.clip(rng.normal(0, 0.05, stocks), -0.1, 0.1)), 2))
        close[d] = np.maximum(0.02, np.round(ex * (1 + np.clip(rng.normal(0, 0.06, stocks), -0.1, 0.1)), 2))
        open_[d], close[d] = np.where(trading[d], open_[d], ex), np.where(trading[d], close[d], ex)
        last = close[d]
    close[: sessions // 3, 0] = np.nan
    close[2 * sessions // 3 :, 1] = np.nan
    gone = {symbols[1]: days[2 * sessions // 3]}
    st = np.zeros((sessions, stocks), dtype=bool)
    st[:, 2] = True
    return market_of(close, symbols=symbols, first=first, dividends=rights, delisted=gone, open_=open_, pre_close=before, trading=trading, st=st)


@pytest.fixture(scope="session", name="market_of")
def _market_of() -> Callable[..., Market]:
    return market_of


@pytest.fixture(scope="session", name="random_market")
def _random_market() -> Callable[..., Market]:
    return random_market
