"""The plots of a factor's sheet, as plain plotly specifications.  Plotly reads markup in names, so these are escaped."""

from collections.abc import Mapping, Sequence
from datetime import date
from html import escape
from itertools import groupby

import numpy as np

from backtest.report.traces import ACCENT, COOL, GREY, INK, Figure, bar, bars, days, figure, line, numbers
from data.panel import Floats
from factors.quantiles import column_means

POINTS = 400  # of a line over time: more than a screen resolves, and a page of many factors stays small
INDUSTRIES = 7  # largest tilts up and down each that are named
PALETTE = (ACCENT, INK, "#7c9a92", "#c9a227", COOL, "#d9776f", "#8e6c8a", GREY)
SMALL = 200  # height of the small plots


def thinned(dates: Sequence[date], values_D: Floats) -> tuple[list[date], Floats]:
    """Every k-th point and the last one, POINTS at most."""
    step = -(-len(dates) // POINTS)
    places = np.unique(np.append(np.arange(0, len(dates), step), len(dates) - 1))
    return [dates[place] for place in places], values_D[places]


def summed(values_D: Floats) -> Floats:
    """Running sum; what is unknown adds nothing."""
    return np.cumsum(np.nan_to_num(values_D))


def rank_ic(dates: Sequence[date], rank_ic_D: Floats) -> Figure:
    """Mean RankIC of each month as bars, the running sum of the daily ones as a line with its own axis at the right."""
    months = [(key, [place for place, _ in group]) for key, group in groupby(enumerate(dates), key=lambda item: item[1].replace(day=1))]
    means = means_of(rank_ic_D, [places for _, places in months])
    monthly = bar(days([month for month, _ in months]), means, "month's mean", "#c3c9d0")
    total = line(*thinned(dates, summed(rank_ic_D)), "sum, at the right", ACCENT, width=2.0, yaxis="y2")
    right = {"overlaying": "y", "side": "right", "showgrid": False, "zeroline": False, "tickmode": "auto", "nticks": 5, "tickformat": "~g"}
    return figure([monthly, total], yaxis={"tickformat": ".2f"}, yaxis2=right, xaxis={"type": "date"})


def means_of(values_D: Floats, parts: Sequence[Sequence[int]]) -> Floats:
    """Mean of the finite values of each part; NaN where there are none."""
    return np.array([column_means(values_D[list(part), None])[0] for part in parts])


def totals(dates: Sequence[date], series: Mapping[str, Floats]) -> Figure:
    """Running sums of several factors' RankICs, each in the direction in which it ends above 0."""
    lines = []
    for colour, (name, values_D) in zip(PALETTE, series.items(), strict=False):
        total, shown = summed(values_D), escape(name, quote=False)
        lines.append(line(*thinned(dates, total if total[-1] >= 0 else -total), shown if total[-1] >= 0 else f"− {shown}", colour))
    return figure(lines, height=380, yaxis={"tickformat": "~g"})


def decay(by_horizon: Mapping[int, float]) -> Figure:
    """Mean RankIC by horizon."""
    names = [str(horizon) for horizon in by_horizon]
    return bars(names, list(by_horizon.values()), ".3f", "sessions held", COOL)


def quantile_bars(returns_DQ: Floats) -> Figure:
    """Mean return of each quantile over a holding period, less the mean of all."""
    means = column_means(returns_DQ)
    names = [str(q + 1) for q in range(len(means))]
    return bars(
        names, (means - column_means(means[:, None])[0]).tolist(), ".2%", "quantile, lowest values first", [*[GREY] * (len(names) - 1), ACCENT]
    )


def quantile_curves(dates: Sequence[date], returns_DQ: Floats, horizon: int) -> Figure:
    """Running sum of each quantile's return less the mean of all quantiles, a session's share of the holding period."""
    mean_D = column_means(returns_DQ.T)
    excess_DQ = (returns_DQ - mean_D[:, None]) / horizon
    shades = ["#3c5a78", "#8aa0b5", "#c3c9d0", "#e0a39d", ACCENT]
    count = returns_DQ.shape[1]
    colours = [shades[round(q * (len(shades) - 1) / max(count - 1, 1))] for q in range(count)]
    return figure([line(*thinned(dates, summed(excess_DQ[:, q])), f"Q{q + 1}", colours[q]) for q in range(count)], yaxis={"tickformat": ".0%"})


def small_bars(values: Mapping[str, float], form: str, colour: str = COOL) -> Figure:
    """A small plot of a few named values."""
    spec = bars(list(values), list(values.values()), form, "", colour)
    spec["layout"] |= {"height": SMALL, "bargap": 0.35}
    spec["layout"]["xaxis"].pop("title")
    return spec


def tilts(values: Mapping[str, float], form: str) -> Figure:
    """Named values as horizontal bars, the largest above; those above 0 in one colour, those below in another."""
    known = sorted(((name, value) for name, value in values.items() if np.isfinite(value)), key=lambda item: item[1])
    if len(known) > 2 * INDUSTRIES:
        known = [*known[:INDUSTRIES], *known[-INDUSTRIES:]]
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": numbers([value for _, value in known]),
        "y": [escape(name, quote=False) for name, _ in known],
        "marker": {"color": [ACCENT if value > 0 else COOL for _, value in known]},
        "texttemplate": f"%{{x:{form}}}",
        "textposition": "outside",
        "cliponaxis": False,
        "hoverinfo": "skip",
    }
    largest = max([abs(value) for _, value in known], default=1.0) * 1.35
    rows = {"type": "category", "showgrid": False, "tickmode": "linear", "ticks": ""}
    axis = {"range": [-largest, largest], "tickformat": form, "nticks": 5}
    return figure([trace], height=60 + 24 * len(known), showlegend=False, hovermode="closest", bargap=0.35, yaxis=rows, xaxis=axis)


def coverage(dates: Sequence[date], coverage_D: Floats) -> Figure:
    """Share of the stocks with a value through time."""
    shown = line(*thinned(dates, coverage_D), "coverage", COOL, width=1.4)
    return figure([shown], height=SMALL, showlegend=False, yaxis={"range": [0, 1.05], "tickformat": ".0%", "nticks": 4}, xaxis={"nticks": 4})


def turnover(dates: Sequence[date], turnover_DQ: Floats) -> Figure:
    """Share of names replaced within a holding period in the lowest and the highest quantile, through time."""
    lines = [line(*thinned(dates, turnover_DQ[:, q]), name, colour, width=1.2) for q, name, colour in ((0, "lowest", COOL), (-1, "highest", ACCENT))]
    return figure(lines, height=SMALL, yaxis={"rangemode": "tozero", "tickformat": ".0%", "nticks": 4}, xaxis={"nticks": 4})
