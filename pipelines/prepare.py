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
from data.panel import Axes, to_panel, to_panels
from data.progress import Track, silent
from factors import build, registry
from factors.clean import CleanSettings, clean
from factors.compute import Computer
from factors.operators import float_cap, log
from factors.panel import TABLES, axes_of, build_panel, of_one_scorer
from models.dataset import Dataset, stack
from models.labels import COLUMNS, labels
from pipelines.config import Config, Universe

# The lake's facts that say what its factor table was built from, which sets of factors it holds, and whose scores of news.
FACTORS_KEY = "factors"
SETS_KEY = "factor_sets"
SCORER_KEY = "factor_scorer"


def tables_of(lake: Lake, scorer: str | None = None) -> dict[str, pl.DataFrame]:
    """The tables that factors read, news_scores of one scorer: see of_one_scorer."""
    tables = {name: lake.read(name) for name in ("calendar", *TABLES) if lake.has(name)}
    if "news_scores" in tables:
        tables["news_scores"] = of_one_scorer(tables["news_scores"], scorer)
    return tables


def build_factors(lake: Lake, *, sets: Sequence[str] = ("library",), scorer: str | None = None, track: Track = silent) -> tuple[build.Choice, bool]:
    """Build the factor table of these sets unless it is current.  (what was available, whether anything was built)"""
    factors = registry.select(sets=sets)
    key = _key(lake, factors, scorer)
    if lake.has("factors") and lake.facts().get(FACTORS_KEY) == key:
        names = set(lake.scan("factors").collect_schema().names())
        return build.Choice([factor for factor in factors if factor.name in names], {}), False
    panel = build_panel(tables_of(lake, scorer))
    choice = build.choose(factors, panel, lake.price_basis)
    lake.write("factors", build.build(choice.available, panel, track=track))
    lake.state({FACTORS_KEY: key, SETS_KEY: " ".join(sets), SCORER_KEY: scorer or ""})
    return choice, True


def current_factors(lake: Lake) -> str:
    """The key of the factor table; raises KestrelError where it is missing or older than the tables it came from."""
    facts = lake.facts()
    key = _key(lake, registry.select(sets=facts.get(SETS_KEY, "library").split()), facts.get(SCORER_KEY) or None)
    if not lake.has("factors"):
        raise KestrelError("The lake has no factor table yet. Run: kestrel factors build")
    if facts.get(FACTORS_KEY) != key:
        raise KestrelError("The factor table is older than the data or the factors' definitions. Run: kestrel factors build")
    return key


def _key(lake: Lake, factors: Sequence[registry.Factor], scorer: str | None) -> str:
    """What a factor table is known by: the factors, whose scores of news they read, and the versions of the tables."""
    versions = {name: lake.version(name) for name in ("calendar", *TABLES) if lake.has(name)}
    return build.key(factors, versions) + (f" {scorer}" if scorer else "")


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
    table = lake.read("factors", start=start, end=end)
    names = chosen_names(config, [name for name in table.columns if name not in ("date", "symbol")])
    panels = to_panels(bars, list(COLUMNS), axes)
    trading_DN = (panels["is_trading"] == 1) & (panels["volume"] > 0)
    present_DN = present(config.universe, lake, trading_DN, axes)
    y_DNH, entry_DN = labels(panels, present_DN, config.labels, price_basis=lake.price_basis)
    x_DNF = stack(table, names, axes)
    cleaned = clean_panels({name: x_DNF[..., place] for place, name in enumerate(names)}, config.factors.clean, lake, axes, track=track)
    for place, name in enumerate(names):
        x_DNF[..., place] = cleaned[name]
    return Dataset(axes, tuple(names), x_DNF, present_DN, y_DNH, config.labels.horizons, entry_DN)


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
    if not settings.winsorise and not settings.neutralise:
        return dict(values)
    cap = _log_float_cap(lake, axes) if "log_float_cap" in settings.neutralise else None
    groups = industries_panel(lake.read("industries"), axes) if "industry" in settings.neutralise and lake.has("industries") else None
    return {name: clean(values[name].astype(np.float64), settings, log_cap_DN=cap, groups_DN=groups) for name in track(list(values), "clean")}


def _log_float_cap(lake: Lake, axes: Axes) -> np.ndarray | None:
    """Log float cap on these axes, computed over all history so that shares carry from before; None without float shares."""
    panel = build_panel({name: lake.read(name) for name in ("calendar", "bars", "caps") if lake.has(name)})
    if "float_shares" not in panel.columns:
        return None
    whole = Computer(panel, [log(float_cap())])(log(float_cap()))
    columns = np.searchsorted(np.array(panel.axes.symbols), np.array(axes.symbols))
    return whole[panel.axes.index(axes.dates[0]) :][: len(axes.dates), columns]


def factor_panels(lake: Lake, names: list[str], axes: Axes) -> dict[str, np.ndarray]:
    """Columns of the factor table as panels."""
    table = lake.read("factors", columns=["date", "symbol", *names])
    return {name: to_panel(table, name, axes) for name in names}


def digest(values: Mapping[str, Any]) -> str:
    """A short hash of plain values: equal ones mean the same work."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:10]
