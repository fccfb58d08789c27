"""The proof that factors don't look ahead: change everything that comes later, and nothing earlier may move."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.history import as_of, known_by
from data.panel import Axes
from data.progress import Track, silent
from factors.build import values
from factors.panel import Panel, build_panel
from factors.registry import Factor

Tables = Mapping[str, pl.DataFrame]
FLOATS = (pl.Float64, pl.Float32)
# A price history times a constant moves the last bits of logarithms and quotients; a real dependence moves far more.
ROUNDING = 1e-5


@dataclass(frozen=True)
class Breach:
    """A factor that moved: under which change, and where first."""

    factor: str
    change: str
    day: date
    symbol: str
    before: float
    after: float


def prove(factors: Sequence[Factor], tables: Tables, days: Sequence[date], *, track: Track = silent) -> list[Breach]:
    """Breaches of the factors on these tables, none where all is well.

    For each day: every table but the calendar is cut after it, then poisoned after it; the factors of that day must stay the same
    to the bit.  Once: each stock's price history is multiplied by its own constant, share counts divided by it, and those days and the
    last session compared.
    """
    whole = build_panel(tables)
    expected = values(factors, whole)
    breaches = []
    for day in track(days, "proof"):
        for change, changed in (("cut", as_of(tables, day)), ("poisoned", poisoned(tables, day))):
            panel = build_panel(changed)
            breaches += _compare(factors, whole, expected, panel, _fed(factors, panel), day, change, exact=True)
    unmoved = [factor for factor in factors if not factor.raw_only]
    rescaled = build_panel(rescaled_prices(tables))
    found = values(unmoved, rescaled)
    for day in (*days, whole.axes.dates[-1]):
        breaches += _compare(unmoved, whole, expected, rescaled, found, day, "price history rescaled", exact=False)
    return breaches


def _fed(factors: Sequence[Factor], panel: Panel) -> dict[str, NDArray[np.float32]]:
    """Values of the factors; null throughout where the panel has no such column yet, since then nothing may be known of it."""
    nothing = np.full(panel.axes.shape, np.nan, dtype=np.float32)
    feedable = [factor for factor in factors if factor.expr.needs <= set(panel.columns)]
    return dict.fromkeys((factor.name for factor in factors), nothing) | values(feedable, panel)


def poisoned(tables: Tables, day: date) -> dict[str, pl.DataFrame]:
    """Every number that becomes known after `day` multiplied by 3 to 7 from row to row, every fifth flag reversed; keys and the calendar stay."""
    noise = pl.int_range(pl.len()) % 5 + 3
    changes: dict[str, pl.DataFrame] = {}
    for name, frame in tables.items():
        later = ~known_by(name, day)
        numbers = [
            pl.when(later).then(pl.col(column) * noise).otherwise(pl.col(column)).alias(column)
            for column, dtype in frame.schema.items()
            if dtype in FLOATS
        ]
        flags = [(pl.col(column) ^ (later & (noise == 3))).alias(column) for column, dtype in frame.schema.items() if dtype == pl.Boolean]
        changes[name] = frame if name in ("calendar", "news_scores") else frame.with_columns(numbers + flags)
    return changes


def rescaled_prices(tables: Tables) -> dict[str, pl.DataFrame]:
    """Each stock's prices times its own constant, volume and share counts divided by it; what is as traded (raw_close, cash) stays."""
    constant = pl.lit(2.0).pow(pl.col("symbol").rank("dense").cast(pl.Int32) % 7 - 3)
    prices = ["open", "high", "low", "close", "pre_close", "limit_up", "limit_down"]
    changes = dict(tables)
    changes["bars"] = tables["bars"].with_columns(pl.col(prices) * constant, pl.col("volume") / constant)
    if "caps" in tables:
        changes["caps"] = tables["caps"].with_columns(pl.col("total_shares", "float_shares") / constant)
    return changes


def _compare(
    factors: Sequence[Factor],
    whole: Panel,
    before: Mapping[str, NDArray[np.float32]],
    panel: Panel,
    after: Mapping[str, NDArray[np.float32]],
    day: date,
    change: str,
    *,
    exact: bool,
) -> list[Breach]:
    """Breaches at the session of `day`: one a factor, its first stock."""
    row, other = whole.axes.index(day), panel.axes.index(day)
    columns = _shared(whole.axes, panel.axes)
    same: Callable[[NDArray[np.float32], NDArray[np.float32]], np.ndarray] = _equal if exact else _close
    breaches = []
    for factor in factors:
        a, b = before[factor.name][row, columns[0]], after[factor.name][other, columns[1]]
        moved = np.flatnonzero(~same(a, b))
        if len(moved):
            symbol = whole.axes.symbols[columns[0][moved[0]]]
            breaches.append(Breach(factor.name, change, day, symbol, float(a[moved[0]]), float(b[moved[0]])))
    return breaches


def _shared(a: Axes, b: Axes) -> tuple[np.ndarray, np.ndarray]:
    """Positions on both axes of the stocks that both have."""
    places = {symbol: place for place, symbol in enumerate(b.symbols)}
    pairs = [(place, places[symbol]) for place, symbol in enumerate(a.symbols) if symbol in places]
    found = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _equal(a: NDArray[np.float32], b: NDArray[np.float32]) -> np.ndarray:
    return (a == b) | (np.isnan(a) & np.isnan(b))


def _close(a: NDArray[np.float32], b: NDArray[np.float32]) -> np.ndarray:
    return np.isclose(a, b, rtol=ROUNDING, atol=ROUNDING * np.nanmax(np.abs(a), initial=1e-12), equal_nan=True)
