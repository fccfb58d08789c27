"""Prepare: tables of the lake become the panel, the factor table and the dataset that models learn from."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from data.errors import KestrelError
from data.lake import Lake
from data.members import industries_panel, members_panel
from data.panel import Axes, to_panels
from data.progress import Track, silent
from factors import registry
from factors.clean import INDUSTRY, CleanSettings, clean, orthogonalise
from factors.compute import Computer
from factors.operators import float_cap, log
from factors.panel import axes_of, build_panel
from models.dataset import Dataset, stack
from models.labels import COLUMNS, labels
from pipelines.config import Config, Universe


def present(universe: Universe, lake: Lake, trading_DN: np.ndarray, axes: Axes) -> np.ndarray:
    """Which stocks belong to the universe and traded, [D, N]."""
    if universe.members == "all":
        return trading_DN
    if not lake.has("members"):
        raise KestrelError('The lake has no index members. Import them, or set universe.members = "all".')
    member, known = members_panel(lake.read("members"), axes, universe.index)
    if not known.any():
        raise KestrelError(f"No members of {universe.index} in the lake. Name another universe.index, or import them.")
    if universe.before == "all":
        member = member | ~known[:, None]
    return trading_DN & member


def dataset_of(lake: Lake, config: Config, *, start: date | None = None, end: date | None = None, track: Track = silent) -> Dataset:
    """Factors, labels and masks of the lake's sessions start..end (all by default) on one pair of axes."""
    bars = lake.read("bars", columns=["date", "symbol", *COLUMNS], start=start, end=end)
    axes = axes_of(bars, lake.read("calendar"))
    names = names_of(lake, config)
    table = lake.read("factors", columns=["date", "symbol", *names], start=start, end=end)
    panels = to_panels(bars, list(COLUMNS), axes)
    trading_DN = (panels["is_trading"] == 1) & (panels["volume"] > 0)
    present_DN = present(config.universe, lake, trading_DN, axes)
    y_DNH, entry_DN = labels(panels, present_DN, config.labels, price_basis=lake.price_basis)
    x_DNF = stack(table, names, axes)
    if not config.factors.clean.idle:
        cleaned = clean_panels({name: x_DNF[..., place] for place, name in enumerate(names)}, config.factors.clean, lake, axes, track=track)
        for place, name in enumerate(names):
            x_DNF[..., place] = cleaned[name]
    return Dataset(axes, tuple(names), x_DNF, present_DN, y_DNH, config.labels.horizons, entry_DN)


def names_of(lake: Lake, config: Config) -> list[str]:
    """The factors of the lake's table that models read, in its order."""
    return chosen_names(config, [name for name in lake.scan("factors").collect_schema().names() if name not in ("date", "symbol")])


def chosen_names(config: Config, there: list[str]) -> list[str]:
    """The factors that models read: the config's, or all of its sets; raises KestrelError for a factor or a set that the table lacks."""
    wanted = config.factors.names
    missing = [name for name in wanted or () if name not in there]
    if missing:
        raise KestrelError(f"factors.names lists {', '.join(missing)}, which this lake's factor table lacks. See: kestrel factors list")
    if wanted is not None:
        return [name for name in there if name in wanted]
    for name in config.factors.sets:
        if registry.library([name]).keys().isdisjoint(there):
            raise KestrelError(f"This lake's factor table lacks the set {name} of factors.sets. Run kestrel factors build with the same config.")
    sought = registry.library(config.factors.sets)
    return [name for name in there if name in sought]


def clean_panels(
    values: Mapping[str, np.ndarray], settings: CleanSettings, lake: Lake, axes: Axes, *, track: Track = silent
) -> dict[str, np.ndarray]:
    """Each factor [D, N] cleaned by the settings, session by session; the same arrays where there is nothing to do."""
    if settings.idle:
        return dict(values)
    cleaner = Cleaner(settings, lake, axes)
    return orthogonalise({name: cleaner(name, values[name]) for name in track(list(values), "clean")}, settings)


class Cleaner:
    """Cleans one factor after the other on these axes; holds the styles and industries that they are made neutral to."""

    def __init__(self, settings: CleanSettings, lake: Lake, axes: Axes) -> None:
        self.settings = settings
        self.styles = {name: style for name in settings.styles if (style := style_panel(lake, name, axes)) is not None}
        dated = INDUSTRY in settings.neutralise and lake.has("industries")
        self.groups_DN = industries_panel(lake.read("industries"), axes) if dated else None

    def __call__(self, name: str, values_DN: np.ndarray) -> np.ndarray:
        """The factor cleaned; it isn't made neutral to itself, which would leave nothing."""
        others = tuple(style for style in self.settings.neutralise if style != name)
        settings = self.settings.model_copy(update={"neutralise": others})
        return clean(values_DN.astype(np.float64), settings, styles=self.styles, groups_DN=self.groups_DN)


def style_panel(lake: Lake, name: str, axes: Axes) -> np.ndarray | None:
    """A factor as a panel [D, N], log_float_cap from the shares themselves, any other out of the factor table; None without it."""
    if name == "log_float_cap":
        return _log_float_cap(lake, axes)
    there = lake.has("factors") and name in lake.scan("factors").collect_schema().names()
    return factor_panels(lake, [name], axes)[name] if there else None


def _log_float_cap(lake: Lake, axes: Axes) -> np.ndarray | None:
    """Log float cap on these axes, computed over all history so that shares carry from before; None without float shares."""
    panel = build_panel({name: lake.read(name) for name in ("calendar", "bars", "caps") if lake.has(name)})
    if "float_shares" not in panel.columns:
        return None
    whole = Computer(panel, [log(float_cap())])(log(float_cap()))
    columns = np.searchsorted(np.array(panel.axes.symbols), np.array(axes.symbols))
    return whole[panel.axes.index(axes.dates[0]) :][: len(axes.dates), columns]


def factor_panels(lake: Lake, names: Sequence[str], axes: Axes) -> dict[str, np.ndarray]:
    """Columns of the factor table as panels on these axes."""
    table = lake.read("factors", columns=["date", "symbol", *names], start=axes.dates[0], end=axes.dates[-1])
    return to_panels(table, list(names), axes)


def industries(lake: Lake, axes: Axes) -> tuple[np.ndarray | None, list[str], list[str]]:
    """(industry numbers [D, N], their names, what a reader must know); a snapshot of hindsight is used where nothing else is known."""
    if not lake.has("industries"):
        return None, [], ["The lake has no industries."]
    table = lake.read("industries")
    dated = table.filter(~pl.col("hindsight"))
    words = []
    if dated.is_empty():
        words.append("Industries are hindsight: a later snapshot laid over the past. They describe; Kestrel's models never read them.")
        dated = table.with_columns(pl.lit(False).alias("hindsight"))
    elif dated.height < table.height:
        words.append(f"{table.height - dated.height} rows of the industries are hindsight and left out.")
    names = dict(dated.sort("code", "start").select("code", pl.coalesce("name", "code")).iter_rows())
    return industries_panel(dated, axes), [names[code] for code in sorted(names)], words


def digest(values: Mapping[str, Any]) -> str:
    """A short hash of plain values: equal ones mean the same work."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:10]
