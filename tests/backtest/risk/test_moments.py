import numpy as np
import pytest

from backtest.risk.moments import covariance, fading, leaning, shrunk, variances

NAN = float("nan")


def test_weights_halve_every_halflife() -> None:
    assert fading(5, 2.0) == pytest.approx([0.25, 0.5**1.5, 0.5, 0.5**0.5, 1.0])


def test_a_variance_forgets_by_its_halflife_and_counts_what_it_saw() -> None:
    variance, observed = variances(np.array([[2.0], [NAN], [1.0]]), 1.0, 0)
    assert variance[:, 0] == pytest.approx([4.0, 4.0, (0.25 * 4 + 1) / 1.25])
    assert observed[:, 0] == pytest.approx([1.0, 0.5, 1.25])


def test_returns_that_revert_have_less_variance_and_at_least_a_quarter() -> None:
    swinging = np.tile([[1.0], [-1.0]], (100, 1))
    plain, corrected = (variances(swinging, 50.0, lags)[0][-1, 0] for lags in (0, 1))
    assert plain == pytest.approx(1.0)
    assert corrected == pytest.approx(0.25)  # 1 + 2 x 1/2 x -1 would leave nothing


def test_nothing_is_known_before_the_first_value() -> None:
    variance, observed = variances(np.array([[NAN], [3.0]]), 10.0, 2)
    assert np.isnan(variance[0, 0])
    assert observed[0, 0] == 0


def test_a_covariance_of_one_halflife_without_lags_is_the_weighted_one_shrunk() -> None:
    series = np.random.default_rng(0).normal(size=(400, 3)) @ np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 2.0]])
    weights = fading(400, 60.0)
    plain = (series * weights[:, None]).T @ series / weights.sum()
    found = covariance(series, halflife=60, correlation_halflife=60, lags=0)
    assert np.diag(found) == pytest.approx(np.diag(plain))
    share = (found / plain)[~np.eye(3, dtype=bool)]
    assert share == pytest.approx(np.full(6, share[0]))
    assert 0.5 < share[0] < 1


def test_a_covariance_has_no_negative_variance() -> None:
    for seed in range(5):
        series = np.random.default_rng(seed).normal(size=(40, 30))
        found = covariance(series, halflife=10, correlation_halflife=20, lags=3)
        assert np.linalg.eigvalsh(found).min() > -1e-12


def test_correlations_that_could_be_chance_are_taken_for_chance() -> None:
    chance = np.array([[1.0, 0.1], [0.1, 1.0]])
    assert shrunk(chance, 50.0)[0, 1] == 0  # (1 - 0.01)^2 / 50 = 0.0196 > 0.01
    assert shrunk(chance, 1e6)[0, 1] == pytest.approx(0.1, rel=1e-3)
    assert shrunk(np.eye(2), 10.0).tolist() == np.eye(2).tolist()


def test_few_observations_lean_on_the_prior() -> None:
    assert leaning(np.array([4.0, NAN, 4.0]), np.array([20.0, 0.0, 60.0]), np.full(3, 2.0), 20.0) == pytest.approx([3.0, 2.0, 3.5])
