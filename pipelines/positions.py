"""Positions: what is held this evening, read from a file, or worked out by the account that trades the published orders."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from backtest.result import Result
from data.errors import KestrelError
from data.lake import Lake
from data.symbols import symbol
from pipelines.given import read_rows

MOST = 1e13  # shares, or CNY: more than any exchange is worth


@dataclass(frozen=True)
class Book:
    """Shares by symbol and cash (CNY) at a close.  source: "empty", "file" or "paper".  result: the whole account, where it is one."""

    shares: Mapping[str, int]
    cash: float
    source: str
    result: Result | None = None

    @property
    def owed(self) -> int:
        """Dividend tax that has accrued, cents."""
        return int(self.result.owed_cents_D[-1]) if self.result else 0

    def identity(self) -> dict[str, Any]:
        """What makes orders differ; an account that follows from the orders before is known by its name."""
        held = None if self.source == "paper" else {"shares": dict(self.shares), "cash": self.cash}
        return {"source": self.source, "held": held}


def book_of(file: Path | None, capital: float, lake: Lake, day: date) -> Book:
    """The book of a positions file under the codes of `day`; without a file nothing is held but the starting capital."""
    if file is None:
        return Book({}, capital, "empty")
    held = read_positions(file)
    shares = {name: int(count) for name, count in held.items() if name != "cash"}
    return Book(renamed(shares, lake, day), held.get("cash", 0.0 if held else capital), "file")


def renamed(shares: Mapping[str, int], lake: Lake, day: date) -> dict[str, int]:
    """Holdings under the codes that they trade under from the session after `day`: a code that a company left is its new one."""
    if not lake.has("names"):
        return dict(shares)
    changes = lake.read("names").filter(pl.col("former").is_not_null() & (pl.col("start") <= day)).sort("start")
    found = dict(shares)
    for former, now in changes.select("former", "symbol").iter_rows():
        if former in found and former != now:
            found[now] = found.get(now, 0) + found.pop(former)
    return found


def read_positions(path: Path) -> dict[str, float]:
    """Positions of a CSV with symbol, shares; a row 'cash' gives CNY.  Raises KestrelError naming the row that can't be read."""
    frame = read_rows(path, "positions", as_text=True)
    if not {"symbol", "shares"} <= set(frame.columns):
        raise KestrelError(f"{path} has the columns {', '.join(frame.columns)}; it needs symbol and shares.")
    held: dict[str, float] = {}
    for number, (name, count) in enumerate(frame.select("symbol", "shares").iter_rows(), start=2):
        try:
            code, amount = "cash" if name == "cash" else symbol(name), float(count)
        except (TypeError, ValueError, KestrelError):
            raise KestrelError(f"{path} line {number}: '{name}', '{count}' is no holding. Write 600000.SH,1200 or cash,50000.") from None
        if code in held or amount < 0 or not amount < MOST or (code != "cash" and amount != int(amount)):
            what = "is there twice" if code in held else f"has {count}, which is no whole number of shares, or no amount that one can hold"
            raise KestrelError(f"{path} line {number}: {name} {what}. Write each holding once, in whole shares.")
        held[code] = amount
    return held
