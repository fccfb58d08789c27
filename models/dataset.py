"""What every model learns from: factors, labels and masks on one pair of axes, and the ways to cut them.

Dims: D sessions, N stocks, F factors, H horizons, S chosen sessions, R rows (one stock in one session).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.errors import KestrelError
from data.panel import Axes

Floats32 = NDArray[np.float32]
Bools = NDArray[np.bool_]
Sessions = NDArray[np.int64]


@dataclass(frozen=True)
class Dataset:
    """Factors, labels and masks of D sessions and N stocks.  Sessions are positions on axes.dates.

    x_DNF float32: factors, NaN = missing.  present_DN: in the universe and traded at d.  y_DNH float32: labels, NaN = unknown.
    entry_DN: a buy at the entry is possible.  Only y and entry look ahead, so `score` may read neither.
    """

    axes: Axes
    names: tuple[str, ...]
    x_DNF: Floats32
    present_DN: Bools
    y_DNH: Floats32
    horizons: tuple[int, ...]
    entry_DN: Bools

    def __post_init__(self) -> None:
        """Refuse arrays that don't share the axes."""
        shape = self.axes.shape
        wanted = {
            "x_DNF": (*shape, len(self.names)),
            "present_DN": shape,
            "y_DNH": (*shape, len(self.horizons)),
            "entry_DN": shape,
        }
        for name, expected in wanted.items():
            found = getattr(self, name).shape
            if found != expected:
                raise ValueError(f"{name} has shape {found}, the axes, names and horizons say {expected}")

    def label(self, horizon: int) -> Floats32:
        """y_DN of one horizon, a view; raises KestrelError where the dataset hasn't got it."""
        if horizon not in self.horizons:
            raise KestrelError(f"No labels for a horizon of {horizon} sessions, only {list(self.horizons)}. Add it to labels.horizons.")
        return self.y_DNH[..., self.horizons.index(horizon)]

    def loss_label(self, horizon: int) -> Floats32:
        """y_DN where a model may learn from it, NaN elsewhere: present, label known, and the entry tradable."""
        return np.where(self.present_DN & self.entry_DN, self.label(horizon), np.float32(np.nan))

    def columns(self, names: Sequence[str]) -> NDArray[np.int64] | None:
        """Positions of these factors; None if they are exactly the dataset's own.  Raises KestrelError for missing ones."""
        missing = [name for name in names if name not in self.names]
        if missing:
            shown = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
            raise KestrelError(f"The factor table lacks {len(missing)} of this model's {len(names)} factors: {shown}. Run: kestrel factors build")
        if tuple(names) == self.names:
            return None
        return np.array([self.names.index(name) for name in names], dtype=np.int64)

    def session(self, session: int, columns: NDArray[np.int64] | None = None) -> Floats32:
        """x_NF of the stocks present in one session, in the order of the symbols, as a copy."""
        x_NF = self.x_DNF[session, self.present_DN[session]]
        return x_NF if columns is None else np.ascontiguousarray(x_NF[:, columns])


@dataclass(frozen=True)
class Rows:
    """Labelled rows by session, then stock.  place_R counts within the sessions asked for, not within the axes."""

    place_R: NDArray[np.int64]
    stock_R: NDArray[np.int64]
    y_R: Floats32

    @property
    def counts(self) -> NDArray[np.int64]:
        """Rows of each session that has any, in order: the groups of a ranking loss."""
        return np.unique(self.place_R, return_counts=True)[1].astype(np.int64)

    def panel(self, values_R: NDArray[np.floating], shape: tuple[int, int]) -> NDArray[np.float64]:
        """values_R laid out as [S, N]; NaN elsewhere."""
        values_SN = np.full(shape, np.nan)
        values_SN[self.place_R, self.stock_R] = values_R
        return values_SN


def rows(y_SN: Floats32) -> Rows:
    """The cells with a finite label; raises KestrelError where there are none."""
    place_R, stock_R = np.nonzero(np.isfinite(y_SN))
    if len(place_R) == 0:
        raise KestrelError(f"None of the {len(y_SN)} sessions has a stock with a label. Check the universe, and that prices reach beyond the fold.")
    return Rows(place_R.astype(np.int64), stock_R.astype(np.int64), y_SN[place_R, stock_R])


def gather(dataset: Dataset, sessions: Sessions, found: Rows, columns: NDArray[np.int64] | None = None) -> Floats32:
    """x_RF of the rows, float32 and contiguous: the one copy a tree learner needs."""
    if columns is None:
        return dataset.x_DNF[sessions[found.place_R], found.stock_R]
    return dataset.x_DNF[sessions[found.place_R][:, None], found.stock_R[:, None], columns[None, :]]


def take(dataset: Dataset, start: int, stop: int) -> Dataset:
    """The sessions start … stop-1 as a dataset of its own; arrays are views."""
    axes = Axes(dataset.axes.dates[start:stop], dataset.axes.symbols)
    cut = slice(start, stop)
    return replace(
        dataset, axes=axes, x_DNF=dataset.x_DNF[cut], present_DN=dataset.present_DN[cut], y_DNH=dataset.y_DNH[cut], entry_DN=dataset.entry_DN[cut]
    )


def stack(factors: pl.DataFrame, names: Sequence[str], axes: Axes) -> Floats32:
    """x_DNF float32 out of a (date, symbol) factor frame, one factor at a time so that nothing is held twice; NaN = null or no row."""
    x_DNF = np.full((*axes.shape, len(names)), np.nan, dtype=np.float32)
    row, column, on_axis = axes.positions(factors)
    row, column = row[on_axis], column[on_axis]
    for place, name in enumerate(names):
        x_DNF[row, column, place] = factors[name].cast(pl.Float32).to_numpy()[on_axis]
    return x_DNF


def spread(score_R: NDArray[np.floating], present_SN: Bools) -> Floats32:
    """Scores of the present stocks, by session and stock, as score_SN float32; NaN for the absent."""
    score_SN = np.full(present_SN.shape, np.nan, dtype=np.float32)
    score_SN[present_SN] = score_R
    return score_SN
