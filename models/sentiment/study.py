"""What follows news: market-adjusted returns after the entry, pooled over dates, with errors that know of shared days.

Dims: D sessions, N stocks, E events.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.panel import Axes, to_panels
from factors.ranks import Floats

HORIZONS = (1, 2, 3, 5, 10)


@dataclass(frozen=True)
class Effect:
    """Mean market-adjusted return of a group of events over a horizon, its standard error clustered by date, and how much it rests on."""

    group: str
    horizon: int
    mean: float
    error: float
    events: int
    dates: int


def adjusted(bars: pl.DataFrame, axes: Axes, horizon: int) -> Floats:
    """Return [D, N] from the open after each session over `horizon` sessions to an open, less the mean of all stocks; adjusted for dividends.

    Null where the stock doesn't trade on the entry's session or an open is missing.  What opens at a limit counts: an event study asks what
    happened, not what could be bought.
    """
    panels = to_panels(bars, ["open", "adj", "is_trading"], axes)
    open_DN = np.where(panels["is_trading"] == 1, panels["open"] * panels["adj"], np.nan)
    ahead_DN = np.full(axes.shape, np.nan)
    if horizon + 1 < len(axes.dates):
        ahead_DN[: -horizon - 1] = open_DN[horizon + 1 :] / open_DN[1:-horizon] - 1
    count_D1 = np.isfinite(ahead_DN).sum(axis=1, keepdims=True)
    mean_D1 = np.divide(np.nansum(ahead_DN, axis=1, keepdims=True), count_D1, out=np.zeros(count_D1.shape), where=count_D1 > 0)
    return ahead_DN - mean_D1


def study(events: pl.DataFrame, bars: pl.DataFrame, axes: Axes, horizons: Sequence[int] = HORIZONS) -> list[Effect]:
    """Effects of each group of events and, where there are the groups positive and negative, of the one less the other.

    events: (date, symbol, group), date the session at whose close the news is known; entered at the next open.
    """
    rows, stocks, on_axis = axes.positions(events)
    group_E = events["group"].to_numpy()[on_axis]
    found = []
    for horizon in horizons:
        return_E = adjusted(bars, axes, horizon)[rows[on_axis], stocks[on_axis]]
        there = np.isfinite(return_E)
        day_E, known_E, kind_E = rows[on_axis][there], return_E[there], group_E[there]
        kinds = {str(kind): kind_E == kind for kind in sorted(set(kind_E))}
        found += [_effect(kind, horizon, {kind: 1.0}, kinds, day_E, known_E) for kind in kinds]
        if {"positive", "negative"} <= set(kinds):
            found.append(_effect("positive less negative", horizon, {"positive": 1.0, "negative": -1.0}, kinds, day_E, known_E))
    return found


def _effect(
    name: str, horizon: int, signs: Mapping[str, float], kinds: Mapping[str, NDArray[np.bool_]], day_E: NDArray[np.int64], return_E: Floats
) -> Effect:
    """The signed sum of the groups' means; each event's deviation from its group's mean moves it, and those of one day move together."""
    pull_E, mean = np.zeros(len(return_E)), 0.0
    for kind, sign in signs.items():
        mine = kinds[kind]
        middle = float(return_E[mine].mean())
        mean += sign * middle
        pull_E[mine] = sign * (return_E[mine] - middle) / mine.sum()
    used = np.any([kinds[kind] for kind in signs], axis=0)
    days, place_E = np.unique(day_E[used], return_inverse=True)
    by_day = np.bincount(place_E, weights=pull_E[used])
    wider = len(days) / (len(days) - 1) if len(days) > 1 else np.nan
    return Effect(name, horizon, mean, float(np.sqrt(wider * np.sum(by_day**2))), int(used.sum()), len(days))
