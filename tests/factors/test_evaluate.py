"""Evaluation of a factor on cases worked by hand."""

from datetime import date

import numpy as np
import pytest
from scipy import stats

from factors.evaluate import coverage, evaluate, newey_west_t, quantile_returns, rank_autocorrelation

NAN = np.nan
DAYS = [date(2019, 12, 30), date(2019, 12, 31), date(2020, 1, 2), date(2020, 1, 3)]


def test_a_factor_that_knows_the_order_has_a_rank_ic_of_1() -> None:
    x = np.tile(np.arange(20.0), (4, 1))
    y_DNH = np.stack([x**3, -x], axis=-1)
    found = evaluate({"mine": x}, y_DNH, (5, 10), np.ones(x.shape, dtype=bool), DAYS)
    assert found.summary.select("factor", "horizon", "days").rows() == [("mine", 5, 4), ("mine", 10, 4)]
    assert found.summary["rank_ic"].to_list() == pytest.approx([1, -1])
    assert found.summary["ic"][0] == pytest.approx(np.corrcoef(x[0], x[0] ** 3)[0, 1])
    assert found.summary["coverage"].to_list() == [1.0, 1.0]
    assert found.summary["rank_autocorrelation"].to_list() == pytest.approx([1.0, 1.0])
    assert found.years.select("factor", "year", "days").rows() == [("mine", 2019, 2), ("mine", 2020, 2)]
    assert found.daily["mine"] == pytest.approx([1.0] * 4)
    assert found.quantiles["mine"] == pytest.approx([np.mean(np.arange(4 * q, 4 * q + 4) ** 3.0) for q in range(5)])
    assert found.summary["spread"][0] == pytest.approx(found.quantiles["mine"][-1] - found.quantiles["mine"][0])


def test_the_summary_equals_scipys_daily_correlations() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(4, 30)), rng.normal(size=(4, 30))
    x[rng.random(x.shape) < 0.1] = y[rng.random(x.shape) < 0.1] = NAN
    found = evaluate({"mine": x}, y[..., None], (5,), np.ones(x.shape, dtype=bool), DAYS)
    expected = []
    for t in range(4):
        both = np.isfinite(x[t]) & np.isfinite(y[t])
        expected.append(stats.spearmanr(x[t, both], y[t, both]).statistic)
    assert found.daily["mine"] == pytest.approx(expected)
    assert found.summary["rank_ic"][0] == pytest.approx(np.mean(expected))
    assert found.summary["rank_icir"][0] == pytest.approx(np.mean(expected) / np.std(expected, ddof=1))


def test_absent_stocks_count_neither_in_returns_nor_in_coverage() -> None:
    x = np.tile(np.arange(20.0), (4, 1))
    present = np.ones(x.shape, dtype=bool)
    present[:, 15:] = False
    y = x.copy()
    y[:, 15:] = -1000.0
    x[0, :3] = NAN
    found = evaluate({"mine": x}, y[..., None], (5,), present, DAYS)
    assert found.summary["rank_ic"][0] == pytest.approx(1.0)
    assert found.summary["coverage"][0] == pytest.approx(57 / 60)
    assert found.quantiles["mine"].min() >= 0


def test_every_factor_and_horizon_has_its_row_in_order() -> None:
    rng = np.random.default_rng(1)
    values = {name: rng.normal(size=(4, 12)) for name in ("b", "a")}
    found = evaluate(values, rng.normal(size=(4, 12, 3)), (1, 5, 20), np.ones((4, 12), dtype=bool), DAYS)
    assert found.summary.select("factor", "horizon").rows() == [("b", 1), ("b", 5), ("b", 20), ("a", 1), ("a", 5), ("a", 20)]
    assert found.summary["spread"].is_null().to_list() == [True, False, True] * 2
    assert list(found.quantiles) == ["b", "a"]


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


def test_the_autocorrelation_of_ranks_is_that_of_the_sessions_before() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(3, 12))
    expected = np.mean([stats.spearmanr(x[t], x[t - 1]).statistic for t in (1, 2)])
    assert rank_autocorrelation(x) == pytest.approx(expected)
    assert rank_autocorrelation(x, lag=2) == pytest.approx(stats.spearmanr(x[2], x[0]).statistic)
    assert np.isnan(rank_autocorrelation(np.full((3, 12), NAN)))


def test_coverage_of_nobody_is_0() -> None:
    assert coverage(np.full((2, 3), NAN), np.zeros((2, 3), dtype=bool)) == 0.0


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
