"""A small exchange of 39 sessions that the replayed vendors tell of, each in its own columns, types, units and spellings.

Seven stocks: a dividend, a split, a suspension that ends and one that doesn't, an ST stock, a delisting, and a listing without limits.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from data import calendar
from data.checks import blocking, check
from data.lake import Lake, open_lake
from data.sources.chain import Chain, Patience
from data.sources.source import Source, Span
from data.tables import TABLES

START, END = date(2024, 5, 6), date(2024, 6, 28)
INDEX = "000905.SH"
DIVIDEND, SPLIT, BACK = date(2024, 6, 12), date(2024, 5, 20), date(2024, 5, 24)
LISTED, GONE = date(2024, 6, 5), date(2024, 6, 3)
STOCKS = {  # symbol: (name, first price, shares, listed, delisted)
    "000001.SZ": ("平安银行", 10.0, 1e8, date(1991, 4, 3), None),
    "000024.SZ": ("招商地产", 6.0, 1e8, date(1993, 6, 7), GONE),
    "001234.SZ": ("新股", 30.0, 2e7, LISTED, None),
    "300750.SZ": ("宁德时代", 190.0, 1e8, date(2018, 6, 11), None),
    "600000.SH": ("浦发银行", 8.0, 1e9, date(1999, 11, 10), None),
    "600001.SH": ("*ST邯钢", 3.0, 1e8, date(1998, 1, 22), None),
    "688001.SH": ("华兴源创", 25.0, 1e8, date(2019, 7, 22), None),
}


@dataclass
class Exchange:
    """What really happened.  bars: every row a lake should have, and what vendors tell besides: shares, pe."""

    days: list[date]
    bars: pl.DataFrame
    index: pl.DataFrame
    stocks: dict[str, tuple[str, float, float, date, date | None]]
    events: dict[str, date]
    until: date = END  # vendors know nothing after it
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    faults: list[Callable[[str, dict[str, Any]], Any]] = field(default_factory=list)

    def asked(self, function: str, **said: Any) -> Any:
        """Note a request; the first fault that has something to say answers it."""
        self.calls.append((function, said))
        for fault in self.faults:
            told = fault(function, said)
            if told is not None:
                return told
        return None

    def seen(self, start: date, end: date, stock: str | None = None) -> pl.DataFrame:
        """Bars of a span, as far as vendors know them."""
        rows = self.bars.filter(pl.col("date").is_between(start, min(end, self.until)))
        return rows if stock is None else rows.filter(pl.col("symbol") == stock)


def _traded(stock: str, day: date) -> bool:
    still = stock == "688001.SH" and day >= date(2024, 6, 26)
    return not (still or (stock == "000001.SZ" and date(2024, 5, 21) <= day < BACK))


@pytest.fixture
def exchange() -> Exchange:
    days = list(calendar.seed(START, END)["date"].to_list())
    rng, rows = np.random.default_rng(11), []
    for stock, (_, first, shares, listed, delisted) in STOCKS.items():
        close, adj, held = first, 1.0, shares
        most = 0.04 if "ST" in STOCKS[stock][0] else 0.08
        for day in (day for day in days if listed <= day and (delisted is None or day < delisted)):
            cash, split = 0.5 if (stock, day) == ("600000.SH", DIVIDEND) else 0.0, 1.0 if (stock, day) == ("300750.SZ", SPLIT) else 0.0
            before = round((close - cash) / (1 + split), 2)
            adj, held, trading = adj * close / before, held * (1 + split), _traded(stock, day)
            first_price, close = (round(before * (1 + rng.uniform(-most, most)), 2) if trading else before for _ in range(2))
            low, high = (round(edge(first_price, close) * (1 + push), 2) for edge, push in ((min, -0.001), (max, 0.001)))
            if not trading:
                low = high = first_price = close
            volume = float(rng.integers(1_000, 9_000) * 100) if trading else 0.0
            prices = {"open": first_price, "high": high, "low": low, "close": close, "pre_close": before}
            amount = round(volume * (high + low) / 2, 2)
            told = {"float_shares": held, "pe": close / 0.8, "pb": close / 8, "is_st": "ST" in STOCKS[stock][0], "is_trading": trading}
            rows.append({"date": day, "symbol": stock, **prices, "volume": volume, "amount": amount, "adj": adj, **told})
    levels = 5500.0 + np.cumsum(rng.normal(0, 30, len(days)))
    index = pl.DataFrame({"date": days, "open": levels, "high": levels + 5, "low": levels - 5, "close": levels, "close_tr": levels * 1.5})
    events = {"dividend": DIVIDEND, "split": SPLIT}
    return Exchange(days, pl.DataFrame(rows).sort("date", "symbol"), index, STOCKS, events)


class Replay(Source):
    """The exchange as a source of its own, to test what stands behind the vendors; faults answer first, an error among them is raised."""

    name = "replay"

    def __init__(self, exchange: Exchange, name: str = "replay") -> None:
        self.exchange = exchange
        self.name = name  # type: ignore[misc]

    def _told(self, function: str, frame: pl.DataFrame, **said: Any) -> pl.DataFrame:
        found = self.exchange.asked(function, by=self.name, **said)
        if isinstance(found, Exception):
            raise found
        return frame if found is None else found

    def calendar(self, span: Span) -> pl.DataFrame:
        return self._told("calendar", pl.DataFrame({"date": self.exchange.days}))

    def securities(self) -> pl.DataFrame:
        rows = [(stock, name, listed, gone) for stock, (name, _, _, listed, gone) in STOCKS.items()]
        kinds = {"symbol": pl.String, "name": pl.String, "list_date": pl.Date, "delist_date": pl.Date}
        return self._told("securities", pl.DataFrame(rows, schema=kinds, orient="row"))

    def bars(self, stock: str, span: Span) -> pl.DataFrame:
        return self._told("bars", self.exchange.seen(*span, stock).drop("adj", "pe", "pb"), stock=stock, span=span)

    def market(self, day: date) -> pl.DataFrame:
        return self._told("market", self.exchange.seen(day, day).drop("adj", "pe", "pb"), day=day)

    def members(self, index: str, span: Span) -> pl.DataFrame:
        rows = [(span.start, index, stock, 0.25) for stock in ("000001.SZ", "300750.SZ", "600000.SH", "688001.SH")]
        return self._told("members", pl.DataFrame(rows, schema=["date", "index", "symbol", "weight"], orient="row"), span=span)

    def index_bars(self, index: str, span: Span) -> pl.DataFrame:
        rows = self.exchange.index.filter(pl.col("date").is_between(*span)).drop("close_tr").with_columns(index=pl.lit(index))
        return self._told("index_bars", rows, span=span)


@pytest.fixture
def replay(exchange: Exchange) -> Callable[..., Replay]:
    """Make a replaying source of a name."""
    return lambda name="replay": Replay(exchange, name)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake that isn't there yet."""
    return Lake(tmp_path / "lake")


@pytest.fixture
def passes() -> Callable[[Lake], None]:
    """The lake has no blocking finding."""
    return lambda lake: _passes(lake)


def _passes(lake: Lake) -> None:
    tables = {name: lake.read(name) for name in lake.tables() if name in TABLES}
    assert blocking(check(tables, open_lake(lake.uri).price_basis)) == []


@pytest.fixture
def same_bars(exchange: Exchange) -> Callable[[Lake], None]:
    """The lake's bars are what happened, factor, flags and all."""

    def compare(lake: Lake, stocks: tuple[str, ...] = tuple(STOCKS), *, firsts: bool = True) -> None:
        names = ["date", "symbol", "open", "high", "low", "close", "pre_close", "volume", "amount", "is_trading", "is_st"]
        happened = exchange.bars.filter(pl.col("symbol").is_in(stocks))
        found = lake.read("bars")
        if not firsts:  # who lacks a reference price on the first day of all may say what it likes
            kept = pl.col("date") > pl.col("date").min().over("symbol")
            happened, found = happened.filter(kept), found.filter(kept)
        assert_frame_equal(found.select(names), happened.select(names))
        assert found["adj"].to_list() == pytest.approx(happened["adj"].to_list())

    return compare


@pytest.fixture
def slept() -> list[float]:
    """The seconds that were slept."""
    return []


@pytest.fixture
def chain(slept: list[float]) -> Callable[..., Chain]:
    """A chain of sources that notes its pauses instead of taking them."""
    return lambda *sources, **patience: Chain(list[Source](sources), sleep=slept.append, patience=Patience(**patience))
