"""Momentum factors against plain numpy over one stock's history."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from data.panel import Floats
from factors.panel import Panel
from factors.registry import library

History = dict[str, Floats]
Computed = Callable[..., Floats]


def returns(h: History) -> Floats:
    return np.concatenate([[np.nan], h["last"][1:] / h["last"][:-1] - 1])


def rsi(h: History) -> float:
    change = np.diff(h["last"][-15:])
    gain, loss = change[change > 0].sum(), -change[change < 0].sum()
    return float(gain / (gain + loss))


def mean_sign(h: History) -> float:
    """Rising less falling sessions of those between 240 and 20 ago."""
    return float(np.nanmean(np.sign(h["change"][-240:-20])))


def torn(h: History) -> float:
    """Share of 20 sessions that opened up and fell."""
    night, day = h["open"][-20:] / h["last"][-21:-1] - 1, h["close"][-20:] / h["open"][-20:] - 1
    seen = np.isfinite(night)
    return float(np.mean((night[seen] > 0) & (day[seen] < 0)))


PLAIN: dict[str, Callable[[History], float]] = {
    "momentum_12_1": lambda h: h["last"][-21] / h["last"][-241] - 1,
    "momentum_6_1": lambda h: h["last"][-21] / h["last"][-121] - 1,
    "reversal_5": lambda h: -(h["last"][-1] / h["last"][-6] - 1),
    "reversal_20": lambda h: -(h["last"][-1] / h["last"][-21] - 1),
    "rsi_14": rsi,
    "high_52_week": lambda h: h["last"][-1] / h["last"][-240:].max(),
    "momentum_per_risk": lambda h: (h["last"][-21] / h["last"][-241] - 1) / np.std(returns(h)[-240:-20], ddof=1),
    "overnight_20": lambda h: np.nansum(h["open"][-20:] / h["last"][-21:-1] - 1),
    "intraday_20": lambda h: np.nansum(h["close"][-20:] / h["open"][-20:] - 1),
    "momentum_12_7": lambda h: h["last"][-121] / h["last"][-241] - 1,
    "residual_momentum": lambda h: np.nanmean(h["residual"][-240:-20]) / np.nanstd(h["residual"][-240:-20], ddof=1),
    "momentum_acceleration": lambda h: h["last"][-21] / h["last"][-121] - h["last"][-121] / h["last"][-241],
    "same_month_last_year": lambda h: h["last"][-224] / h["last"][-244] - 1,
    "reversal_1": lambda h: -(h["last"][-1] / h["last"][-2] - 1),
    "residual_reversal_20": lambda h: -np.nansum(h["residual"][-20:]),
    "high_52_week_age": lambda h: -float(np.argmax(h["last"][-240:][::-1])),
    "daytime_reversal_20": torn,
    "information_discreteness": lambda h: -np.sign(h["last"][-21] / h["last"][-241] - 1) * mean_sign(h),
    "path_efficiency_60": lambda h: (h["last"][-1] / h["last"][-61] - 1) / np.abs(returns(h)[-60:]).sum(),
    "capital_gains_overhang": lambda h: 1 - np.nansum(h["amount"][-120:]) / np.nansum(h["volume"][-120:]) / h["last"][-1],
    "trend_rank_60": lambda h: np.mean(h["last"][-60:] < h["last"][-1]) + (np.sum(h["last"][-60:] == h["last"][-1]) + 1) / 120,
}


def kin_mean(values: Floats, industry: Floats) -> Floats:
    """The mean of each stock's industry."""
    return np.array([np.nanmean(values[industry == own]) for own in industry])


def ranked(values: Floats) -> Floats:
    """Ranks of a session in (0, 1]."""
    seen = np.isfinite(values)
    found = np.full(len(values), np.nan)
    found[seen] = stats.rankdata(values[seen]) / seen.sum()
    return found


def past(c: History, t: int, n: int, m: int = 0) -> Floats:
    """Return of every stock from n to m sessions before t."""
    return c["last"][t - m] / c["last"][t - n] - 1


def led(c: History, t: int) -> Floats:
    """Return of a week of each stock's industry, by float value."""
    cap, week = c["last"][t] * c["float_shares"][t], past(c, t, 5)
    # the mean of return x cap over the mean of cap: a stock without a return weighs on neither side in this market
    return kin_mean(week * cap, c["industry"][t]) / kin_mean(cap, c["industry"][t])


def lonely(c: History, t: int) -> Floats:
    """Rank by momentum times one less rank by turnover."""
    rate = (c["volume"] / c["float_shares"])[t - 119 : t + 1]
    return ranked(past(c, t, 120, 20)) * (1 - ranked(np.where(np.isfinite(rate).sum(axis=0) >= 60, np.nanmean(rate, axis=0), np.nan)))


# of all stocks at once: the panel's columns and a session
ACROSS: dict[str, Callable[[History, int], Floats]] = {
    "industry_momentum": lambda c, t: kin_mean(past(c, t, 120, 20), c["industry"][t]),
    "momentum_in_industry": lambda c, t: past(c, t, 240, 20) - kin_mean(past(c, t, 240, 20), c["industry"][t]),
    "reversal_20_in_industry": lambda c, t: kin_mean(past(c, t, 20), c["industry"][t]) - past(c, t, 20),
    "industry_leaders_5": led,
    "momentum_low_turnover": lonely,
}


def test_every_factor_of_the_family_has_its_plain_formula() -> None:
    assert set(PLAIN) | set(ACROSS) == {factor.name for factor in library().values() if factor.family == "momentum"}


@pytest.mark.parametrize("name", ACROSS)
def test_a_factor_across_stocks_is_its_plain_formula(name: str, panel: Panel, library_values: dict[str, Floats]) -> None:
    for t in (250, 310, 339):
        expected = np.where(panel.trading[t], ACROSS[name](dict(panel.columns), t), np.nan)
        assert np.isfinite(expected).sum() > 10
        assert library_values[name][t] == pytest.approx(expected, rel=2e-6, abs=1e-7, nan_ok=True), t


@pytest.mark.parametrize("name", PLAIN)
def test_a_factor_is_its_plain_formula(name: str, histories: dict[tuple[int, int], History], library_values: dict[str, Floats]) -> None:
    for (t, n), history in histories.items():
        assert library_values[name][t, n] == pytest.approx(PLAIN[name](history), rel=2e-6, abs=1e-7), (t, n)


def test_a_dividend_and_a_split_leave_no_mark_on_a_return(library_values: dict[str, Floats]) -> None:
    """Sessions 200 and 220 are ex-dates of stocks 0 and 1: 3 % of cash and twice the shares."""
    assert abs(library_values["reversal_5"][202, 0]) < 0.3
    assert abs(library_values["reversal_5"][222, 1]) < 0.3


def steps(*changes: float) -> Floats:
    """A price that makes these changes, one stock."""
    return np.cumprod(np.concatenate([[10.0], 1 + np.array(changes)]))[:, None]


def test_many_small_steps_are_continuous_and_one_jump_is_discrete(computed: Computed) -> None:
    expr = library()["information_discreteness"].expr
    small, jump = steps(*[0.001] * 240), steps(*([-0.001] * 120 + [0.5] + [-0.001] * 119))
    for price, expected in ((small, -1.0), (jump, (219 - 1) / 220)):
        assert computed(expr, last=price, close=price)[-1, 0] == pytest.approx(expected)


def test_a_straight_climb_is_fully_efficient_and_there_and_back_is_not(computed: Computed) -> None:
    expr = library()["path_efficiency_60"].expr
    assert computed(expr, last=steps(*[0.01] * 60))[-1, 0] == pytest.approx((1.01**60 - 1) / 0.6)
    assert abs(computed(expr, last=steps(*[0.01, 1 / 1.01 - 1] * 30))[-1, 0]) < 1e-12


def test_the_market_alone_leaves_no_residual(computed: Computed) -> None:
    moves = np.random.default_rng(3).normal(0, 0.01, 330)
    last = np.column_stack([steps(*(factor * moves))[:, 0] for factor in (0.5, 1.0, 1.5)])
    assert np.abs(computed(library()["residual_reversal_20"].expr, last=last, close=last)[-1]).max() < 1e-12
