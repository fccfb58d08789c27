"""Checks of the prices of a bar."""

import polars as pl

from data.checks.check import CENT, Check, Tables, before, rows
from data.symbols import board_expr

# The widest limit that a board ever had, and half a point for the cent it is rounded to; the exact limits have a check of their own.
WIDEST = {"main": 0.105, "chinext": 0.205, "star": 0.205, "bse": 0.305}
LISTING = 5  # rows of a stock, from its first on, that may move at will

_HIGHEST = pl.max_horizontal("open", "close")
_LOWEST = pl.min_horizontal("open", "close")
_NUMBERS = pl.col("open", "high", "low", "close", "pre_close", "volume", "amount", "adj")


def _beyond_limits(tables: Tables) -> pl.DataFrame:
    """Rows whose return from pre_close no board of any date allows, without an ex-date; listing days left out."""
    age = pl.int_range(pl.len()).over("symbol", order_by="date")
    most = board_expr().replace_strict(WIDEST, return_dtype=pl.Float64)
    move = (pl.col("close") - pl.col("pre_close")).abs() - CENT  # of a stock below 0.30 a cent is more than half a point
    ex_date = (pl.col("adj") != before("adj")).fill_null(value=False)
    return tables["bars"].filter((age >= LISTING) & (move > most * pl.col("pre_close")) & ~ex_date)


def _additive(tables: Tables) -> pl.DataFrame:
    """Rows where adjusted and traded close lie as far apart as a session before, while the same proportion misses by more than rounding."""
    apart = pl.col("close") - pl.col("raw_close")
    same_distance = (apart - before("apart")).abs() < 0.002
    missed = pl.col("close") - pl.col("raw_close") * before("close") / before("raw_close")
    return tables["bars"].with_columns(apart=apart).filter(same_distance & (missed.abs() > 0.015))


def _repeated(tables: Tables) -> pl.DataFrame:
    """Traded rows that repeat the stock's row before to the last digit."""
    same = pl.all_horizontal((pl.col(name) == before(name)).fill_null(value=False) for name in ("open", "high", "low", "close", "volume", "amount"))
    return tables["bars"].filter(pl.col("is_trading") & (pl.col("volume") > 0) & (pl.col("date") != before("date")) & same)


CHECKS = [
    Check(
        "positive prices",
        "bars",
        "blocking",
        "a price at or below zero comes of additive adjustment: returns are distorted",
        rows("bars", pl.min_horizontal("open", "high", "low", "close", "pre_close") <= 0),
    ),
    Check(
        "finite values",
        "bars",
        "blocking",
        "a value that is not a finite number poisons every window over it",
        rows("bars", ~pl.all_horizontal(_NUMBERS.is_finite())),
    ),
    Check(
        "high and low",
        "bars",
        "warning",
        "high below low, open or close, or low above them: the row is broken",
        rows("bars", (pl.col("high") < _HIGHEST - CENT) | (pl.col("low") > _LOWEST + CENT)),
        blocks_above=1e-4,
    ),
    Check(
        "returns beyond limits",
        "bars",
        "warning",
        "returns that no price limit allows and no ex-date explains: relistings and share reform where few, additive adjustment or missing "
        "ex-rights prices where more than 1 row in 500",
        _beyond_limits,
        blocks_above=0.002,
    ),
    Check(
        "close within limits",
        "bars",
        "warning",
        "a close outside the limits computed from pre_close, board, ST and date: a wrong pre_close, flag or price",
        rows("bars", pl.col("is_trading") & ((pl.col("close") > pl.col("limit_up") + CENT) | (pl.col("close") < pl.col("limit_down") - CENT))),
        basis="raw",
        blocks_above=0.01,
    ),
    Check(
        "additive adjustment",
        "bars",
        "blocking",
        "the adjusted close differs from the traded one by a constant, not by a factor: every return is distorted",
        _additive,
        basis="adjusted",
        tolerated=5e-4,
    ),
    Check(
        "frozen bars",
        "bars",
        "warning",
        "a traded session repeats the one before to the last digit: a stale cache or a page served twice",
        _repeated,
        blocks_above=0.01,
    ),
]
