"""Evaluate factors of a lake: rows for the terminal, a tear sheet as one HTML page and JSON."""

from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import KestrelError
from data.lake import Lake
from data.panel import Axes, Floats
from data.progress import Track, silent
from factors.build import choose
from factors.build import values as computed
from factors.clean import CleanSettings
from factors.combine import CombineSettings, Mixture, Weighing, daily_rank_ics, normal_scores, walk
from factors.evaluate import EvaluateSettings, Evaluation, Judge
from factors.expressions import Expr
from factors.formula import parse
from factors.registry import quickly, select
from factors.trials import benjamini_yekutieli, bonferroni, holm
from pipelines.build import Asked, asked, current_factors
from pipelines.config import Config
from pipelines.ground import HORIZONS, Columns, Ground, ground
from pipelines.holdout import seen
from pipelines.ledger import Ledger
from pipelines.prepare import Cleaner, chosen_names, digest
from pipelines.tearsheet.document import write_sheet

FACTOR = "factor"  # what the ledger calls these ideas
# What the terminal shows of a row; --json and the page have all of it.
SHOWN = ["factor", "rank_ic", "rank_icir", "t", "p_by", "ic", "spread", "spread_net", "turnover", "half_life", "monotonicity"]
SHOWN += ["coverage", "capacity", "closest"]


@dataclass(frozen=True)
class Judgement:
    """rows: one a factor, best first.  page: the HTML, its JSON beside it.  tries: ideas judged so far on overlapping dates, these included."""

    rows: list[dict[str, Any]]
    page: Path
    tries: int


def evaluate(
    lake: Lake,
    config: Config,
    names: Sequence[str] = (),
    *,
    texts: Sequence[str] = (),
    start: datetime | None = None,
    end: datetime | None = None,
    neutral: Sequence[str] = (),
    entry: str | None = None,
    combined: Sequence[Weighing] = (),
    cost: float | None = None,
    top: int = 10,
    track: Track = silent,
) -> Judgement:
    """Judge factors of the lake's table (none named: all that models read) and write their tear sheet.

    texts: expressions to judge too, as a user writes them (factors/formula.py); with them and no names, they alone.  neutral: factors and
    "industry" that they are made neutral to first.  combined: ways to weigh them into one more factor each.  cost: of a trade, a fraction
    a side.  top: how many of the strongest get a sheet of their own on the page.  Raises KestrelError for factors or sessions that the
    lake hasn't got.
    """
    lake = seen(lake, config.holdout)
    key = current_factors(lake)
    there = [name for name in lake.scan("factors").collect_schema().names() if name not in ("date", "symbol")]
    written = [parse(text) for text in texts]
    wanted = [factor.name for factor in select(names)] if names else [] if written else chosen_names(config, there)
    missing = [name for name in wanted if name not in there]
    if missing:
        raise KestrelError(f"This lake has no {', '.join(missing)}. What each factor needs: kestrel factors list")
    settings = config.factors.judge if cost is None else config.factors.judge.model_copy(update={"cost": cost})
    days = {"start": start.date() if start else None, "end": end.date() if end else None}
    here = ground(lake, config, settings, **days, entry=entry, past=bool(combined))
    cleaning = config.factors.clean.model_copy(update={"neutralise": tuple(neutral)})
    values = ChainMap(quick(lake, asked(config), written, here.axes, cleaning), Columns(lake, wanted, here.axes, cleaning))  # type: ignore[arg-type]
    other = {"entry": here.entry} | cleaning.model_dump(exclude={"neutralise"}, exclude_defaults=True)
    made = f"{key[:10]}:{','.join(neutral)}:{digest(other)}"
    return judge(values, here, config, {name: f"{name}:{made}" for name in values}, combined=combined, top=top, settings=settings, track=track)


def quick(lake: Lake, wanted: Asked, expressions: Sequence[Expr], axes: Axes, cleaning: CleanSettings) -> dict[str, NDArray[np.floating]]:
    """{definition: [D, N]} of expressions, computed over the lake's whole history and cleaned as its factors are.

    Raises KestrelError for one that the registry would refuse, or that the lake can't feed.
    """
    if not expressions:
        return {}
    panel = wanted.panel(lake)
    factors = [quickly(expr, lake.price_basis) for expr in expressions]
    refused = choose(factors, panel, lake.price_basis).unavailable
    if refused:
        raise KestrelError("; ".join(f"{name} {why}" for name, why in refused.items()) + ". See: kestrel data show")
    rows = slice(panel.axes.index(axes.dates[0]), panel.axes.index(axes.dates[-1]) + 1)
    columns = np.searchsorted(np.array(panel.axes.symbols), np.array(axes.symbols))
    found = {name: whole_DN[rows][:, columns] for name, whole_DN in computed(factors, panel).items()}
    return found if cleaning.idle else {name: Cleaner(cleaning, lake, axes)(name, values) for name, values in found.items()}


def judge(
    values: Mapping[str, NDArray[np.floating]],
    here: Ground,
    config: Config,
    ideas: Mapping[str, str],
    *,
    combined: Sequence[Weighing] = (),
    top: int = 10,
    settings: EvaluateSettings | None = None,
    track: Track = silent,
) -> Judgement:
    """Judge factors from anywhere, {name: [D, N]} over the ground's axes.

    ideas: what the ledger calls each; the same name again is the same try.  A factor is asked for again where it is combined.
    """
    settings, part = settings or EvaluateSettings(), here.judged
    weights = weighed(values, here, settings, [config.factors.combine.model_copy(update={"weighing": way}) for way in combined], track=track)
    present_DN = here.present_DN[part]
    mixtures = {f"combined:{way}": Mixture(weights_DF[part], present_DN.shape) for way, weights_DF in weights.items()}
    judged = Judge(here.y_DNH[part], HORIZONS, present_DN, here.dates, around=here.around, settings=settings)
    sheets = {}
    for name in track(list(values), "evaluate"):
        values_DN = values[name][part]
        sheets[name] = judged(values_DN, name)
        if mixtures:
            scores_DN = normal_scores(values_DN, present_DN)
            for mixture in mixtures.values():
                mixture.add(scores_DN)
    sheets |= {name: judged(mixture.values_DN, name) for name, mixture in mixtures.items()}
    found = Evaluation(here.dates, settings, sheets)
    ideas = {**ideas, **{name: f"{name}:{digest(dict(ideas))}" for name in mixtures}}
    rows, tries = counted(table(found), ideas, Ledger(Path(config.runs) / "ledger.db"), here)
    name = f"factors-{digest({'ideas': ideas, 'span': [here.dates[0], here.dates[-1]], 'settings': settings.model_dump()})}"
    page = write_sheet(Path(config.runs) / name, found, rows, tries=tries, remarks=here.remarks, top=top)
    return Judgement(rows, page, tries)


def weighed(
    values: Mapping[str, NDArray[np.floating]], here: Ground, settings: EvaluateSettings, ways: Sequence[CombineSettings], *, track: Track = silent
) -> dict[Weighing, Floats]:
    """{way: weights [D, F]} of the factors at each close of the ground, by their RankICs that were known by then."""
    if not ways:
        return {}
    y_DN = np.where(here.present_DN, here.y_DNH[..., HORIZONS.index(settings.main)], np.nan)
    ic_DF = daily_rank_ics(values, y_DN, track=track)
    return {way.weighing: walk(ic_DF, way, reach=here.reach) for way in ways}


def table(found: Evaluation) -> list[dict[str, Any]]:
    """One row a factor: its figures at the main horizon, RankIC along the others, and the factor most like it; best first."""
    rows = []
    for name, sheet in found.sheets.items():
        main = {key: value for key, value in found.main(name).items() if key != "horizon"}
        decay = {f"rank_ic_{row['horizon']}": row["rank_ic"] for row in sheet.horizons if row["horizon"] != found.settings.main}
        likest = next(((key, value) for key, value in sheet.closest.items()), None)
        rows.append({"factor": name, **main, **decay, "closest": f"{likest[0]} {likest[1]:+.2f}" if likest else ""})
    return sorted(rows, key=lambda row: -abs(row["rank_ic"]) if np.isfinite(row["rank_ic"]) else 0)


def shown(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the terminal has room for; the half-life in whole sessions, capacity in millions of CNY."""
    whole = {"half_life": 1.0, "capacity": 1e6}
    rounded = [{key: round(row[key] / unit) if np.isfinite(row[key]) else None for key, unit in whole.items()} for row in rows]
    return [{key: few.get(key, row[key]) for key in SHOWN} for row, few in zip(rows, rounded, strict=True)]


def counted(rows: list[dict[str, Any]], ideas: Mapping[str, str], ledger: Ledger, here: Ground) -> tuple[list[dict[str, Any]], int]:
    """(rows with their p-values adjusted for every idea that was ever judged on overlapping dates, how many these are)."""
    own = {(FACTOR, ideas[row["factor"]]): row["p"] for row in rows}
    ledger.record(FACTOR, [idea for _, idea in own], here.dates[0], here.dates[-1], list(own.values()))
    tries = {**ledger.tries(here.dates[0], here.dates[-1]), **own}
    p_K, places = np.array(list(tries.values())), {key: place for place, key in enumerate(tries)}
    adjusted = {"p_bonferroni": bonferroni(p_K), "p_holm": holm(p_K), "p_by": benjamini_yekutieli(p_K)}
    found = [{**row, **{name: float(values[places[key]]) for name, values in adjusted.items()}} for row, key in zip(rows, own, strict=True)]
    return found, len(tries)
