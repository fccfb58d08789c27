"""Drift: whether today's factors, scores and book look like those of the sessions before."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from backtest.guard import exposures
from data.errors import KestrelError
from data.panel import Floats
from models.dataset import Dataset
from pipelines.portfolio import Ground
from pipelines.publication import published, read_published
from pipelines.signal import Signal

# D sessions, N stocks, F factors
FEWEST = 20  # sessions before, and stocks, below which nothing is said
MEASURES = ("present", "mean", "deviation")


class Drift(NamedTuple):
    """factors: a row a factor, the strangest first.  flags: what is beyond its limit, as sentences."""

    factors: pl.DataFrame
    scores: float | None  # rank correlation with the last published session's
    exposures: dict[str, float]
    flags: list[str]

    def told(self) -> dict[str, Any]:
        """As plain values."""
        known = {name: round(value, 6) for name, value in self.exposures.items()}
        return {"flags": self.flags, "score_correlation": None if self.scores is None else round(self.scores, 6), "exposures": known}


def drift(found: Signal, dataset: Dataset, ground: Ground, signals: Path) -> Drift:
    """How a signal compares with the sessions before it."""
    settings = ground.config.batch
    factors = factor_drift(dataset, settings.window)
    strange = factors.filter(pl.col("off") > settings.drift)
    flags = [f"{name}: {measure} is {off:.1f} deviations off" for name, measure, off in strange.select("factor", "measure", "off").iter_rows()]
    correlation = _correlation(found, signals)
    if correlation is not None and correlation < settings.score_correlation:
        flags.append(f"scores: rank correlation with the session before is {correlation:.2f} < {settings.score_correlation:g}")
    held = _exposures(found, ground)
    flags += [f"exposure to {name} is {value:.2f}" for name, value in held.items() if abs(value) > settings.exposure]
    return Drift(factors, correlation, held, flags)


def factor_drift(dataset: Dataset, window: int) -> pl.DataFrame:
    """(factor, measure, off, present, mean, deviation): each factor of the last session by its strangest measure, the strangest first.

    off: how many deviations of the sessions before, up to `window` of them, today's lies from their mean.  It is taken of the part of the
    stocks that have a value, and of the values' mean and deviation; null before there are enough sessions.
    """
    rows = slice(max(len(dataset.axes.dates) - 1 - window, 0), None)
    x_DNF = np.where(dataset.present_DN[rows][..., None], dataset.x_DNF[rows], np.nan).astype(np.float64)
    x_DNF[~np.isfinite(x_DNF)] = np.nan
    here_D = np.maximum(dataset.present_DN[rows].sum(axis=1), 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a factor without any value has no mean
        each = (np.isfinite(x_DNF).sum(axis=1) / here_D[:, None], np.nanmean(x_DNF, axis=1), np.nanstd(x_DNF, axis=1))
        off_MF = np.array([_off(values_DF) for values_DF in each])
    worst_F = np.argmax(np.nan_to_num(off_MF, nan=-1.0), axis=0)
    columns = {
        "factor": dataset.names,
        "measure": [MEASURES[place] for place in worst_F],
        "off": off_MF[worst_F, np.arange(len(worst_F))],
        **{name: values_DF[-1] for name, values_DF in zip(MEASURES, each, strict=True)},
    }
    return pl.DataFrame(columns).fill_nan(None).sort("off", "factor", descending=[True, False], nulls_last=True)


def _off(values_DF: Floats) -> Floats:
    """Deviations of the sessions before by which the last session is off, [F]; a value that never moved before must not move."""
    before_DF = values_DF[:-1]
    if len(before_DF) < FEWEST:
        return np.full(values_DF.shape[1], np.nan)
    spread_F = np.maximum(np.nanstd(before_DF, axis=0), 1e-3 * np.abs(np.nanmean(before_DF, axis=0)) + 1e-12)
    return np.asarray(np.abs(values_DF[-1] - np.nanmean(before_DF, axis=0)) / spread_F)


def _correlation(found: Signal, signals: Path) -> float | None:
    """Rank correlation of the scores with those of the last session published before, over the stocks in both."""
    before = [day for day in published(signals) if day < found.day]
    if not before:
        return None
    keys = ["symbol", *(["model"] if "model" in found.scores.columns else [])]
    old = read_published(signals, before[-1], "scores.csv")
    if not set(keys) <= set(old.columns):
        return None
    both = found.scores.join(old.select(*keys, pl.col("score").alias("before")), on=keys).sort(keys)
    if both.height < FEWEST:
        return None
    now_N, before_N = (both[name].rank().to_numpy() for name in ("score", "before"))
    return float(np.corrcoef(now_N, before_N)[0, 1]) if np.ptp(now_N) > 0 and np.ptp(before_N) > 0 else None


def _exposures(found: Signal, ground: Ground) -> dict[str, float]:
    """The book's exposures to styles against the index, if every order is filled; nothing where the lake can't tell."""
    market = ground.market
    try:
        sight = ground.sight
    except KestrelError:
        return {}
    place = {name: n for n, name in enumerate(market.axes.symbols)}
    shares_N = np.zeros(len(place))
    for name, count in found.positions.filter(pl.col("symbol") != "cash").select("symbol", "shares").iter_rows():
        shares_N[place[name]] += count
    for name, side, count in found.orders.select("symbol", "side", "shares").iter_rows():
        shares_N[place[name]] += count if side == "buy" else -count
    equity = float(found.positions["value"].sum())
    weight_N = shares_N * np.nan_to_num(market.last_DN[-1]) / equity
    b_N = np.nan_to_num(sight.member_DN[-1])
    if not weight_N.any() or not b_N.any():
        return {}
    return exposures(len(market.axes.dates) - 1, weight_N, b_N / b_N.sum(), sight.styles)


def summary(flags: Sequence[str], most: int = 5) -> list[str]:
    """The first flags, and how many more there are."""
    return [*flags[:most], *([f"{len(flags) - most} more in drift.csv"] if len(flags) > most else [])]
