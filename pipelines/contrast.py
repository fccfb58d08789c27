"""Contrast: two models of finished runs beside each other on the dates they share: settings, figures with paired intervals, curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from backtest import metrics
from backtest.result import COSTS
from data.errors import KestrelError
from data.panel import Floats
from factors.judge import difference
from pipelines.config import Config
from pipelines.equality import plain
from pipelines.experiments import flattened
from pipelines.holdout import HoldoutSettings, opened
from pipelines.lookup import Found, find
from pipelines.runs import DONE, read_json
from pipelines.versions import READ

Row = dict[str, Any]
PLACES = {"lake", "runs", "signals", "tracking"}  # where things lie is no setting of an idea
YEAR = metrics.SESSIONS


@dataclass(frozen=True)
class Side:
    """One model: the correlations of its scores by date and horizon, and its account by date, where there are any."""

    folder: Path
    model: str
    settings: Mapping[str, str]
    daily: pl.DataFrame | None
    account: pl.DataFrame | None
    horizon: int

    @property
    def name(self) -> str:
        """As find() reads it."""
        return f"{self.folder.name}/{self.model}"


@dataclass(frozen=True)
class Contrast:
    """Two sides, A and B."""

    a: Side
    b: Side

    @cached_property
    def accounts(self) -> pl.DataFrame | None:
        """date, a, b (net returns), benchmark_a, benchmark_b and what trading cost, on the dates that both accounts have."""
        return _joined(self.a.account, self.b.account, ["date"])

    @cached_property
    def correlations(self) -> pl.DataFrame | None:
        """date, horizon, ic_a, ic_b, rank_ic_a, rank_ic_b on the dates that both have."""
        return _joined(self.a.daily, self.b.daily, ["horizon", "date"])

    @property
    def span(self) -> tuple[date, date]:
        """The first and the last date that both have."""
        frames = [frame["date"] for frame in (self.accounts, self.correlations) if frame is not None]
        return min(dates.min() for dates in frames), max(dates.max() for dates in frames)  # type: ignore[type-var, return-value]

    def figures(self) -> list[Row]:
        """A row {figure, A, B, B - A, low, high, sessions} a figure; an interval of 95 % where a mean of days is paired, blocks of 20 sessions."""
        return [*_correlated(self.correlations), *_earned(self.accounts)]

    def settings(self) -> list[Row]:
        """A row {setting, A, B} for each that isn't the same."""
        names = sorted({*self.a.settings, *self.b.settings})
        pairs = [(name, self.a.settings.get(name, ""), self.b.settings.get(name, "")) for name in names]
        return [{"setting": name, "A": one, "B": other} for name, one, other in pairs if one != other]


def contrast(config: Config, a: str, b: str, *, model: str | None = None) -> Contrast:
    """Two runs, each named as `find` reads it; a model of each is the one named, else the one in front of all, else the one chosen.

    A training is beside the newest account of its scores.  Dates of a holdout that isn't open are left out.
    Raises KestrelError where the two share no date.
    """
    found = Contrast(*(side(config, find(config, name), model) for name in (a, b)))
    if found.accounts is None and found.correlations is None:
        raise KestrelError(f"{found.a.name} and {found.b.name} share no date that either accounts or correlations have. Choose others.")
    return found


def side(config: Config, found: Found, model: str | None = None) -> Side:
    """One model of a run, with all that is known of it."""
    runs = Path(config.runs)
    accounts = found.folder if found.kind == "backtest" else _account_of(runs, found.folder.name)
    training = found.folder if found.kind == "train" else runs / str(read_json(found.folder / DONE)["source"])
    daily, nav = training / "daily.parquet", None
    name = found.model or model or _chosen(found.folder, training)
    there = [row["model"] for row in read_json(found.folder / DONE)["models"]]
    if name not in there:
        raise KestrelError(f"{found.folder.name} has no model '{name}'. It has: {', '.join(dict.fromkeys(there))}.")
    if accounts is not None and (accounts / name / "nav.parquet").is_file():
        nav = _open(pl.read_parquet(accounts / name / "nav.parquet"), config.holdout, accounts, 0)
    correlations = None
    if daily.is_file():
        own = pl.read_parquet(daily).filter(pl.col("model") == name)
        correlations = _open(own, config.holdout, training, config.labels.reach)
    raw, made = plain(found.folder / "config.json"), plain(found.folder / READ)
    settings = {key: str(value) for key, value in flattened({key: value for key, value in raw.items() if key not in PLACES}).items()}
    settings |= {f"version of {table}": str(version) for table, version in made.get("versions", {}).items()}
    settings |= {"model": name, "commit": str(made.get("git"))}
    return Side(found.folder, name, settings, correlations, nav, raw["train"]["horizon"])


def _chosen(folder: Path, training: Path) -> str:
    """The model chosen on validation dates, else the first."""
    there = [row["model"] for row in read_json(folder / DONE)["models"]]
    chosen = plain(training / DONE).get("chosen")
    return str(chosen if chosen in there else there[0])


def _account_of(runs: Path, training: str) -> Path | None:
    """The newest backtest of a training's scores."""
    made = [path.parent for path in runs.glob(f"backtest-*/{DONE}") if read_json(path)["source"] == training]
    return max(made, key=lambda path: (path / DONE).stat().st_mtime_ns, default=None)


def _open(frame: pl.DataFrame, held: HoldoutSettings, folder: Path, reach: int) -> pl.DataFrame:
    """The rows that may be shown: none of a closed holdout, and none whose label reads `reach` sessions ahead into one."""
    if held.last is None or opened(folder, held):
        return frame
    days = frame["date"].unique().sort()
    before = days.filter(days <= held.last)
    return frame.filter(pl.col("date").is_in((before.head(max(len(before) - reach, 0)) if len(before) < len(days) else before).implode()))


def _joined(one: pl.DataFrame | None, other: pl.DataFrame | None, keys: list[str]) -> pl.DataFrame | None:
    """Rows that both have, columns with _a and _b behind their names; None where there are none."""
    if one is None or other is None:
        return None
    sides = [frame.select(*keys, pl.exclude(*keys, "model").name.suffix(f"_{end}")) for frame, end in ((one, "a"), (other, "b"))]
    found = sides[0].join(sides[1], on=keys, how="inner").sort(keys)
    return found if found.height else None


def _correlated(found: pl.DataFrame | None) -> list[Row]:
    rows = []
    for (horizon,), part in found.partition_by("horizon", as_dict=True, maintain_order=True).items() if found is not None else ():
        for name, title in (("rank_ic", "RankIC"), ("ic", "IC")):
            rows.append(_paired(f"{title}, {horizon} sessions", part[f"{name}_a"].to_numpy(), part[f"{name}_b"].to_numpy()))
    return rows


def _earned(found: pl.DataFrame | None) -> list[Row]:
    """What the accounts came to, net of costs."""
    if found is None:
        return []
    sides = {end: (found[f"return_{end}"].to_numpy(), found[f"benchmark_return_{end}"].to_numpy()) for end in ("a", "b")}
    rows = [_paired("excess a year", *(YEAR * (r_D - b_D) for r_D, b_D in sides.values()))]
    for title, measure in (
        ("excess a year, geometric", metrics.geometric_excess),
        ("tracking error", metrics.tracking_error),
        ("information ratio", metrics.information_ratio),
        ("largest drawdown of the excess", metrics.excess_drawdown),
    ):
        rows.append(_single(title, [measure(*pair) for pair in sides.values()], found.height))
    rows.append(_single("turnover a year", [YEAR * float(found[f"turnover_{end}"].to_numpy().mean()) for end in sides], found.height))
    return [*rows, _single("costs a year", [_cost(found, end) for end in sides], found.height)]


def _cost(found: pl.DataFrame, end: str) -> float:
    """Of mean equity a year."""
    paid = sum(float(found[f"{name}_{end}"].to_numpy().sum()) for name in COSTS)
    return paid / float(found[f"nav_{end}"].to_numpy().mean()) / found.height * YEAR


def _paired(figure: str, a_D: Floats, b_D: Floats) -> Row:
    """Means on the days that both have, the difference with its interval."""
    both = np.isfinite(a_D) & np.isfinite(b_D)
    gap = difference(b_D, a_D)
    means = [float(values_D[both].mean()) if both.any() else float("nan") for values_D in (a_D, b_D)]
    return {"figure": figure, "A": means[0], "B": means[1], "B - A": gap.mean, "low": gap.low, "high": gap.high, "sessions": int(both.sum())}


def _single(figure: str, pair: Sequence[float], sessions: int) -> Row:
    one, other = pair
    return {"figure": figure, "A": one, "B": other, "B - A": other - one, "low": None, "high": None, "sessions": sessions}
