"""Facing: the page of two runs beside each other, self-contained, in the look of the report."""

import math
from typing import Any

import numpy as np
import polars as pl

from backtest.metrics import drawdown, relative_wealth
from backtest.report.labels import ENGLISH, Words
from backtest.report.markup import Card, form, table, tiles, whole
from backtest.report.traces import ACCENT, COOL, GREY, Figure, figure, line, stacked
from data.panel import Floats
from pipelines.contrast import Contrast, Row

RATIOS = ("RankIC", "IC")  # figures that aren't percentages, by how they begin
LONG = 90  # characters of a setting


def page(found: Contrast, say: Words = ENGLISH) -> str:
    """The whole page, which needs no network."""
    rows, (first, last) = found.figures(), found.span
    cards = [*_curves(found, say), *_learnt(found, say), _figures(rows, say), _settings(found, say)]
    lede = say("A: {a} · B: {b} · {first} to {last}, the dates that both have", a=found.a.name, b=found.b.name, first=first, last=last)
    footer = say(
        "Intervals of 95 %: circular block bootstrap of paired days, blocks of 20 sessions. What was is no promise and no investment advice."
    )
    title = say("{a} and {b}", a=_short(found, "a"), b=_short(found, "b"))
    return whole(title, lede, cards, top=_top(rows, found.a.horizon, say), footer=footer, lang=say.lang)


def _short(found: Contrast, end: str) -> str:
    """The model, with its run where both have the same name."""
    side = found.a if end == "a" else found.b
    return side.model if found.a.model != found.b.model else side.name


def _named(figure: str, say: Words) -> str:
    """A figure's name; "RankIC, 5 sessions" has its horizon in it."""
    measure, comma, span = figure.partition(", ")
    horizon = span.removesuffix(" sessions")
    return say("{measure}, {horizon} sessions", measure=measure, horizon=horizon) if comma and horizon != span else say(figure)


def _top(rows: list[Row], horizon: int, say: Words) -> str:
    """The figures that a reader looks for first."""
    shown: list[tuple[str, str]] = []
    for row in rows:
        if row["figure"] in ("excess a year", f"RankIC, {horizon} sessions"):
            pattern, name = _pattern(row["figure"]), _named(row["figure"], say)
            shown += [(f"{name}, {end}", form(row[end], pattern)) for end in ("A", "B")]
            shown.append((say("{name}, B − A, 95 %: {interval}", name=name, interval=_interval(row)), form(row["B - A"], pattern)))
    return tiles(shown)


def _curves(found: Contrast, say: Words) -> list[Card]:
    """What was left over the benchmark, and B over A."""
    if found.accounts is None:
        return []
    frame = found.accounts
    dates = frame["date"].to_list()
    a_D, b_D = (_relative(frame, end) for end in ("a", "b"))
    apart_D = b_D / a_D - 1
    lines = [line(dates, a_D - 1, f"A {_short(found, 'a')}", COOL, width=2.0), line(dates, b_D - 1, f"B {_short(found, 'b')}", ACCENT, width=2.0)]
    lines.append(line(dates, apart_D, say("B over A"), GREY, width=1.4, fill="tozeroy", yaxis="y2"))
    note = say("net of costs, over the benchmark with dividends; below, what B is ahead of A")
    falls = [line(dates, drawdown(values_D), end, colour) for values_D, end, colour in ((a_D, "A", COOL), (b_D, "B", ACCENT))]
    return [
        Card(say("Excess"), note, [_tall(stacked(lines, ".0%", ".1%"))], wide=True),
        Card(say("Drawdowns of the excess"), say("from the highest so far"), [figure(falls, yaxis={"tickformat": ".0%"})]),
    ]


def _relative(frame: pl.DataFrame, end: str) -> Floats:
    return relative_wealth(frame[f"return_{end}"].to_numpy(), frame[f"benchmark_return_{end}"].to_numpy())


def _tall(spec: Figure) -> Figure:
    spec["layout"]["height"] = 420
    return spec


def _learnt(found: Contrast, say: Words) -> list[Card]:
    """Running sums of the daily RankIC."""
    if found.correlations is None:
        return []
    horizon = found.a.horizon
    part = found.correlations.filter(pl.col("horizon") == horizon)
    if part.is_empty():
        return []
    dates = part["date"].to_list()
    sums = [np.cumsum(np.nan_to_num(part[f"rank_ic_{end}"].to_numpy())) for end in ("a", "b")]
    lines = [line(dates, sums[0], "A", COOL), line(dates, sums[1], "B", ACCENT)]
    return [Card("RankIC", say("running sum of the daily ones, {horizon} sessions", horizon=horizon), [figure(lines, yaxis={"tickformat": "~g"})])]


def _figures(rows: list[Row], say: Words) -> Card:
    heads = ["", "A", "B", "B − A", say("95 % interval"), say("Sessions")]
    cells = []
    for row in rows:
        pattern = _pattern(row["figure"])
        numbers = [form(row[end], pattern) for end in ("A", "B", "B - A")]
        cells.append([_named(row["figure"], say), *numbers, _interval(row), f"{row['sessions']:,}"])
    note = say("on the dates that both have; an interval without 0 is a difference that luck hardly makes")
    return Card(say("Figures"), note, html=table(heads, cells), wide=True)


def _settings(found: Contrast, say: Words) -> Card:
    rows = [[row["setting"], _cut(row["A"]), _cut(row["B"])] for row in found.settings()]
    html = table([say("Setting"), "A", "B"], rows, words=True, texts=3) if rows else f"<p class='plain'>{say('None.')}</p>"
    return Card(say("What sets them apart"), say("settings, versions of the tables, commit of the code"), html=html, wide=True)


def _cut(text: str) -> str:
    return text if len(text) <= LONG else text[:LONG] + " …"


def _pattern(name: str) -> str:
    if name.startswith(RATIOS):
        return "+.4f"
    return {"information ratio": "+.2f", "turnover a year": ".1f"}.get(name, "+.2%" if "excess" in name else ".2%")


def _interval(row: dict[str, Any]) -> str:
    if row["low"] is None or not math.isfinite(row["low"]):
        return ""
    pattern = _pattern(row["figure"])
    return f"{form(row['low'], pattern)} … {form(row['high'], pattern)}"
