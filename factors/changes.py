"""What the proof does to a lake's tables: each change may move some numbers, and must leave certain others as they are."""

from collections.abc import Mapping
from datetime import date

import polars as pl

from data.history import known_by

Tables = Mapping[str, pl.DataFrame]
Changed = dict[str, pl.DataFrame]
FLOATS = (pl.Float64, pl.Float32)
PRICES = ["open", "high", "low", "close", "pre_close", "limit_up", "limit_down"]
MONEY = {"bars": [*PRICES, "raw_close", "amount"], "dividends": ["cash"]}  # and all numbers of reports; the rest are shares, ratios and points
RATE = 8.0  # of the other currency; a power of two moves no quotient of two amounts of money, not even in its last bit


def poisoned(tables: Tables, day: date) -> Changed:
    """Every number that becomes known after `day` multiplied by 3 to 7 from row to row, every fifth flag reversed; keys and the calendar stay."""
    noise = pl.int_range(pl.len()) % 5 + 3
    changes: Changed = {}
    for name, frame in tables.items():
        later = ~known_by(name, day)
        numbers = [pl.when(later).then(pl.col(column) * noise).otherwise(pl.col(column)).alias(column) for column in _floats(frame)]
        flags = [(pl.col(column) ^ (later & (noise == 3))).alias(column) for column, dtype in frame.schema.items() if dtype == pl.Boolean]
        changes[name] = frame if name in ("calendar", "news_scores") else frame.with_columns(numbers + flags)
    return changes


def rescaled_prices(tables: Tables) -> Changed:
    """Each stock's prices times its own constant, volume and share counts divided by it; what is as traded (raw_close, cash) stays."""
    constant = pl.lit(2.0).pow(pl.col("symbol").rank("dense").cast(pl.Int32) % 7 - 3)
    changes = dict(tables)
    changes["bars"] = tables["bars"].with_columns(pl.col(PRICES) * constant, pl.col("volume") / constant)
    if "caps" in tables:
        changes["caps"] = tables["caps"].with_columns(pl.col("total_shares", "float_shares") / constant)
    return changes


def in_another_currency(tables: Tables) -> Changed:
    """Every amount of money of every stock times RATE; share counts, ratios and index points stay."""
    changes = dict(tables)
    for name, frame in tables.items():
        columns = _floats(frame) if name == "reports" else [column for column in MONEY.get(name, []) if column in frame.columns]
        changes[name] = frame.with_columns(pl.col(columns) * RATE) if columns else frame
    return changes


def shuffled(tables: Tables) -> Changed:
    """The same rows in another order, the same on every call."""
    return {name: frame.sample(fraction=1.0, shuffle=True, seed=7) for name, frame in tables.items()}


def without(tables: Tables, symbol: str) -> Changed:
    """The market as if one stock had never been listed; news that name others too lose its code."""
    changes = {name: frame.filter(pl.col("symbol") != symbol) if "symbol" in frame.columns else frame for name, frame in tables.items()}
    if "news" in tables:
        changes["news"] = tables["news"].with_columns(pl.col("symbols").list.set_difference([symbol]))
    return changes


def _floats(frame: pl.DataFrame) -> list[str]:
    return [column for column, dtype in frame.schema.items() if dtype in FLOATS]
