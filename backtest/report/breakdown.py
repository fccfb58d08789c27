"""Plots of where the excess came from, and of what was tried, as plain plotly specifications."""

from itertools import cycle

import numpy as np
import polars as pl

from backtest.attribution.parts import KINDS, Attribution, linked, links
from backtest.luck import Overfit
from backtest.report.labels import Words
from backtest.report.traces import ACCENT, COOL, GREY, INK, PALE, SHADES, SLATE, Figure, bar, figure, heat, line, numbers, stacked
from backtest.sweep import Axis, Sweep

LARGEST = 8  # industries and styles each way that are named
AXIS_NAMES: dict[Axis, str] = {
    "k": "names held",
    "buffer": "buffer, × names",
    "every": "sessions between looks",
    "cost_multiple": "costs, × the desk's",
    "cash": "capital, CNY",
}


def kind_names(say: Words) -> list[str]:
    """The kinds of parts as a reader knows them."""
    return [say.known(kind.replace("_", " ")) for kind in KINDS]


def waterfall(found: Attribution, say: Words) -> Figure:
    """The linked parts one after the other, costs by kind, up to the whole geometric excess."""
    parts_P = linked(found)
    of_kind = {kind: float(sum(value for (one, _), value in zip(found.parts, parts_P, strict=True) if one == kind)) for kind in KINDS[:-1]}
    costs = {name.replace("_", " "): float(value) for (kind, name), value in zip(found.parts, parts_P, strict=True) if kind == "cost" and value}
    steps = {kind.replace("_", " "): value for kind, value in of_kind.items() if value} | costs
    values = [*steps.values(), float(parts_P.sum())]
    trace = {
        "type": "waterfall",
        "x": [*(say.known(name) for name in steps), say("excess")],
        "y": numbers(values),
        "measure": ["relative"] * len(steps) + ["total"],
        "text": [f"{value:+.1%}".replace("-", "\u2212") for value in values],
        "textposition": "outside",
        "cliponaxis": False,
        "hoverinfo": "x+text",
        "increasing": {"marker": {"color": ACCENT}},
        "decreasing": {"marker": {"color": COOL}},
        "totals": {"marker": {"color": INK}},
        "connector": {"line": {"color": PALE, "width": 1}},
    }
    margin = {"l": 8, "r": 8, "t": 26, "b": 8}
    look = {"xaxis": {"type": "category"}, "yaxis": {"tickformat": ".0%"}, "margin": margin}
    return figure([trace], height=340, showlegend=False, hovermode="closest", bargap=0.35, **look)


def through_time(found: Attribution, say: Words) -> Figure:
    """Each kind's linked parts added up session by session; the lines end where the waterfall says."""
    path_DK = np.cumsum(links(found.kinds), axis=0)
    lines = [line(found.dates, path_DK.sum(axis=1), say("excess"), INK, width=2.2)]
    for k, (name, shade) in enumerate(zip(kind_names(say), cycle(SHADES))):
        if np.any(path_DK[:, k] != 0):
            dash = "solid" if k < len(SHADES) // 2 else "dot"
            lines.append(line(found.dates, path_DK[:, k], name, shade, width=1.3, dash=dash))
    return figure(lines, height=360, yaxis={"tickformat": ".0%"})


def groups(found: Attribution, say: Words) -> Figure | None:
    """The industries and styles that made and lost most, linked; None where none is known."""
    named = [
        (name, value) for (kind, name), value in zip(found.parts, linked(found).tolist(), strict=True) if kind in ("industry", "style") and value
    ]
    if not named:
        return None
    ranked = sorted(named, key=lambda one: (one[1], one[0]))
    shown = ranked if len(ranked) <= 2 * LARGEST else ranked[:LARGEST] + ranked[-LARGEST:]
    values = [value for _, value in shown]
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": numbers(values),
        "y": [say.known(name) for name, _ in shown],
        "text": [f"{value:+.2%}".replace("-", "\u2212") for value in values],
        "textposition": "auto",
        "hoverinfo": "y+text",
        "marker": {"color": [ACCENT if value > 0 else COOL for value in values]},
    }
    rows = {"type": "category", "showgrid": False, "tickmode": "linear", "ticks": ""}
    return figure([trace], height=60 + 22 * len(shown), showlegend=False, hovermode="closest", yaxis=rows, xaxis={"tickformat": ".1%", "nticks": 6})


def capacity(tried: pl.DataFrame, say: Words) -> Figure:
    """Net excess above costs and idle cash, by what the account starts with; columns cash, excess_geometric, cost, mean_cash."""
    amounts = tried["cash"].to_list()

    def curve(column: str, label: str, shade: str, **more: str) -> Figure:
        y = numbers(tried[column].to_list())
        return {"type": "scatter", "mode": "lines+markers", "x": amounts, "y": y, "name": say(label), "line": {"color": shade}, **more}

    excess = curve("excess_geometric", "Excess a year, net", ACCENT)
    below = [curve("cost", "Costs a year", SLATE, yaxis="y2"), curve("mean_cash", "Cash not invested", GREY, yaxis="y2")]
    spec = stacked([excess, *below], ".1%", ".1%")
    title = {"text": say("CNY"), "font": {"size": 12}}
    spec["layout"]["xaxis"] |= {"type": "log", "title": title, "tickvals": amounts, "ticktext": [short(value) for value in amounts]}
    return spec


def plane(found: Sweep, x: Axis, y: Axis, measure: str, say: Words) -> Figure:
    """A measure over two axes of a sweep, the mean over the others."""
    xs, ys, cells = found.plane(x, y, measure)
    largest = float(np.nanmax(np.abs(cells), initial=1e-9))
    form = ".2f" if measure in ("information_ratio", "sharpe", "turnover") else ".1%"
    trace = heat(cells.tolist(), [short(value) for value in xs], [short(value) for value in ys], largest, form=f"+{form}")
    axis = {"type": "category", "showgrid": False, "ticks": ""}
    below = {**axis, "title": {"text": say(AXIS_NAMES[x]), "font": {"size": 12}}}
    beside = {**axis, "autorange": "reversed", "title": {"text": say(AXIS_NAMES[y]), "font": {"size": 12}}}
    return figure([trace], height=90 + 40 * len(ys), hovermode="closest", xaxis=below, yaxis=beside)


def logits(found: Overfit, say: Words, bins: int = 40) -> Figure:
    """How often the best of one half of the sessions ranked where in the other; 0 is the middle."""
    counts, edges = np.histogram(found.logits, bins=bins)
    middle = (edges[1:] + edges[:-1]) / 2
    trace = bar(numbers(middle), counts.astype(float), say("Splits"), [COOL if x <= 0 else ACCENT for x in middle])
    return figure(
        [trace], showlegend=False, bargap=0.05, yaxis={"tickformat": "~s"}, xaxis={"zeroline": True, "title": {"text": "logit", "font": {"size": 12}}}
    )


def short(value: float) -> str:
    """A number as an axis writes it: 50, 1.5, 100M."""
    for size, sign in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 10 * size or (abs(value) >= size and value % size == 0 and size > 1e3):
            return f"{value / size:g}{sign}"
    return f"{value:g}"
