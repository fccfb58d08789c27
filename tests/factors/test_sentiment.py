"""Sentiment: the index of the market's mood, who moves with it, and crowds, against plain numpy."""

from collections.abc import Callable

import numpy as np
import pytest

from data.panel import Floats
from factors.compute import Computer
from factors.panel import Panel
from factors.registry import library
from factors.sentiment import sentiment_index

History = dict[str, Floats]
NAN = np.nan


def rate(h: History) -> Floats:
    return h["volume"] / h["float_shares"]


def smoothed(h: History) -> float:
    """Exponential mean of turnover, span 20, over 80 sessions, suspensions left out."""
    recent = rate(h)[-80:]
    seen = np.isfinite(recent)
    weights = (1 - 2 / 21) ** np.arange(79, -1, -1.0)
    return float(np.sum(recent[seen] * weights[seen]) / np.sum(weights[seen]))


PLAIN: dict[str, Callable[[History], float]] = {
    "turnover_abnormal": lambda h: np.nanmean(rate(h)[-20:]) / np.nanmean(rate(h)[-240:]),
    "turnover_shock": lambda h: rate(h)[-1] / smoothed(h),
    "limit_up_20": lambda h: np.nansum(h["limit_up_hit"][-20:]),
    "max_20": lambda h: np.max(h["last"][-20:] / h["last"][-21:-1] - 1),
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_factor_is_its_plain_formula(name: str, histories: dict[tuple[int, int], History], library_values: dict[str, Floats]) -> None:
    for (t, n), history in histories.items():
        assert library_values[name][t, n] == pytest.approx(PLAIN[name](history), rel=2e-6, abs=1e-7), (t, n)


def index_of(panel: Panel) -> Floats:
    return Computer(panel, [sentiment_index()])(sentiment_index())[:, 0]


@np.errstate(divide="ignore", invalid="ignore")
def moods(panel: Panel) -> Floats:
    """The four moods of the market, [D, 4]: log turnover, breadth, balance of limits, dispersion; five-session means."""
    turnover = panel.columns["volume"] / panel.columns["float_shares"]
    change = np.vstack([np.full((1, turnover.shape[1]), NAN), panel.columns["close"][1:] / panel.columns["last"][:-1] - 1])
    found = []
    for t in range(len(turnover)):
        moved = change[t][np.isfinite(change[t])]
        ups, downs = panel.columns["limit_up_hit"][t], panel.columns["limit_down_hit"][t]
        breadth, spread = (np.mean(moved > 0), np.std(moved)) if len(moved) else (NAN, NAN)
        found.append([np.log(np.nanmean(turnover[t])), breadth, np.nanmean(ups) - np.nanmean(downs), spread])
    raw = np.array(found)
    weeks = [raw[max(0, t - 4) : t + 1] for t in range(len(raw))]
    return np.array([np.where(np.isfinite(week).sum(axis=0) >= 3, np.nansum(week, axis=0) / np.isfinite(week).sum(axis=0), NAN) for week in weeks])


def test_the_index_is_the_first_component_of_the_four_moods_so_far(panel: Panel) -> None:
    found, series = index_of(panel), moods(panel)
    for t in (200, 300, 339):
        seen = series[max(0, t - 249) : t + 1]
        seen = seen[np.isfinite(seen).all(axis=1)]
        z = (seen - seen.mean(axis=0)) / seen.std(axis=0)
        loading = np.linalg.svd(z)[2][0]
        loading = loading * np.sign(loading[0])
        assert found[t] == pytest.approx(z[-1] @ loading)


def test_sentiment_beta_is_the_slope_on_the_change_of_the_index(
    panel: Panel, library_values: dict[str, Floats], histories: dict[tuple[int, int], History]
) -> None:
    index = index_of(panel)
    change = np.concatenate([[NAN], np.diff(index)])
    for (t, n), history in histories.items():
        own = np.concatenate([[NAN], history["close"][1:] / history["last"][:-1] - 1])[-60:]
        mood = change[t - 59 : t + 1]
        both = np.isfinite(own) & np.isfinite(mood)
        slope = np.polyfit(mood[both], own[both], 1)[0]
        assert library_values["sentiment_beta"][t, n] == pytest.approx(slope, rel=1e-5)
        assert library_values["sentiment_tilt"][t, n] == pytest.approx(-slope * index[t], rel=1e-5)


def test_every_factor_of_the_family_is_tested_here() -> None:
    others = {"sentiment_beta", "sentiment_tilt"}
    assert set(PLAIN) | others == {factor.name for factor in library().values() if factor.family == "sentiment"}
