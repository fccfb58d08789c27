"""Long accounts written by hand, and futures markets written by hand or drawn at random."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from backtest.costs import FREE
from backtest.fills import LEDGER
from backtest.result import Result
from backtest.simulation import SimulationSettings
from backtest.strategies import TopkBuffer
from data.contracts import contracts

FUTURES = {
    "date": pl.Date, "contract": pl.String, "product": pl.String, "open": pl.Float64, "close": pl.Float64, "settle": pl.Float64,
    "volume": pl.Float64, "open_interest": pl.Float64, "expiry": pl.Date, "multiplier": pl.Float64,
}  # fmt: skip


def sessions(first: date, count: int, closed: Sequence[date] = ()) -> list[date]:
    """Weekdays from `first` on without the days on which the exchange is closed."""
    days = [first + timedelta(days=i) for i in range(2 * count + 30)]
    return [day for day in days if day.weekday() < 5 and day not in closed][:count]


def long_of(dates: Sequence[date], nav: Sequence[float], *, cash: float | Sequence[float] = 0.0, capital: float | None = None) -> Result:
    """A long account of these closing values in CNY; its stocks don't matter to a hedge."""
    nav_D = np.rint(np.asarray(nav, dtype=float) * 100).astype(np.int64)
    return Result(
        dates=tuple(dates),
        symbols=("600000.SH",),
        capital=round((nav[0] if capital is None else capital) * 100),
        nav_cents_D=nav_D,
        cash_cents_D=np.broadcast_to(np.rint(np.asarray(cash) * 100).astype(np.int64), nav_D.shape).copy(),
        owed_cents_D=np.zeros_like(nav_D),
        shares_DN=np.zeros((len(nav_D), 1), np.int64),
        price_DN=np.ones((len(nav_D), 1)),
        ledger=np.zeros(0, LEDGER),
        price_basis="raw",
        strategy=TopkBuffer(),
        costs=FREE,
        settings=SimulationSettings(),
    )


def bars_of(dates: Sequence[date], rows: dict[str, tuple[date | None, Any]], **columns: dict[str, Any]) -> pl.DataFrame:
    """Futures bars: {contract: (expiry, closes)}, None where it isn't quoted; open and settle are the close unless given by contract."""
    found = []
    for name, (last, closes) in rows.items():
        for i, (day, close) in enumerate(zip(dates, closes, strict=True)):
            if close is None:
                continue
            values = {column: given[name][i] for column, given in columns.items() if name in given}
            plain = {"open": close, "close": close, "settle": close, "volume": 1e4, "open_interest": 1e4, "multiplier": 200.0}
            found.append({"date": day, "contract": name, "product": "IC", "expiry": last, **plain, **values})
    return pl.DataFrame(found, schema=FUTURES)


def index_of(dates: Sequence[date], close: Any, *, open_: Any = None, close_tr: Any = None) -> pl.DataFrame:
    """Index bars of 000905.SH; the open is the close before unless given, and the one with dividends the price index."""
    close = np.asarray(close, dtype=float)
    opening = np.concatenate([close[:1], close[:-1]]) if open_ is None else np.asarray(open_, dtype=float)
    total = close if close_tr is None else np.asarray(close_tr, dtype=float)
    return pl.DataFrame({"date": dates, "index": "000905.SH", "open": opening, "close": close, "close_tr": total})


def random_futures(seed: int, count: int = 70) -> SimpleNamespace:
    """A long book, an index and four contracts at a time whose basis wanders: dates, long, bars, index, calendar, sellable_D."""
    rng = np.random.default_rng(seed)
    start = date(int(rng.integers(2015, 2024)), 9, 1)
    calendar = sessions(start, count + 400, [start + timedelta(days=int(day)) for day in rng.integers(0, 500, 40)])
    dates = calendar[:count]
    known = np.array(calendar, dtype="datetime64[D]")
    level = 6000 * np.cumprod(1 + np.clip(rng.normal(0, 0.03, count), -0.09, 0.09))
    opening = np.concatenate([[6000.0], level[:-1]]) * (1 + rng.normal(0, 0.005, count))
    basis = np.cumsum(rng.normal(0, 0.02, count)) - 0.1
    rows = []
    for i, day in enumerate(dates):
        for name, last in contracts("IC", day, known):
            term = (last - day).days / 365
            fair = np.exp(basis[i] * term)
            close, settle = (round(level[i] * fair * (1 + rng.normal(0, 0.001)) / 0.2) * 0.2 for _ in range(2))
            open_ = round(opening[i] * fair * (1 + rng.normal(0, 0.002)) / 0.2) * 0.2
            sizes = {"volume": float(rng.integers(1, 9000)), "open_interest": float(rng.integers(1, 9000)), "multiplier": 200.0}
            rows.append({"date": day, "contract": name, "product": "IC", "open": open_, "close": close, "settle": settle, "expiry": last, **sizes})
    dividends = np.cumprod(1 + rng.uniform(0, 0.0003, count))
    nav = 7e7 * np.cumprod(level / np.concatenate([[6000.0], level[:-1]]) * (1 + rng.normal(0, 0.003, count)))
    return SimpleNamespace(
        dates=dates,
        calendar=calendar,
        long=long_of(dates, np.round(nav, 2), cash=np.round(nav * rng.uniform(0, 0.1, count), 2), capital=7e7),
        bars=pl.DataFrame(rows, schema=FUTURES),
        index=index_of(dates, level, open_=opening, close_tr=level * dividends),
        sellable_D=rng.uniform(0, 1, count),
    )


@pytest.fixture(scope="session", name="sessions")
def _sessions() -> Callable[..., list[date]]:
    return sessions


@pytest.fixture(scope="session", name="long_of")
def _long_of() -> Callable[..., Result]:
    return long_of


@pytest.fixture(scope="session", name="bars_of")
def _bars_of() -> Callable[..., pl.DataFrame]:
    return bars_of


@pytest.fixture(scope="session", name="index_of")
def _index_of() -> Callable[..., pl.DataFrame]:
    return index_of


@pytest.fixture(scope="session", name="random_futures")
def _random_futures() -> Callable[..., SimpleNamespace]:
    return random_futures
