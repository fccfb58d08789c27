"""The page of a sweep: heatmaps of what was tried, and how much of the best is luck.  JSON with the same numbers beside it."""

import json
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from backtest.report import breakdown
from backtest.report.document import write_whole
from backtest.report.labels import Lang, Words
from backtest.report.markup import Card, clean, form, paragraph, table, tiles, whole
from backtest.sweep import AXES, Sweep

SHOWN = {"information_ratio": "Information ratio", "excess_geometric": "Excess a year"}
ENOUGH = 0.95  # of the deflated Sharpe ratio
TOP = 10
COLUMNS = ("information_ratio", "excess_geometric", "tracking_error", "excess_max_drawdown", "turnover", "cost", "mean_holdings", "mean_cash")
HALVES = "Chosen on one half of the sessions, the best is in the worse half of all on the other in {probability} of {splits} splits."


def write_sweep(folder: Path, title: str, found: Sweep, *, facts: Mapping[str, str] | None = None, lang: Lang = "en") -> tuple[Path, Path]:
    """Write sweep.html and sweep.json into `folder` and return their paths.  facts: what else a reader must know, as text."""
    facts = facts or {}
    body = sweep_page(title, found, facts, Words(lang))
    numbers = json.dumps(clean(sweep_data(title, found, facts)), ensure_ascii=False, indent=1, allow_nan=False)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "sweep.html", body)
    write_whole(folder / "sweep.json", numbers)
    return folder / "sweep.html", folder / "sweep.json"


def sweep_data(title: str, found: Sweep, facts: Mapping[str, str]) -> dict[str, Any]:
    """Everything the page shows, for programs: a row a configuration, each plane of two axes, and the luck of the best."""
    overfit = found.overfit
    return {
        "title": title,
        "facts": dict(facts),
        "span": [found.dates[0].isoformat(), found.dates[-1].isoformat()],
        "configurations": found.frame.to_dicts(),
        "best": found.frame.row(found.best, named=True),
        "deflated_sharpe": found.deflated,
        "independent_trials": found.trials,
        "overfitting": None if overfit is None else {"probability": overfit.probability, "loss": overfit.loss, "slope": overfit.slope},
        "planes": [
            {"x": x, "y": y, "measure": measure, **dict(zip(("x_values", "y_values", "cells"), _listed(found, x, y, measure), strict=True))}
            for measure in SHOWN
            for x, y in _pairs(found)
        ],
    }


def sweep_page(title: str, found: Sweep, facts: Mapping[str, str], say: Words) -> str:
    """The whole page, which needs no network."""
    first, last = found.dates[0], found.dates[-1]
    lede = say(
        "{count} configurations over {sessions} sessions, {first} to {last}",
        count=found.frame.height,
        sessions=len(found.dates),
        first=first,
        last=last,
    )
    cards = [_luck(found, say), *_planes(found, say), *_rest(found, facts, say)]
    footer = say("A configuration that won a sweep is the luckiest of its kind until other dates confirm it.")
    return whole(title, lede, cards, top=_tiles(found, say), footer=footer, lang=say.lang)


def _tiles(found: Sweep, say: Words) -> str:
    best = found.frame.row(found.best, named=True)
    chance = float("nan") if found.overfit is None else found.overfit.probability
    shown = [
        (say("Best information ratio"), form(best["information_ratio"], ".2f")),
        (say("Median information ratio"), form(float(found.frame["information_ratio"].median() or np.nan), ".2f")),  # type: ignore[arg-type]
        (say("Its excess a year"), form(best["excess_geometric"], "+.2%")),
        (say("Deflated Sharpe ratio"), form(found.deflated, ".2f")),
        (say("Chance that it is overfitted"), form(chance, ".1%")),
        (say("Independent tries"), form(found.trials, ".1f")),
    ]
    return tiles(shown)


def _luck(found: Sweep, say: Words) -> Card:
    """Whether to believe the best."""
    verdict = say("above .95, what luck alone would hardly give.") if found.deflated > ENOUGH else say("below .95, so luck alone may have given it.")
    text = say(
        "The best of {count} configurations, worth {trials} independent tries, has a deflated Sharpe ratio of {deflated}: {verdict}",
        count=found.frame.height,
        trials=form(found.trials, ".1f"),
        deflated=form(found.deflated, ".3f"),
        verdict=verdict,
    )
    html = paragraph(text)
    if found.overfit is not None:
        chance, splits = form(found.overfit.probability, ".1%"), f"{len(found.overfit.logits):,}"
        html += paragraph(say(HALVES, probability=chance, splits=splits))
    return Card(say("How much of the best is luck"), "", html=html, wide=True)


def _planes(found: Sweep, say: Words) -> list[Card]:
    """A heatmap for each measure and pair of axes that vary."""
    cards = []
    for measure, label in SHOWN.items():
        for x, y in _pairs(found):
            names = {"measure": say(label), "x": say(breakdown.AXIS_NAMES[x]), "y": say(breakdown.AXIS_NAMES[y])}
            title = say("{measure}: {y} × {x}", **names)
            cards.append(Card(title, say("Mean over all else that was tried"), [breakdown.plane(found, x, y, measure, say)]))
    return cards


def _rest(found: Sweep, facts: Mapping[str, str], say: Words) -> list[Card]:
    """The distribution of the best one's rank, the best ten, and what else must be known."""
    cards = []
    if found.overfit is not None:
        note = say("logit of its relative rank over {splits} splits; at or below 0 it is in the worse half", splits=f"{len(found.overfit.logits):,}")
        cards.append(Card(say("Rank of the best in the other half"), note, [breakdown.logits(found.overfit, say)], wide=True))
    ranked = found.frame.sort("information_ratio", descending=True, nulls_last=True, maintain_order=True).head(TOP)
    forms = {"information_ratio": ".2f", "turnover": ".1f", "mean_holdings": ".0f"}
    rows = []
    for row in ranked.iter_rows(named=True):
        rows.append([*(breakdown.short(row[axis]) for axis in AXES), *(form(row[name], forms.get(name, ".2%")) for name in COLUMNS)])
    html = table([name.replace("_", " ") for name in (*AXES, *COLUMNS)], rows, texts=0)
    cards.append(Card(say("Best ten"), say("by information ratio, after costs"), html=html, wide=True))
    if facts:
        cards.append(Card(say("What was assumed"), "", html=table([], [[key, text] for key, text in facts.items()], words=True), wide=True))
    return cards


def _pairs(found: Sweep) -> list[tuple[Any, Any]]:
    """Every two axes that vary, the one with more values along x."""
    varied = [axis for axis in AXES if found.frame[axis].n_unique() > 1]
    return [(x, y) for y, x in combinations(varied, 2)]


def _listed(found: Sweep, x: Any, y: Any, measure: str) -> tuple[list[float], list[float], list[list[float]]]:
    xs, ys, cells = found.plane(x, y, measure)
    return xs, ys, cells.tolist()
