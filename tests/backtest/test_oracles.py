"""Measures against empyrical where both define the same thing."""

import empyrical
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest import metrics

YEAR = 243


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    b_D = rng.normal(0.0002, 0.015, 400)
    return b_D * rng.uniform(0.7, 1.2) + rng.normal(0.0003, 0.005, 400), b_D


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_measures_of_one_series_are_empyricals(seed):
    r_D, _ = drawn(seed)
    assert metrics.annual_return(r_D, YEAR) == pytest.approx(empyrical.annual_return(r_D, annualization=YEAR))
    assert metrics.annual_volatility(r_D, YEAR) == pytest.approx(empyrical.annual_volatility(r_D, annualization=YEAR))
    assert metrics.sharpe(r_D, sessions=YEAR) == pytest.approx(empyrical.sharpe_ratio(r_D, annualization=YEAR))
    assert metrics.max_drawdown(r_D) == pytest.approx(empyrical.max_drawdown(r_D))
    assert metrics.wealth(r_D) - 1 == pytest.approx(np.asarray(empyrical.cum_returns(r_D)))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_measures_against_a_benchmark_are_empyricals(seed):
    r_D, b_D = drawn(seed)
    # empyrical's excess Sharpe ratio is the mean over the deviation of the daily difference: the information ratio of one session
    daily = empyrical.excess_sharpe(r_D, b_D)
    assert metrics.information_ratio(r_D, b_D, YEAR) == pytest.approx(daily * np.sqrt(YEAR))
    assert metrics.tracking_error(r_D, b_D, YEAR) == pytest.approx(empyrical.annual_volatility(r_D - b_D, annualization=YEAR))
    assert metrics.arithmetic_excess(r_D, b_D, YEAR) == pytest.approx(np.mean(r_D - b_D) * YEAR)
    relative = np.asarray(metrics.relative_wealth(r_D, b_D))
    growth = np.diff(relative, prepend=1.0) / np.concatenate([[1.0], relative[:-1]])
    assert metrics.excess_drawdown(r_D, b_D) == pytest.approx(empyrical.max_drawdown(growth))
    assert metrics.geometric_excess(r_D, b_D, YEAR) == pytest.approx(empyrical.annual_return(growth, annualization=YEAR))


def test_rolling_tracking_error_is_empyricals_rolling_volatility():
    r_D, b_D = drawn(1)
    te, _ = metrics.rolling(r_D, b_D, 60, YEAR)
    windows = np.array([empyrical.annual_volatility((r_D - b_D)[i - 59 : i + 1], annualization=YEAR) for i in range(59, 400)])
    assert te[59:] == pytest.approx(windows)
