"""The index to beat, as a series of levels.  Stocks earn dividends, so the index with dividends is the default."""

from collections.abc import Sequence
from datetime import date
from typing import Literal

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from data.errors import KestrelError
from data.panel import Floats

Kind = Literal["total_return", "price"]


class BenchmarkSettings(BaseModel):
    """Which index, and with dividends (H00905 for the CSI 500) or without (000905 itself, 0.7 to 2.2 points a year less)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    index: str = "000905.SH"
    kind: Kind = "total_return"


def levels(index_bars: pl.DataFrame, dates: Sequence[date], settings: BenchmarkSettings | None = None) -> Floats:
    """The closing level of the index on each date, [D].

    Raises KestrelError where the index, one of the dates or its total-return series is missing: it is never filled in.
    """
    settings = settings or BenchmarkSettings()
    found = _found(index_bars, dates, settings)
    missing = found.filter(pl.col("level").is_null())["date"]
    if len(missing):
        column = "close_tr" if settings.kind == "total_return" else "close"
        hint = "Import them, or set backtest.benchmark.kind = 'price', which flatters by the dividends."
        raise KestrelError(f"{settings.index} has no {column} on {len(missing)} of {len(dates)} sessions (first: {missing[0]}). {hint}")
    return found["level"].to_numpy()


def returns(index_bars: pl.DataFrame, dates: Sequence[date], settings: BenchmarkSettings | None = None) -> Floats:
    """The daily return of the index on each date, [D]; the first is over the index's own session before.

    Raises KestrelError where there is no session before.
    """
    settings = settings or BenchmarkSettings()
    level_D = levels(index_bars, dates, settings)
    earlier = index_bars.filter((pl.col("index") == settings.index) & (pl.col("date") < dates[0]))["date"].to_list()
    if not earlier:
        raise KestrelError(f"{settings.index} starts on {dates[0]}, so its return of that day is unknown. Start the backtest a session later.")
    before = levels(index_bars, [max(earlier)], settings)
    growth_D: Floats = level_D / np.concatenate([before, level_D[:-1]])
    return growth_D - 1


def known_returns(index_bars: pl.DataFrame, dates: Sequence[date], settings: BenchmarkSettings | None = None) -> Floats:
    """The return of the index from each date to the next, [D]; NaN on the first date, and where either level is unknown."""
    level_D = _found(index_bars, dates, settings or BenchmarkSettings())["level"].to_numpy()
    return np.concatenate([[np.nan], level_D[1:] / level_D[:-1] - 1])


def _found(index_bars: pl.DataFrame, dates: Sequence[date], settings: BenchmarkSettings) -> pl.DataFrame:
    """(date, level), null where there is none; raises KestrelError for an index of which nothing is known."""
    bars = index_bars.filter(pl.col("index") == settings.index)
    if bars.is_empty():
        known = ", ".join(sorted(index_bars["index"].unique())) or "none"
        raise KestrelError(f"index_bars has no {settings.index}; it has: {known}. Import it, or choose another in backtest.benchmark.index.")
    name = "close_tr" if settings.kind == "total_return" else "close"
    column = pl.col(name) if name in bars.columns else pl.lit(None)
    wanted = pl.DataFrame({"date": dates}, schema={"date": pl.Date})
    return wanted.join(bars.select("date", column.cast(pl.Float64).alias("level")), on="date", how="left", maintain_order="left")
