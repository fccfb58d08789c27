import math
from datetime import date

import numpy as np
import pytest

from backtest import metrics
from backtest.costs import CostSettings
from backtest.simulation import SimulationSettings, simulate
from backtest.strategies import TopkDropout

R = np.array([0.10, -0.20, 0.05, 0.10])
B = np.array([0.05, -0.10, 0.00, 0.10])
# by hand: wealth 1.1, 0.88, 0.924, 1.0164; benchmark 1.05, 0.945, 0.945, 1.0395; differences .05, -.10, .05, 0


def test_returns_and_drawdowns_match_the_hand_computed_table():
    assert metrics.wealth(R) == pytest.approx([1.1, 0.88, 0.924, 1.0164])
    assert metrics.annual_return(R, 4) == pytest.approx(0.0164)
    assert metrics.annual_return(R, 8) == pytest.approx(1.0164**2 - 1)
    assert metrics.drawdown(metrics.wealth(R)) == pytest.approx([0, -0.2, -0.16, -0.076])
    assert metrics.max_drawdown(R) == pytest.approx(-0.2)
    assert metrics.max_drawdown(np.array([-0.1, 0.05])) == pytest.approx(-0.1)  # from the starting 1


def test_excess_measures_match_the_hand_computed_table():
    assert metrics.geometric_excess(R, B, 4) == pytest.approx(1.0164 / 1.0395 - 1)
    assert metrics.arithmetic_excess(R, B, 4) == pytest.approx(0.0)
    variance = (0.05**2 + 0.1**2 + 0.05**2 + 0) / 3
    assert metrics.tracking_error(R, B, 4) == pytest.approx(math.sqrt(variance * 4))
    assert metrics.information_ratio(R + 0.01, B, 4) == pytest.approx(0.04 / math.sqrt(variance * 4))
    assert metrics.excess_drawdown(R, B) == pytest.approx((0.88 / 0.945) / (1.1 / 1.05) - 1)
    assert metrics.summed_drawdown(R - B) == pytest.approx(-0.1)
    assert metrics.hit_rate(R, B) == 0.5
    deviation = math.sqrt(sum((x - 0.0125) ** 2 for x in R) / 3)
    assert metrics.sharpe(R, 0.01, 4) == pytest.approx((0.05 - 0.01) / (deviation * 2))


def test_rolling_measures_are_those_of_each_window():
    te, ir = metrics.rolling(R, B, window=3, sessions=4)
    assert np.isnan(te[:2]).all()
    assert te[2] == pytest.approx(metrics.tracking_error(R[:3], B[:3], 4))
    assert ir[3] == pytest.approx(metrics.information_ratio(R[1:], B[1:], 4))
    assert np.isnan(metrics.rolling(R, B, window=9)[0]).all()


def test_months_compound():
    dates = (date(2024, 1, 30), date(2024, 1, 31), date(2024, 2, 1), date(2024, 2, 2))
    assert metrics.monthly(R, dates) == pytest.approx({(2024, 1): -0.12, (2024, 2): 0.155})
    assert metrics.monthly_excess(R, B, dates)[2024, 1] == pytest.approx(0.88 / 0.945 - 1)


def test_missing_returns_and_short_series_give_nan_not_a_number_made_up():
    hole = np.array([0.01, np.nan, 0.02])
    zero = np.zeros(3)
    for value in (
        metrics.annual_return(hole),
        metrics.sharpe(hole),
        metrics.tracking_error(hole, zero),
        metrics.information_ratio(hole, zero),
        metrics.max_drawdown(hole),
        metrics.hit_rate(hole, zero),
        metrics.annual_return(np.array([])),
        metrics.sharpe(np.array([0.01])),
        metrics.sharpe(zero),
    ):
        assert math.isnan(value)


def test_summary_adds_up_costs_by_kind(random_market):
    market = random_market(7)
    scores = np.random.default_rng(7).normal(size=market.axes.shape)
    result = simulate(scores, market, strategy=TopkDropout(k=4, drop=2), costs=CostSettings(), settings=SimulationSettings(cash=1e6))
    figures = metrics.summary(result, np.zeros(len(result.dates)))
    assert figures["cost"] == pytest.approx(sum(figures[f"cost_{name}"] for name in ("commission", "stamp_duty", "transfer_fee", "slippage")))
    years, mean_nav = len(result.dates) / 243, result.nav_D.mean()
    assert figures["cost_commission"] == pytest.approx(result.trades["commission"].sum() / mean_nav / years)
    traded = result.trades.group_by("date").agg(amount=("amount")).explode("amount")["amount"].sum()
    assert (result.turnover_D * np.concatenate([[1e6], result.nav_D[:-1]])).sum() == pytest.approx(traded / 2)
    assert figures["final_nav"] == result.nav_D[-1]
    assert metrics.qlib_summary(result, np.zeros(len(result.dates)))["annual_excess"] == pytest.approx(result.returns_D.mean() * 238)
