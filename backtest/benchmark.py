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
    column = "close_tr" if settings.kind == "total_return" else "close"
    bars = index_bars.filter(pl.col("index") == settings.index)
    if bars.is_empty():
        known = ", ".join(sorted(index_bars["index"].unique())) or "none"
        raise KestrelError(f"index_bars has no {settings.index}; it has: {known}. Import it, or choose another in backtest.benchmark.index.")
    if column not in bars.columns:
        bars = bars.with_columns(pl.lit(None, dtype=pl.Float64).alias(column))
    wanted = pl.DataFrame({"date": dates}, schema={"date": pl.Date})
    found = wanted.join(bars, on="date", how="left", maintain_order="left")
    missing = found.filter(pl.col(column).is_null())["date"]
    if len(missing):
        hint = "Import them, or set backtest.benchmark.kind = 'price', which flatters by the dividends."
        raise KestrelError(f"{settings.index} has no {column} on {len(missing)} of {len(dates)} sessions (first: {missing[0]}). {hint}")
    return found[column].cast(pl.Float64).to_numpy()


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
