"""Index members and industries of each session, as panels."""

from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.panel import Axes, Floats


def members_panel(members: pl.DataFrame, axes: Axes, index: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(member [D, N], known [D]): membership of the latest date at or before each session; nothing is known before the first."""
    weights, known = weights_panel(members, axes, index)
    return np.isfinite(weights), known


def weights_panel(members: pl.DataFrame, axes: Axes, index: str) -> tuple[Floats, NDArray[np.bool_]]:
    """(weight [D, N], known [D]) in force, NaN for stocks outside the index; a member without a weight has an equal one."""
    ours = members.filter(pl.col("index") == index).sort("date", "symbol")
    weights, known = np.full(axes.shape, np.nan), np.zeros(len(axes.dates), dtype=bool)
    place = {symbol: column for column, symbol in enumerate(axes.symbols)}
    column_R = ours["symbol"].replace_strict(place, default=-1, return_dtype=pl.Int64).to_numpy()
    weight_R = ours.select(pl.col("weight").fill_null(1 / pl.len().over("date"))).to_series().to_numpy()
    lists = ours.group_by("date", maintain_order=True).len()
    edges = [0, *lists["len"].cum_sum()]
    starts = [*map(axes.index, lists["date"]), len(axes.dates)]
    for (first, last), (start, stop) in zip(pairwise(edges), pairwise(starts), strict=True):
        there = column_R[first:last] >= 0
        weights[start:stop, column_R[first:last][there]] = weight_R[first:last][there]
        known[start:stop] = True
    return weights, known


def drifted_panel(members: pl.DataFrame, axes: Axes, index: str, close_DN: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """(weight [D, N], known [D]) as `weights_panel`, but moved by prices since each list, so that they are the weights at every close.

    close_DN: adjusted closes; a suspended stock keeps its last, one without any keeps its weight until the next list.  The weights of a
    session add up to 1 over the members on the axes.
    """
    listed, known = weights_panel(members, axes, index)
    last = _carried(close_DN)
    days = members.filter(pl.col("index") == index)["date"].unique().sort()
    starts = sorted({axes.index(day) for day in days if axes.index(day) < len(axes.dates)})
    for start, stop in zip(starts, [*starts[1:], len(axes.dates)][: len(starts)], strict=True):
        growth = last[start:stop] / last[start]
        listed[start:stop] *= np.where(np.isfinite(growth), growth, 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return listed / np.nansum(listed, axis=1, keepdims=True), known


def _carried(values_DN: Floats) -> Floats:
    """Each column with its last finite value in place of NaN; NaN before the first."""
    rows = np.where(np.isfinite(values_DN), np.arange(len(values_DN))[:, None], 0)
    return np.take_along_axis(values_DN, np.maximum.accumulate(rows, axis=0), axis=0)


def industries_panel(industries: pl.DataFrame, axes: Axes) -> NDArray[np.int64] | None:
    """Industry numbers [D, N] in force at each session, -1 = unknown; None where all that is known comes of hindsight."""
    honest = industries.filter(~pl.col("hindsight")).sort("symbol", "start")
    if not honest.height:
        return None
    numbers = {code: number for number, code in enumerate(honest["code"].unique().sort())}
    place = {symbol: column for column, symbol in enumerate(axes.symbols)}
    groups = np.full(axes.shape, -1, dtype=np.int64)
    for symbol, start, code in honest.select("symbol", "start", "code").iter_rows():
        if symbol in place:
            groups[axes.index(start) :, place[symbol]] = numbers[code]
    return groups
