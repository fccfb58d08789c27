"""The ground that factors are judged on: sessions, stocks, what followed, and what else is known, all on one pair of axes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.errors import KestrelError
from data.lake import Lake
from data.panel import Axes, Floats, to_panel, to_panels
from factors.clean import CleanSettings
from factors.evaluate import EvaluateSettings, Surroundings
from factors.panel import axes_of, carried
from factors.stability import regimes
from models.labels import COLUMNS, labels
from pipelines.config import Config
from pipelines.prepare import Cleaner, factor_panels, industries, present

HORIZONS = (1, 2, 5, 10, 20)  # the decay of a factor
AMOUNT_WINDOW = 20
# The styles that exposures are told of and the factors that measure them; what the lake's factor table lacks is left out.
STYLES = {
    "Size": "log_float_cap",
    "Value": "book_to_price",
    "Beta": "beta_120",
    "Volatility": "volatility_20",
    "Turnover": "turnover_20",
    "Reversal": "reversal_20",
}


@dataclass(frozen=True)
class Ground:
    """Sessions `judged` of the axes, before them the past that a combination learns from; stocks that are present in any of them.

    present_DN: members of the date that traded.  y_DNH: returns over HORIZONS from the entry of the next session on, raw (not in excess).
    """

    axes: Axes
    judged: slice
    present_DN: NDArray[np.bool_]
    y_DNH: NDArray[np.float32]
    entry: str  # the price of the entry
    reach: int  # sessions from a close until the main horizon's return is known
    around: Surroundings  # of the judged sessions alone
    remarks: tuple[str, ...]

    @property
    def dates(self) -> tuple[date, ...]:
        """The sessions judged."""
        return self.axes.dates[self.judged]


def ground(
    lake: Lake,
    config: Config,
    settings: EvaluateSettings,
    *,
    start: date | None = None,
    end: date | None = None,
    entry: str | None = None,
    past: bool = False,
) -> Ground:
    """The ground between start (default walk.first) and end; `past` keeps all sessions before, for those who learn from them."""
    bars = lake.read("bars", columns=["date", "symbol", *COLUMNS])
    whole = axes_of(bars, lake.read("calendar"))
    first = whole.index(start or config.walk.first or whole.dates[0])
    stop = min(whole.index(end), len(whole.dates) - 1) + 1 if end else len(whole.dates)
    if first >= stop:
        raise KestrelError(f"No session between --start and --end: the data cover {whole.dates[0]} to {whole.dates[-1]}.")
    panels = to_panels(bars, list(COLUMNS), whole)
    trading_DN = (panels["is_trading"] == 1) & (panels["volume"] > 0)
    present_DN = present(config.universe, lake, trading_DN, whole)
    judging = config.labels.model_copy(update={"horizons": HORIZONS, "excess": False, "entry": entry or config.labels.entry})
    y_DNH, _ = labels(panels, present_DN, judging, price_basis=lake.price_basis)
    rows = slice(0 if past else first, stop)
    here_N = np.flatnonzero(present_DN[rows].any(axis=0))
    axes = Axes(whole.dates[rows], tuple(whole.symbols[n] for n in here_N))
    judged = slice(first - rows.start, stop - rows.start)
    states = {name: inside_D[first:stop] for name, inside_D in regimes(_market(lake, config, panels, present_DN, whole)).items()}
    amount_DN = trailing_mean(np.where(trading_DN, panels["amount"], np.nan)[:, here_N], AMOUNT_WINDOW)[first:stop]
    around, remarks = _surroundings(lake, Axes(axes.dates[judged], axes.symbols), settings, amount_DN, states)
    return Ground(
        axes, judged, present_DN[rows, :][:, here_N], y_DNH[rows, :][:, here_N], judging.entry, judging.delay + settings.main, around, remarks
    )


def trailing_mean(values_DN: Floats, window: int) -> Floats:
    """Mean of the finite values of the last `window` sessions, the current one included; NaN where there is none."""
    known = np.isfinite(values_DN)
    total, count = np.cumsum(np.where(known, values_DN, 0.0), axis=0), np.cumsum(known, axis=0)
    total[window:], count[window:] = total[window:] - total[:-window], count[window:] - count[:-window]
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _market(lake: Lake, config: Config, panels: Mapping[str, Floats], present_DN: NDArray[np.bool_], axes: Axes) -> Floats:
    """The market's return of each session [D]: the index's, or without it the mean of the stocks present in the session before."""
    index = config.universe.index
    if lake.has("index_bars"):
        closes = lake.read("index_bars").filter(pl.col("index") == index).select("date", pl.col("index").alias("symbol"), "close")
        if closes.height:
            close_D = carried(to_panel(closes, "close", Axes(axes.dates, (index,))))[:, 0]
            return np.concatenate([[np.nan], close_D[1:] / close_D[:-1] - 1])
    close_DN = carried(panels["close"] * panels["adj"])
    change_DN = close_DN[1:] / close_DN[:-1] - 1
    counted = present_DN[:-1] & np.isfinite(change_DN)
    mean_D = np.where(counted, change_DN, 0.0).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
    return np.concatenate([[np.nan], mean_D])


def _surroundings(
    lake: Lake, axes: Axes, settings: EvaluateSettings, amount_DN: Floats, states: Mapping[str, NDArray[np.bool_]]
) -> tuple[Surroundings, tuple[str, ...]]:
    """(what is known of these sessions besides returns, what a reader must know of it)."""
    groups_DN, names, remarks = industries(lake, axes)
    days = [axes.dates[place] for place in settings.sampled(len(axes.dates))]
    known: dict[str, Floats] = {}
    if lake.has("factors"):
        table = lake.scan("factors").filter(pl.col("date").is_in(days)).sort("date", "symbol").collect()
        known = to_panels(table, [name for name in table.columns if name not in ("date", "symbol")], Axes(tuple(days), axes.symbols))
    styles = {style: known[name] for style, name in STYLES.items() if name in known}
    missing = [f"{style} ({name})" for style, name in STYLES.items() if name not in known]
    if missing:
        remarks = [*remarks, f"Styles that the factor table lacks: {', '.join(missing)}."]
    around = Surroundings(amount_DN, styles, known, groups_DN, names if groups_DN is not None else (), states)
    return around, tuple(remarks)


class Columns(Mapping[str, NDArray[np.floating]]):
    """Factors of the lake's table as panels on these axes, cleaned, a few of them read at a time and none kept."""

    AT_ONCE = 8

    def __init__(self, lake: Lake, names: Sequence[str], axes: Axes, settings: CleanSettings) -> None:
        self.lake, self.names, self.axes = lake, tuple(names), axes
        self.clean = None if settings.idle else Cleaner(settings, lake, axes)
        self.read: dict[str, Floats] = {}

    def __getitem__(self, name: str) -> NDArray[np.floating]:
        """[D, N] of one factor; its neighbours are read along."""
        if name not in self.read:
            place = self.names.index(name) // self.AT_ONCE * self.AT_ONCE
            self.read = {}  # before the next ones come
            self.read = factor_panels(self.lake, self.names[place : place + self.AT_ONCE], self.axes)
        return self.read[name] if self.clean is None else self.clean(name, self.read[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
