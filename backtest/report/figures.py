"""The plots of a report, as plain plotly specifications: {"data": [...], "layout": {...}} of lists, numbers and strings."""

import math
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import cycle
from typing import Any

import numpy as np

from backtest import metrics
from backtest.exposures import CASH, UNKNOWN, Exposures
from backtest.fills import REASONS
from backtest.report.labels import ENGLISH, Words
from backtest.report.tallies import unfilled_by_quarter
from backtest.report.traces import ACCENT, COOL, GREY, INK, SHADES, SLATE, Figure, bar, bars, days, figure, heat, line, numbers, stacked
from backtest.result import COSTS, Result
from data.panel import Floats

INDUSTRIES = 8  # largest over- and underweights each that a plot of industries names


def wealth(dates: Sequence[date], series: Mapping[str, Floats]) -> Figure:
    """What 1 became, on a log scale: the first series is ours, the others are what it is measured against."""
    lines = [
        line(dates, values, name, (ACCENT, INK, GREY)[min(i, 2)], width=(2.2, 1.4, 1.2)[min(i, 2)]) for i, (name, values) in enumerate(series.items())
    ]
    return figure(lines, yaxis={"type": "log", "tickformat": ".2f", "nticks": 8})


def excess(dates: Sequence[date], r_D: Floats, b_D: Floats, say: Words = ENGLISH) -> Figure:
    """Relative wealth above its drawdown."""
    relative = metrics.relative_wealth(r_D, b_D)
    above = line(dates, relative - 1, say("Excess, geometric"), ACCENT, width=2.0)
    below = line(dates, metrics.drawdown(relative), say("Drawdown of the excess"), GREY, width=1.0, fill="tozeroy", yaxis="y2")
    return stacked([above, below], ".0%", ".1%")


def tracking(dates: Sequence[date], r_D: Floats, b_D: Floats, window: int, target: float | None, say: Words = ENGLISH) -> Figure:
    """Rolling tracking error, with its target, above the rolling information ratio."""
    te, ir = metrics.rolling(r_D, b_D, window)
    lines = [line(dates, te, say("Tracking error"), ACCENT), line(dates, ir, say("Information ratio"), INK, yaxis="y2")]
    if target is not None:
        lines.append(line(dates, np.full(len(te), target), say("Target {target}", target=f"{target:.1%}"), GREY, width=1.0, dash="dot"))
    spec = stacked(lines, ".1%", ".1f", split=0.46)
    spec["layout"]["yaxis"]["rangemode"] = "tozero"
    return spec


def months(monthly: Mapping[tuple[int, int], float], say: Words = ENGLISH) -> Figure:
    """Excess by month as a heatmap, a row a year, the year's compounded excess at the right."""
    years = sorted({year for year, _ in monthly}, reverse=True)
    rows, totals = [], []
    for year in years:
        row = [monthly.get((year, month), math.nan) for month in range(1, 13)]
        rows.append(row)
        totals.append(float(np.prod([1 + value for value in row if not math.isnan(value)])) - 1)
    largest = max([abs(value) for value in monthly.values()] or [0.01])
    names = [str(year) for year in years]
    data = [heat(rows, say.months(), names, largest), {**heat([[total] for total in totals], [say("Year")], names, 3 * largest), "xaxis": "x2"}]
    layout: dict[str, Any] = {
        "xaxis": {"domain": [0, 0.88], "side": "top", "tickangle": 0, "showgrid": False, "fixedrange": True, "ticks": ""},
        "xaxis2": {"domain": [0.9, 1], "side": "top", "showgrid": False, "fixedrange": True, "ticks": "", "anchor": "y"},
        "yaxis": {"type": "category", "showgrid": False, "fixedrange": True, "ticks": "", "autorange": "reversed"},
        "hovermode": "closest",
    }
    return figure(data, height=max(130, 60 + 34 * len(years)), **layout)


def ic(dates: Sequence[date], ic_D: Floats, window: int = 20, say: Words = ENGLISH) -> Figure:
    """The information coefficient of each session, its mean over `window` sessions, and its sum."""
    known = np.isfinite(ic_D)
    kept = [day for day, there in zip(dates, known, strict=True) if there]
    values = ic_D[known]
    mean = np.convolve(values, np.ones(window) / window, mode="valid") if len(values) >= window else np.empty(0)
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": days(kept),
        "y": numbers(values),
        "name": say("IC"),
        "marker": {"size": 3, "color": "#c3c9d0"},
        "hoverinfo": "skip",
    }
    traces = [points, line(kept[len(kept) - len(mean) :], mean, say("Mean of {window} sessions", window=window), ACCENT, width=1.8)]
    traces.append(line(kept, np.cumsum(values), say("Sum, at the right"), INK, width=1.4, yaxis="y2"))
    layout: dict[str, Any] = {
        "yaxis": {"tickformat": ".2f"},
        "yaxis2": {"overlaying": "y", "side": "right", "showgrid": False, "zeroline": False, "tickformat": "~g", "tickmode": "auto", "nticks": 5},
        "xaxis": {"range": days([kept[0], kept[-1]])} if kept else {},
    }
    return figure(traces, **layout)


def decay(by_horizon: Mapping[int, float], say: Words = ENGLISH) -> Figure:
    """Mean IC by horizon in sessions."""
    horizons = sorted(by_horizon)
    return bars([str(horizon) for horizon in horizons], [by_horizon[horizon] for horizon in horizons], ".3f", say("sessions ahead"))


def quantiles(excess_Q: Sequence[float], say: Words = ENGLISH) -> Figure:
    """Mean excess return a year of each quantile of the scores, worst first."""
    names = [str(i + 1) for i in range(len(excess_Q))]
    colours = [ACCENT if i == len(names) - 1 else GREY for i in range(len(names))]
    return bars(names, list(excess_Q), ".1%", say("quantile of the score, worst to best"), colours)


def turnover(result: Result, say: Words = ENGLISH) -> Figure:
    """Turnover of each month: (bought + sold) / 2 over equity."""
    by_month = _by_month(result.dates, result.turnover_D)
    return figure([bar(list(by_month), list(by_month.values()), say("Turnover"), SLATE)], yaxis={"tickformat": ".0%"}, xaxis={"type": "date"})


def costs(result: Result, say: Words = ENGLISH) -> Figure:
    """Costs of each month by kind, as a fraction of equity; kinds that cost nothing are left out."""
    data = []
    for name, shade in zip([name for name in COSTS if result.costs_D[name].any()], cycle(SHADES)):
        by_month = _by_month(result.dates, result.costs_D[name] / result.nav_D)
        data.append(bar(list(by_month), list(by_month.values()), say.known(name.replace("_", " ")), shade))
    return figure(data, barmode="stack", yaxis={"tickformat": ".2%"}, xaxis={"type": "date"})


def holdings(result: Result, say: Words = ENGLISH) -> Figure:
    """Names held above the share of cash."""
    names = line(result.dates, result.holdings_D.astype(float), say("Names held"), ACCENT)
    cash = line(result.dates, result.cash_D / result.nav_D, say("Cash"), GREY, width=1.0, fill="tozeroy", yaxis="y2")
    spec = stacked([names, cash], ".0f", ".0%")
    spec["layout"]["yaxis"]["rangemode"] = "tozero"
    return spec


def unfilled(result: Result, say: Words = ENGLISH) -> Figure:
    """What was ordered in each quarter and not filled, by reason, as a part of the value ordered."""
    lost = unfilled_by_quarter(result)
    data = []
    for reason, shade in zip(REASONS[1:], cycle(SHADES)):
        rows = lost.filter((lost["reason"] == reason) & (lost["lost"] > 0))
        if rows.height:
            data.append(bar(days(rows["quarter"].to_list()), rows["lost"].to_list(), say.known(reason.replace("_", " ")), shade))
    quarters = sorted({day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1) for day in result.dates})
    labels = {"tickmode": "array", "tickvals": days(quarters), "ticktext": [f"{day.year} Q{day.month // 3 + 1}" for day in quarters]}
    few = labels if len(quarters) <= 6 else {}
    return figure(data, barmode="stack", showlegend=True, xaxis={"type": "date", **few}, yaxis={"tickformat": ".1%", "rangemode": "tozero"})


def style(dates: Sequence[date], exposure_D: Floats, largest: float, say: Words = ENGLISH) -> Figure:
    """One style's active exposure through time, within -largest … largest deviations: one of several small plots beside each other."""
    trace = line(dates, exposure_D, say("active"), ACCENT, width=1.4, fill="tozeroy", fillcolor="rgba(179,38,30,0.10)")
    yaxis = {"range": [-largest, largest], "tickformat": ".1f", "nticks": 5, "zerolinecolor": GREY}
    return figure([trace], height=150, showlegend=False, yaxis=yaxis, xaxis={"nticks": 4})


def industries(found: Exposures, say: Words = ENGLISH) -> tuple[Figure, Figure]:
    """(active weights at the last close with their means, the same through time by month), the largest over- and underweights in both."""
    means_G = _means(found.industry_DG)
    last_G = found.industry_DG[-1] if np.isfinite(found.industry_DG[-1]).all() else means_G
    order = np.lexsort((np.arange(len(last_G)), last_G))
    shown = order if len(order) <= 2 * INDUSTRIES else np.concatenate([order[:INDUSTRIES], order[-INDUSTRIES:]])
    plain = [found.industries[g] for g in shown]
    names = [say.known(name) for name in plain]
    colours = [GREY if name in (CASH, UNKNOWN) else ACCENT if last_G[g] > 0 else COOL for name, g in zip(plain, shown, strict=True)]
    now = {"type": "bar", "orientation": "h", "x": numbers(last_G[shown]), "y": names, "name": say("last close"), "marker": {"color": colours}}
    mark = {"symbol": "diamond", "size": 7, "color": INK}
    mean = {"type": "scatter", "mode": "markers", "x": numbers(means_G[shown]), "y": names, "name": say("mean"), "marker": mark}
    rows = {"type": "category", "showgrid": False, "tickmode": "linear", "ticks": ""}
    look: dict[str, Any] = {"height": 60 + 22 * len(names), "hovermode": "closest", "showlegend": False, "yaxis": rows}
    bars_now = figure([now, mean], **look, xaxis={"tickformat": "~%", "showgrid": True, "nticks": 8})
    starts, table = _month_ends(found.dates, found.industry_DG[:, shown])
    true = np.array([name not in (CASH, UNKNOWN) for name in plain])
    largest = float(np.max(np.nan_to_num(np.abs(table[:, true])), initial=0.001))  # cash would pale the industries
    cells = heat(table.T.tolist(), starts, names, largest, written=False)
    return bars_now, figure([cells], **look, xaxis={"type": "date", "showgrid": False, "ticks": ""})


def _means(values_DG: Floats) -> Floats:
    """Mean of each column over the sessions that are known; NaN where none is."""
    known = np.isfinite(values_DG)
    sums = np.where(known, values_DG, 0.0).sum(axis=0)
    return np.asarray(np.where(known.any(axis=0), sums / np.maximum(known.sum(axis=0), 1), np.nan))


def _month_ends(dates: Sequence[date], values_DG: Floats) -> tuple[list[str], Floats]:
    """(first day of each month, the values at its last close)."""
    last = {day.replace(day=1).isoformat(): place for place, day in enumerate(dates)}
    return list(last), values_DG[list(last.values())]


def _by_month(dates: Sequence[date], values_D: Floats) -> dict[str, float]:
    sums: dict[str, float] = {}
    for day, value in zip(dates, values_D.tolist(), strict=True):
        key = day.replace(day=1).isoformat()
        sums[key] = sums.get(key, 0.0) + value
    return sums
