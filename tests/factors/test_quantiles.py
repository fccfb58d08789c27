"""Quantile portfolios on cases worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from factors.quantiles import buckets, capacity, daily_quantile_returns, monotonicity, quantile_returns, spread_net, turnover
from factors.ranks import ordered

NAN = np.nan
ROWS = arrays(np.float64, (4, 23), elements=st.sampled_from([-3.0, -1.0, 0.0, 0.5, 2.0, 9.0, NAN]))


def test_quantiles_by_hand() -> None:
    x = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, NAN], [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]])
    y = np.array([[0.1, 0.2, 0.3, 0.4, 0.5, 9.0], [0.1, 0.2, 0.3, 0.4, 0.5, NAN]])
    assert quantile_returns(x, y) == pytest.approx([0.3] * 5)  # (0.1 + 0.5) / 2, (0.2 + 0.4) / 2, ...
    assert quantile_returns(x[:1], y[:1]) == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


def test_quantiles_have_equal_numbers_and_ties_share_one() -> None:
    x = np.random.default_rng(0).permutation(35).astype(float)[None, :]
    assert quantile_returns(x, np.ones((1, 35))) == pytest.approx([1.0] * 5)
    assert quantile_returns(x, x) == pytest.approx([3, 10, 17, 24, 31])
    tied = quantile_returns(np.ones((1, 10)), np.arange(10.0)[None, :])
    assert tied[2] == pytest.approx(4.5)
    assert np.isnan(tied[[0, 1, 3, 4]]).all()


def test_sessions_count_alike_however_many_stocks_they_have() -> None:
    x = np.full((2, 10), NAN)
    x[0, :5], x[1] = np.arange(5), np.arange(10)
    y = np.where(np.isfinite(x), np.array([[1.0], [2.0]]), NAN)
    assert quantile_returns(x, y) == pytest.approx([1.5] * 5)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(ROWS, ROWS)
def test_daily_returns_are_the_means_of_the_stocks_in_each_bucket(x: np.ndarray, y: np.ndarray) -> None:
    both = np.isfinite(x) & np.isfinite(y)
    bucket = buckets(ordered(np.where(both, x, NAN)))
    found = daily_quantile_returns(ordered(x), y)
    for t in range(4):
        for q in range(5):
            inside = y[t, bucket[t] == q + 1]
            assert found[t, q] == pytest.approx(inside.mean() if len(inside) else NAN, nan_ok=True)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(ROWS)
def test_higher_values_never_lie_in_a_lower_bucket_and_nulls_in_none(x: np.ndarray) -> None:
    bucket = buckets(ordered(x))
    for t in range(4):
        order = np.argsort(x[t][np.isfinite(x[t])])
        assert (np.diff(bucket[t, np.isfinite(x[t])][order]) >= 0).all()
        assert (bucket[t, ~np.isfinite(x[t])] == 0).all()


def test_turnover_by_hand() -> None:
    bucket = np.array([[1, 1, 2, 2], [1, 2, 2, 0], [2, 2, 1, 1]], dtype=np.int8)
    assert turnover(bucket, lag=1, quantiles=2) == pytest.approx(np.array([[NAN, NAN], [0.0, 0.5], [1.0, 0.5]]), nan_ok=True)
    assert turnover(bucket, lag=2, quantiles=2) == pytest.approx(np.array([[NAN, NAN], [NAN, NAN], [1.0, 1.0]]), nan_ok=True)


def test_a_spread_pays_for_both_sides_of_both_portfolios() -> None:
    assert spread_net(np.array([0.001, 0.0, 0.005]), np.array([0.2, 0.9, 0.3]), cost=0.001) == pytest.approx(0.004 - 2 * 0.001 * 0.5)
    assert spread_net(np.array([0.005, 0.0, 0.001]), np.array([0.2, 0.9, 0.3]), cost=0.001) == pytest.approx(0.004 - 2 * 0.001 * 0.5)
    assert spread_net(np.array([0.001, 0.0, 0.001]), np.array([1.0, 1.0, 1.0]), cost=0.001) == pytest.approx(-0.004)


def test_returns_that_rise_all_the_way_pass_the_test_and_a_hump_does_not() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.5, size=(500, 5))
    rising, p = monotonicity(noise + np.arange(5.0), block=10)
    assert rising == pytest.approx(1)
    assert p == 0
    falling, p = monotonicity(noise - np.arange(5.0), block=10)
    assert falling == pytest.approx(-1)
    assert p == 0
    _, p = monotonicity(noise + np.array([0.0, 2.0, 4.0, 3.0, 1.0]), block=10)
    assert p > 0.9


def test_without_any_pattern_the_test_rejects_about_as_seldom_as_it_says() -> None:
    rng = np.random.default_rng(1)
    found = [monotonicity(rng.normal(size=(200, 3)), block=5, draws=200, seed=n)[1] for n in range(200)]
    assert np.mean(np.array(found) < 0.05) < 0.1


def test_too_few_sessions_say_nothing_of_monotonicity() -> None:
    assert np.isnan(monotonicity(np.ones((5, 3)), block=10)).all()
    assert np.isnan(monotonicity(np.full((50, 3), NAN), block=10)).all()


def test_capacity_is_what_nine_names_in_ten_can_take() -> None:
    bucket = np.array([[2] * 11 + [1] * 4], dtype=np.int8)
    amount = np.array([[float(n) for n in range(11)] + [1e9] * 4])  # 0 … 10: nine in ten are at 1 or more
    assert capacity(bucket, amount, quantile=2, participation=0.1) == pytest.approx(11 * 0.1 * 1.0)
    both = capacity(np.tile(bucket, (3, 1)), amount * np.array([[1.0], [5.0], [100.0]]), quantile=2, participation=0.1)
    assert both == pytest.approx(11 * 0.1 * 5.0)
    assert np.isnan(capacity(bucket, np.full((1, 15), NAN), quantile=2, participation=0.1))
