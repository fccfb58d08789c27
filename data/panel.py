"""Dense arrays [session, stock] out of long frames, and back.  Every fast path of Kestrel works on these."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Axes:
    """The sessions and stocks of a panel, both sorted: every session of the calendar in the range, suspensions or not."""

    dates: tuple[date, ...]
    symbols: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """(sessions, stocks)"""
        return len(self.dates), len(self.symbols)

    @cached_property
    def days(self) -> NDArray[np.datetime64]:
        """The dates as datetime64[D] of shape [D]."""
        return np.array(self.dates, dtype="datetime64[D]")

    def index(self, day: date) -> int:
        """Position of the first session on or after `day`; len(dates) beyond the end."""
        return int(np.searchsorted(self.days, np.datetime64(day)))

    def positions(self, frame: pl.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """Row numbers in the panel of each (date, symbol), and which rows are on it at all."""
        days = frame["date"].to_numpy().astype("datetime64[D]")
        rows = np.searchsorted(self.days, days)
        on_axis = np.zeros(frame.height, dtype=bool)
        inside = rows < len(self.dates)
        on_axis[inside] = self.days[rows[inside]] == days[inside]
        order = pl.DataFrame({"symbol": self.symbols, "column": np.arange(len(self.symbols))}, schema_overrides={"symbol": pl.String})
        columns = frame.select("symbol").join(order, on="symbol", how="left", maintain_order="left")["column"]
        on_axis &= columns.is_not_null().to_numpy()
        return rows, columns.fill_null(0).to_numpy().astype(np.int64), on_axis


def to_panel(frame: pl.DataFrame, column: str, axes: Axes) -> Floats:
    """One column of a (date, symbol) frame as [D, N] float64; NaN where there is no row or a null."""
    values = np.full(axes.shape, np.nan)
    rows, columns, on_axis = axes.positions(frame)
    found = frame[column].cast(pl.Float64).to_numpy()
    values[rows[on_axis], columns[on_axis]] = found[on_axis]
    return values


def to_panels(frame: pl.DataFrame, columns: list[str], axes: Axes) -> dict[str, Floats]:
    """Several columns at once: {column: [D, N] float64}."""
    rows, places, on_axis = axes.positions(frame)
    panels = {}
    for column in columns:
        values = np.full(axes.shape, np.nan)
        values[rows[on_axis], places[on_axis]] = frame[column].cast(pl.Float64).to_numpy()[on_axis]
        panels[column] = values
    return panels


def to_frame(panels: Mapping[str, NDArray[np.floating]], keep: NDArray[np.bool_], axes: Axes) -> pl.DataFrame:
    """Panels as a long frame sorted by date, symbol, of the cells marked in keep [D, N]; NaN becomes null."""
    rows, columns = np.nonzero(keep)
    keys = {"date": pl.Series(axes.days[rows]).cast(pl.Date), "symbol": pl.Series(np.array(axes.symbols, dtype=object)[columns], dtype=pl.String)}
    values = {name: pl.Series(panel[rows, columns]).fill_nan(None) for name, panel in panels.items()}
    return pl.DataFrame({**keys, **values})
