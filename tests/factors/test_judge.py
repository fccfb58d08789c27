from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from factors.judge import by_year, daily_ic, daily_rank_ic, difference, mean_rank_ic, newey_west_t, rank_correlations, summary
from factors.ranks import ordered

NAN = np.nan


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(12, 40), st.integers(1, 30))
def test_correlations_equal_those_of_scipy_on_the_pairs_that_are_finite(seed: int, stocks: int, values: int) -> None:
    rng = np.random.default_rng(seed)
    a_SN, b_SN = rng.integers(0, values + 1, size=(2, 4, stocks)).astype(float)
    a_SN[rng.random(a_SN.shape) < 0.1] = NAN
    b_SN[rng.random(b_SN.shape) < 0.1] = NAN
    ic_S, rank_ic_S = daily_ic(a_SN, b_SN), daily_rank_ic(a_SN, b_SN)
    for s in range(4):
        both = np.isfinite(a_SN[s]) & np.isfinite(b_SN[s])
        a, b = a_SN[s, both], b_SN[s, both]
        if both.sum() < 10 or len(set(a)) == 1 or len(set(b)) == 1:
            assert np.isnan(ic_S[s])
            assert np.isnan(rank_ic_S[s])
        else:
            assert ic_S[s] == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-12)
            assert rank_ic_S[s] == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)


def test_nine_pairs_say_nothing() -> None:
    values = np.arange(10.0)[None, :]
    assert daily_ic(values, values)[0] == pytest.approx(1)
    assert np.isnan(daily_ic(values[:, :9], values[:, :9])[0])


def test_scores_that_are_all_the_same_have_no_correlation() -> None:
    noise = np.random.default_rng(0).normal(size=(1, 30))
    assert np.isnan(daily_ic(np.full((1, 30), 0.1), noise)[0])
    assert np.isnan(mean_rank_ic(np.full((1, 30), 0.1), noise))


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="labels"):
        daily_ic(np.zeros((2, 12)), np.zeros((1, 12)))


def test_the_summary_is_mean_and_mean_over_deviation_without_empty_sessions() -> None:
    found = summary(np.array([0.1, 0.3, NAN]), np.array([0.2, 0.2, NAN]))
    assert (found.days, found.ic, found.rank_ic) == (2, pytest.approx(0.2), pytest.approx(0.2))
    assert found.icir == pytest.approx(0.2 / (0.1 * 2**0.5))
    assert np.isnan(found.rank_icir)


def test_the_summary_of_nothing_is_unknown() -> None:
    found = summary(np.array([NAN]), np.array([NAN]))
    assert found.days == 0
    assert np.isnan([found.ic, found.icir, found.rank_ic, found.rank_icir]).all()


def test_years_are_judged_apart() -> None:
    days = [date(2019, 12, 30), date(2019, 12, 31), date(2020, 1, 2)]
    table = by_year(days, np.array([0.1, 0.3, -0.1]), np.array([0.2, 0.4, 0.0]))
    assert table["year"].to_list() == [2019, 2020]
    assert table["days"].to_list() == [2, 1]
    assert table["rank_ic"].to_list() == pytest.approx([0.3, 0.0])


def test_a_clear_difference_excludes_zero_and_luck_does_not() -> None:
    rng = np.random.default_rng(3)
    base, luck = rng.normal(0.05, 0.1, size=400), rng.normal(0.05, 0.1, size=400)
    better = base + 0.03 + rng.normal(0, 0.02, size=400)
    clear = difference(better, base)
    assert clear.excludes_zero
    assert clear.low < clear.mean < clear.high
    assert clear.mean == pytest.approx(np.mean(better - base))
    assert not difference(luck, base).excludes_zero


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(11)
    covered = 0
    for _ in range(200):
        gap = np.convolve(rng.normal(size=304), np.ones(5), mode="valid")  # overlapping labels of five sessions
        found = difference(gap, np.zeros(300), draws=300)
        covered += found.low <= 0 <= found.high
    assert 0.86 <= covered / 200 <= 0.98


def test_the_interval_repeats_and_skips_sessions_without_a_pair() -> None:
    a, b = np.array([0.1, NAN, 0.3, 0.2]), np.array([0.0, 0.1, NAN, 0.1])
    assert difference(a, b) == difference(a, b)
    assert difference(a, b).mean == pytest.approx(0.1)
    assert np.isnan(difference(a[1:2], b[1:2]).mean)


def newey_west(x: np.ndarray, lags: int) -> float:
    """The plain formula: every autocovariance with its Bartlett weight."""
    n, centred = len(x), x - x.mean()
    covariances = [sum(centred[t] * centred[t - lag] for t in range(lag, n)) / n for lag in range(lags + 1)]
    variance = covariances[0] + 2 * sum((1 - lag / (lags + 1)) * covariances[lag] for lag in range(1, lags + 1))
    return float(x.mean() / (variance / n) ** 0.5)


@pytest.mark.parametrize("lags", [0, 1, 5, 20])
def test_the_t_of_overlapping_returns_is_newey_and_wests(lags: int) -> None:
    x = np.convolve(np.random.default_rng(5).normal(0.02, 1, 200), np.ones(5), mode="valid")
    assert newey_west_t(x, lags=lags) == pytest.approx(newey_west(x, lags))
    gaps = np.insert(x, [3, 50], NAN)
    assert newey_west_t(gaps, lags=lags) == pytest.approx(newey_west(x, lags))


def test_without_lags_the_t_is_the_usual_one_and_overlap_makes_it_smaller() -> None:
    x = np.convolve(np.random.default_rng(5).normal(0.3, 1, 400), np.ones(5), mode="valid")
    assert newey_west_t(x, lags=0) == pytest.approx(x.mean() / (x.std() / len(x) ** 0.5))
    assert newey_west_t(x, lags=5) < 0.6 * newey_west_t(x, lags=0)


def test_too_short_or_constant_a_series_has_no_t() -> None:
    assert np.isnan(newey_west_t(np.array([0.1, 0.2]), lags=1))
    assert np.isnan(newey_west_t(np.full(30, NAN), lags=1))
    assert np.isnan(newey_west_t(np.zeros(30), lags=2))


def test_an_order_found_once_serves_every_partner() -> None:
    """The others' gaps differ, so the ranks do; the order doesn't."""
    rng = np.random.default_rng(3)
    a_SN = ordered(rng.integers(0, 9, size=(5, 40)).astype(float))
    for share in (0.0, 0.2, 0.6):
        b_SN = np.where(rng.random((5, 40)) < share, NAN, rng.normal(size=(5, 40)))
        assert np.array_equal(rank_correlations(a_SN, ordered(b_SN)), daily_rank_ic(a_SN.values_SN, b_SN), equal_nan=True)
    assert np.array_equal(rank_correlations(a_SN.rows(2, None), a_SN.rows(None, -2)), daily_rank_ic(a_SN.values_SN[2:], a_SN.values_SN[:-2]))
