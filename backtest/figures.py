"""The plots of a report, as plain plotly specifications: {"data": [...], "layout": {...}} of lists, numbers and strings.

No plotly is imported here: the page draws them, and the tests let plotly check every one.  NaN is a gap.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from backtest import metrics
from backtest.fills import REASONS
from backtest.result import COSTS, Result
from data.panel import Floats

ACCENT, INK, SLATE, GREY, PALE = "#b3261e", "#1d2733", "#566270", "#8a94a0", "#e6e9ed"
SHADES = ("#b3261e", "#d9776f", "#8a94a0", "#c3c9d0", "#566270", "#e3b5b1")
DIVERGING = [[0.0, "#3c5a78"], [0.5, "#ffffff"], [1.0, ACCENT]]
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
Figure = dict[str, Any]


def wealth(dates: Sequence[date], series: Mapping[str, Floats]) -> Figure:
    """What 1 became, on a log scale: the first series is ours, the others are what it is measured against."""
    lines = [
        _line(dates, values, name, (ACCENT, INK, GREY)[min(i, 2)], width=(2.2, 1.4, 1.2)[min(i, 2)])
        for i, (name, values) in enumerate(series.items())
    ]
    return _figure(lines, yaxis={"type": "log", "tickformat": ".2f", "nticks": 8})


def excess(dates: Sequence[date], r_D: Floats, b_D: Floats) -> Figure:
    """Relative wealth above its drawdown."""
    relative = metrics.relative_wealth(r_D, b_D)
    above = _line(dates, relative - 1, "Excess, geometric", ACCENT, width=2.0)
    below = _line(dates, metrics.drawdown(relative), "Drawdown of the excess", GREY, width=1.0, fill="tozeroy", yaxis="y2")
    return _stacked([above, below], ".0%", ".1%")


def tracking(dates: Sequence[date], r_D: Floats, b_D: Floats, window: int, target: float | None) -> Figure:
    """Rolling tracking error, with its target, above the rolling information ratio."""
    te, ir = metrics.rolling(r_D, b_D, window)
    lines = [_line(dates, te, "Tracking error", ACCENT), _line(dates, ir, "Information ratio", INK, yaxis="y2")]
    if target is not None:
        lines.append(_line(dates, np.full(len(te), target), f"Target {target:.1%}", GREY, width=1.0, dash="dot"))
    figure = _stacked(lines, ".1%", ".1f", split=0.46)
    figure["layout"]["yaxis"]["rangemode"] = "tozero"
    return figure


def months(monthly: Mapping[tuple[int, int], float]) -> Figure:
    """Excess by month as a heatmap, a row a year, the year's compounded excess at the right."""
    years = sorted({year for year, _ in monthly}, reverse=True)
    rows, totals = [], []
    for year in years:
        row = [monthly.get((year, month), math.nan) for month in range(1, 13)]
        rows.append(row)
        totals.append(float(np.prod([1 + value for value in row if not math.isnan(value)])) - 1)
    largest = max([abs(value) for value in monthly.values()] or [0.01])
    data = [_heat(rows, list(MONTHS), years, largest), {**_heat([[total] for total in totals], ["Year"], years, 3 * largest), "xaxis": "x2"}]
    layout: dict[str, Any] = {
        "xaxis": {"domain": [0, 0.9], "side": "top", "showgrid": False, "fixedrange": True},
        "xaxis2": {"domain": [0.92, 1], "side": "top", "showgrid": False, "fixedrange": True, "anchor": "y"},
        "yaxis": {"type": "category", "showgrid": False, "fixedrange": True, "autorange": "reversed"},
        "hovermode": "closest",
    }
    return _figure(data, height=max(130, 60 + 34 * len(years)), **layout)


def ic(dates: Sequence[date], ic_D: Floats, window: int = 20) -> Figure:
    """The information coefficient of each session, its mean over `window` sessions, and its sum."""
    known = np.isfinite(ic_D)
    kept = [day for day, there in zip(dates, known, strict=True) if there]
    values = ic_D[known]
    mean = np.convolve(values, np.ones(window) / window, mode="valid") if len(values) >= window else np.empty(0)
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": _days(kept),
        "y": _numbers(values),
        "name": "IC",
        "marker": {"size": 3, "color": "#c3c9d0"},
        "hoverinfo": "skip",
    }
    lines = [points, _line(kept[len(kept) - len(mean) :], mean, f"Mean of {window} sessions", ACCENT, width=1.8)]
    lines.append(_line(kept, np.cumsum(values), "Sum", INK, width=1.4, yaxis="y2"))
    layout: dict[str, Any] = {
        "yaxis": {"tickformat": ".2f"},
        "yaxis2": {"overlaying": "y", "side": "right", "showgrid": False, "tickformat": ".0f", "tickmode": "auto", "nticks": 5},
    }
    return _figure(lines, **layout)


def decay(by_horizon: Mapping[int, float]) -> Figure:
    """Mean IC by horizon in sessions."""
    horizons = sorted(by_horizon)
    return _bars([str(horizon) for horizon in horizons], [by_horizon[horizon] for horizon in horizons], ".3f", "sessions ahead")


def quantiles(excess_Q: Sequence[float]) -> Figure:
    """Mean excess return a year of each quantile of the scores, worst first."""
    names = [str(i + 1) for i in range(len(excess_Q))]
    return _bars(
        names, list(excess_Q), ".1%", "quantile of the score, worst to best", [ACCENT if i == len(names) - 1 else GREY for i in range(len(names))]
    )


def turnover(result: Result) -> Figure:
    """Turnover of each month: (bought + sold) / 2 over equity."""
    by_month = _by_month(result.dates, result.turnover_D)
    return _figure([_bar(list(by_month), list(by_month.values()), "Turnover", SLATE)], yaxis={"tickformat": ".0%"}, xaxis={"type": "date"})


def costs(result: Result) -> Figure:
    """Costs of each month by kind, as a fraction of equity."""
    data = []
    for name, shade in zip(COSTS, SHADES, strict=False):
        by_month = _by_month(result.dates, result.costs_D[name] / result.nav_D)
        data.append(_bar(list(by_month), list(by_month.values()), name.replace("_", " ").capitalize(), shade))
    return _figure(data, barmode="stack", yaxis={"tickformat": ".2%"}, xaxis={"type": "date"})


def holdings(result: Result) -> Figure:
    """Names held above the share of cash."""
    names = _line(result.dates, result.holdings_D.astype(float), "Names held", ACCENT)
    cash = _line(result.dates, result.cash_D / result.nav_D, "Cash", GREY, width=1.0, fill="tozeroy", yaxis="y2")
    figure = _stacked([names, cash], ".0f", ".0%")
    figure["layout"]["yaxis"]["rangemode"] = "tozero"
    return figure


def fills(result: Result) -> Figure:
    """Orders of each quarter that weren't wholly filled, by reason."""
    refused = result.trades.filter(pl.col("reason").is_not_null()).with_columns(pl.col("date").dt.truncate("1q").alias("quarter"))
    counts = refused.group_by("quarter", "reason").len().sort("quarter", "reason")
    data = []
    for reason, shade in zip(REASONS[1:], SHADES, strict=True):
        rows = counts.filter(pl.col("reason") == reason)
        if rows.height:
            data.append(_bar([day.isoformat() for day in rows["quarter"]], rows["len"].to_list(), reason.replace("_", " "), shade))
    return _figure(data, barmode="stack", xaxis={"type": "date"}, yaxis={"tickformat": ",d"})


def _by_month(dates: Sequence[date], values_D: Floats) -> dict[str, float]:
    sums: dict[str, float] = {}
    for day, value in zip(dates, values_D.tolist(), strict=True):
        key = day.replace(day=1).isoformat()
        sums[key] = sums.get(key, 0.0) + value
    return sums


def _line(dates: Sequence[date], values_D: Floats, name: str, colour: str, *, width: float = 1.6, dash: str = "solid", **more: Any) -> Figure:
    line = {"color": colour, "width": width, "dash": dash}
    return {"type": "scatter", "mode": "lines", "x": _days(dates), "y": _numbers(values_D), "name": name, "line": line, **more}


def _bar(x: Sequence[Any], y: Sequence[float], name: str, colour: Any) -> Figure:
    return {"type": "bar", "x": list(x), "y": _numbers(y), "name": name, "marker": {"color": colour}}


def _bars(names: list[str], values: list[float], form: str, title: str, colours: Any = ACCENT) -> Figure:
    bar = {**_bar(names, values, "", colours), "texttemplate": f"%{{y:{form}}}", "textposition": "outside", "cliponaxis": False, "hoverinfo": "skip"}
    return _figure(
        [bar],
        bargap=0.45,
        showlegend=False,
        xaxis={"type": "category", "title": {"text": title}},
        yaxis={"tickformat": form, "showticklabels": False, "showgrid": False},
    )


def _heat(rows: list[list[float]], columns: list[str], years: list[int], largest: float) -> Figure:
    cells = [_numbers(row) for row in rows]
    text = [[f"{value:+.1%}" if value is not None else "" for value in row] for row in cells]
    scale = {"colorscale": DIVERGING, "zmin": -largest, "zmax": largest, "showscale": False}
    look = {"texttemplate": "%{text}", "xgap": 2, "ygap": 2, "hovertemplate": "%{y} %{x}: %{text}<extra></extra>"}
    return {"type": "heatmap", "z": cells, "x": columns, "y": [str(year) for year in years], "text": text, **scale, **look}


def _stacked(data: list[Figure], upper: str, lower: str, split: float = 0.32) -> Figure:
    """Two plots over one time axis; traces with yaxis y2 lie below."""
    layout: dict[str, Any] = {
        "yaxis": {"domain": [split + 0.06, 1], "tickformat": upper},
        "yaxis2": {"domain": [0, split], "tickformat": lower, "nticks": 4},
        "xaxis": {"anchor": "y2"},
    }
    return _figure(data, **layout)


def _figure(data: list[Figure], *, height: int = 320, **layout: Any) -> Figure:
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


def _days(dates: Sequence[date]) -> list[str]:
    return [day.isoformat() for day in dates]


def _numbers(values: Floats | Iterable[float]) -> list[float | None]:
    """Six significant digits, which no screen resolves; null where there is no number."""
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in values]
