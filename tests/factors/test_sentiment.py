"""Sentiment: the index of the market's mood, who moves with it, and crowds, against plain numpy."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from data.panel import Floats
from factors.compute import Computer
from factors.panel import Panel
from factors.registry import library
from factors.sentiment import sentiment_index

History = dict[str, Floats]
Computed = Callable[..., Floats]
NAN = np.nan


def rate(h: History) -> Floats:
    return h["volume"] / h["float_shares"]


def smoothed(h: History) -> float:
    """Exponential mean of turnover, span 20, over 80 sessions, suspensions left out."""
    recent = rate(h)[-80:]
    seen = np.isfinite(recent)
    weights = (1 - 2 / 21) ** np.arange(79, -1, -1.0)
    return float(np.sum(recent[seen] * weights[seen]) / np.sum(weights[seen]))


def since_limit(h: History) -> float:
    """Sessions since the last close at the upper limit, 60 at most."""
    hits = np.flatnonzero(h["limit_up_hit"][-60:][::-1] == 1)
    return float(hits[0]) if len(hits) else 60.0


def crowd(h: History) -> float:
    """Slope of the return on the change of the market's log turnover."""
    own, mood = h["change"][-60:], np.diff(np.log(h["market_turnover"]))[-60:]
    both = np.isfinite(own) & np.isfinite(mood)
    return float(np.polyfit(mood[both], own[both], 1)[0])


def shared(h: History) -> float:
    """Share of the market's amount, 5 sessions over 60."""
    share = h["amount"] / h["market_amount"]
    return float(np.nanmean(share[-5:]) / np.nanmean(share[-60:]))


def volume_rank(h: History) -> float:
    seen = h["volume"][-50:][np.isfinite(h["volume"][-50:])]
    return float(stats.rankdata(seen)[-1] / len(seen))


PLAIN: dict[str, Callable[[History], float]] = {
    "turnover_abnormal": lambda h: np.nanmean(rate(h)[-20:]) / np.nanmean(rate(h)[-240:]),
    "turnover_shock": lambda h: rate(h)[-1] / smoothed(h),
    "limit_up_20": lambda h: np.nansum(h["limit_up_hit"][-20:]),
    "attention_share": shared,
    "high_volume_50": volume_rank,
    "extreme_days_60": lambda h: np.nanmean(np.where(np.isnan(h["change"]), NAN, np.abs(h["change"]) > 0.05)[-60:]),
    "limit_up_age_60": since_limit,
    "limit_days_60": lambda h: np.nanmean(np.maximum(h["limit_up_hit"], h["limit_down_hit"])[-60:]),
    "crowd_beta": crowd,
    "idiosyncratic_skewness_120": lambda h: stats.skew(h["residual"][-120:], nan_policy="omit"),
    "min_20": lambda h: -np.min(h["last"][-20:] / h["last"][-21:-1] - 1),
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


def test_turnover_given_size_has_nothing_of_size_left(panel: Panel, library_values: dict[str, Floats]) -> None:
    rate = panel.columns["volume"] / panel.columns["float_shares"]
    for t in (200, 320):
        recent = rate[t - 19 : t + 1]
        count = np.isfinite(recent).sum(axis=0)
        traded = np.log(np.where(count >= 10, np.nansum(recent, axis=0) / np.maximum(count, 1), NAN))
        cap = np.log(panel.columns["last"][t] * panel.columns["float_shares"][t])
        both = np.isfinite(traded + cap)
        left = traded - np.polyval(np.polyfit(cap[both], traded[both], 1), cap)
        seen = panel.trading[t] & both
        assert library_values["turnover_given_size"][t, seen] == pytest.approx(left[seen], rel=1e-5, abs=1e-6)


def test_a_lottery_ticket_is_volatile_skewed_and_cheap(library_values: dict[str, Floats], panel: Panel) -> None:
    def ranks(values: Floats) -> Floats:
        found = np.full(len(values), NAN)
        found[np.isfinite(values)] = stats.rankdata(values[np.isfinite(values)]) / np.isfinite(values).sum()
        return found

    t, seen = 339, panel.trading[339]
    parts = [library_values[name][t].astype(float) for name in ("idiosyncratic_volatility_60", "idiosyncratic_skewness_120")]
    price = panel.columns["raw_close"][t]
    assert seen.sum() == np.isfinite(parts[0]).sum()  # all that have a value trade, so that ranks are among the same stocks
    price_rank = ranks(np.where(np.isfinite(price), price, NAN))
    expected = ranks(parts[0]) + ranks(parts[1]) - price_rank
    assert library_values["lottery_demand"][t, seen] == pytest.approx(expected[seen], abs=1e-6)


def test_a_limit_that_was_never_hit_is_sixty_sessions_ago(computed: Computed) -> None:
    hits = np.zeros((100, 2))
    hits[70, 0] = 1
    found = computed(library()["limit_up_age_60"].expr, limit_up_hit=hits)
    assert found[[69, 70, 75, 99], 0].tolist() == [60, 0, 5, 29]
    assert (found[:, 1] == 60).all()


def test_every_factor_of_the_family_is_tested_here() -> None:
    others = {"turnover_given_size", "lottery_demand", "sentiment_beta", "sentiment_tilt"}
    assert set(PLAIN) | others == {factor.name for factor in library().values() if factor.family == "sentiment"}
