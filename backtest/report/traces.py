"""Lines, bars and layouts as plain plotly specifications, in one look: what the figures of a report are drawn with.

No plotly is imported here: the page draws them, and the tests let plotly check every one.  NaN is a gap.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from data.panel import Floats

ACCENT, INK, SLATE, GREY, PALE = "#b3261e", "#1d2733", "#566270", "#8a94a0", "#e6e9ed"
COOL = "#3c5a78"
SHADES = (ACCENT, "#d9776f", GREY, "#c3c9d0", SLATE, "#e3b5b1", "#8fa3b5")
DIVERGING = [[0.0, COOL], [0.5, "#ffffff"], [1.0, ACCENT]]
Figure = dict[str, Any]


def line(dates: Sequence[date], values_D: Floats, name: str, colour: str, *, width: float = 1.6, dash: str = "solid", **more: Any) -> Figure:
    """A line over time."""
    look = {"color": colour, "width": width, "dash": dash}
    return {"type": "scatter", "mode": "lines", "x": days(dates), "y": numbers(values_D), "name": name, "line": look, **more}


def bar(x: Sequence[Any], y: Iterable[float], name: str, colour: Any) -> Figure:
    """Bars of one kind."""
    return {"type": "bar", "x": list(x), "y": numbers(y), "name": name, "marker": {"color": colour}}


def bars(names: list[str], values: list[float], form: str, title: str, colours: Any = ACCENT) -> Figure:
    """A figure of a few bars with their values written on them."""
    look = {"texttemplate": f"%{{y:{form}}}", "textposition": "outside", "cliponaxis": False, "hoverinfo": "skip"}
    return figure(
        [{**bar(names, values, "", colours), **look}],
        bargap=0.45,
        showlegend=False,
        xaxis={"type": "category", "title": {"text": title, "font": {"size": 12}}},
        yaxis={"tickformat": form, "showticklabels": False, "showgrid": False},
    )


def heat(rows: Sequence[Iterable[float]], columns: Sequence[str], names: Sequence[str], largest: float, *, written: bool = True) -> Figure:
    """Cells of fractions between -largest and largest, `written` as per cent into them or only shown under the pointer."""
    cells = [numbers(row) for row in rows]
    text = [[f"{value:+.1%}".replace("-", "\u2212") if value is not None else "" for value in row] for row in cells]
    scale = {"colorscale": DIVERGING, "zmin": -largest, "zmax": largest, "showscale": False}
    look = {"texttemplate": "%{text}", "xgap": 2, "ygap": 2} if written else {"ygap": 1}
    hover = {"text": text, "hovertemplate": "%{y} %{x}: %{text}<extra></extra>"}
    return {"type": "heatmap", "z": cells, "x": list(columns), "y": list(names), **hover, **scale, **look}


def stacked(data: list[Figure], upper: str, lower: str, split: float = 0.32) -> Figure:
    """Two plots over one time axis; traces with yaxis y2 lie below."""
    layout: dict[str, Any] = {
        "yaxis": {"domain": [split + 0.06, 1], "tickformat": upper},
        "yaxis2": {"domain": [0, split], "tickformat": lower, "nticks": 4},
        "xaxis": {"anchor": "y2"},
    }
    return figure(data, **layout)


def figure(data: list[Figure], *, height: int = 320, **layout: Any) -> Figure:
    """Traces with the report's layout and what `layout` changes of it."""
    axis = {"gridcolor": PALE, "zerolinecolor": "#c3c9d0", "linecolor": "#c3c9d0", "automargin": True}
    base: Figure = {
        "height": height,
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "inherit", "size": 12, "color": INK},
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "#ffffff", "bordercolor": PALE},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "bargap": 0.15,
    }
    axes = {name: {**axis, **({"showgrid": False} if name == "xaxis" else {}), **layout.pop(name, {})} for name in ("xaxis", "yaxis")}
    axes |= {name: {**axis, **layout.pop(name)} for name in ("xaxis2", "yaxis2") if name in layout}
    return {"data": data, "layout": {**base, **axes, **layout}}


def days(dates: Sequence[date]) -> list[str]:
    """ISO dates."""
    return [day.isoformat() for day in dates]


def numbers(values: Floats | Iterable[float]) -> list[float | None]:
    """Six significant digits, which no screen resolves; null where there is no number."""
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in values]
