from datetime import date

import numpy as np
import pytest

from backtest import metrics
from backtest.drawdowns import Drawdown, worst

DAYS = tuple(date(2024, 3, day) for day in (1, 4, 5, 6, 7, 8, 11))


def test_each_time_below_the_high_has_its_start_trough_and_end():
    found = worst(DAYS, np.array([0.98, 1.0, 1.1, 0.99, 0.88, 1.1, 1.0]))
    assert [(one.start, one.trough, one.recovered, one.sessions) for one in found] == [
        (DAYS[3], DAYS[4], DAYS[5], 2),
        (DAYS[6], DAYS[6], None, 1),
        (DAYS[0], DAYS[0], DAYS[1], 1),  # below the 1 it started with
    ]
    assert [one.depth for one in found] == pytest.approx([-0.2, 1 / 1.1 - 1, -0.02])


def test_the_deepest_is_the_drawdown_that_the_metrics_report():
    r_D = np.random.default_rng(3).normal(0, 0.01, 7)
    assert worst(DAYS, metrics.wealth(r_D), 1)[0].depth == pytest.approx(metrics.max_drawdown(r_D))


def test_a_wealth_that_only_grows_has_none_and_alike_ones_stand_in_order():
    assert worst(DAYS, np.arange(1.0, 8.0)) == []
    twice = worst(DAYS, np.array([1.0, 0.5, 1.0, 0.5, 1.0, 1.0, 1.0]))
    assert twice == [Drawdown(DAYS[1], DAYS[1], DAYS[2], -0.5, 1), Drawdown(DAYS[3], DAYS[3], DAYS[4], -0.5, 1)]
