"""Combination: weights by hand, shrinkage against scikit-learn, and no later return in an earlier weight."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factors.combine import CombineSettings, Weighing, combine, daily_rank_ics, moments, walk, weigh
from factors.judge import daily_rank_ic, mean_rank_ic
from factors.ranks import rank_gauss

NAN = np.nan
WAYS: list[Weighing] = ["equal", "ic", "icir", "max_icir"]


def ics(sessions: int = 300, seed: int = 1) -> np.ndarray:
    """Daily ICs of three factors: a good calm one, a good wild one, and one that foretells the other way round."""
    rng = np.random.default_rng(seed)
    return np.array([0.04, 0.04, -0.02]) + rng.normal(size=(sessions, 3)) * np.array([0.05, 0.2, 0.1])


def test_weights_by_hand() -> None:
    ic_TF = np.array([[0.1, 0.3, -0.2], [0.3, 0.5, -0.2], [0.2, 0.4, -0.5]])
    plain = CombineSettings(least=2, shrinkage=0.0)
    mean, deviation = np.array([0.2, 0.4, -0.3]), np.array([0.1, 0.1, 0.3 / 3**0.5])
    assert weigh(ic_TF, plain.model_copy(update={"weighing": "equal"})) == pytest.approx([1 / 3, 1 / 3, -1 / 3])
    assert weigh(ic_TF, plain.model_copy(update={"weighing": "ic"})) == pytest.approx(mean / 0.9)
    assert weigh(ic_TF, plain) == pytest.approx(mean / deviation / np.abs(mean / deviation).sum())


def test_the_best_weights_are_the_inverse_covariance_times_the_mean() -> None:
    ic_TF = ics()
    found = weigh(ic_TF, CombineSettings(weighing="max_icir", shrinkage=0.0))
    expected = np.linalg.solve(np.cov(ic_TF.T), ic_TF.mean(axis=0))
    assert found == pytest.approx(expected / np.abs(expected).sum())


def test_no_other_weights_had_a_higher_icir_in_the_sample() -> None:
    ic_TF = ics()
    best = ic_TF @ weigh(ic_TF, CombineSettings(weighing="max_icir", shrinkage=0.0))
    for seed in range(50):
        other = ic_TF @ np.random.default_rng(seed).normal(size=3)
        assert best.mean() / best.std() >= abs(other.mean()) / other.std() - 1e-12


def test_whole_shrinkage_leaves_the_means_to_decide() -> None:
    ic_TF = ics()
    assert weigh(ic_TF, CombineSettings(weighing="max_icir", shrinkage=1.0)) == pytest.approx(weigh(ic_TF, CombineSettings(weighing="ic")))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(3, 200), st.integers(1, 12), st.integers(0, 1000))
def test_ledoit_and_wolfs_covariance_is_scikit_learns(sessions: int, factors: int, seed: int) -> None:
    from sklearn.covariance import ledoit_wolf

    rng = np.random.default_rng(seed)
    ic_TF = rng.normal(size=(sessions, factors)) @ rng.normal(size=(factors, factors))
    _, found = moments(ic_TF, "ledoit_wolf")
    assert found == pytest.approx(ledoit_wolf(ic_TF)[0], rel=1e-9, abs=1e-12)


def test_a_factor_with_too_little_past_weighs_nothing_and_without_any_nobody_knows() -> None:
    ic_TF = ics()
    ic_TF[:250, 1] = NAN
    for way in WAYS:
        found = weigh(ic_TF, CombineSettings(weighing=way, least=100))
        assert found[1] == 0
        assert np.abs(found).sum() == pytest.approx(1)
        assert np.isnan(weigh(ic_TF[:50], CombineSettings(weighing=way, least=100))).all()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("window", [None, 60])
def test_no_later_return_moves_an_earlier_weight(way: Weighing, window: int | None) -> None:
    """The weights of session d are the same whatever the returns that end after d turn out to be."""
    rng = np.random.default_rng(2)
    reach, sessions = 6, 160
    values = {name: rng.normal(size=(sessions, 30)) for name in "abc"}
    prices = np.cumprod(1 + rng.normal(0, 0.02, size=(sessions, 30)), axis=0)
    chosen = CombineSettings(weighing=way, window=window, least=20, every=7)

    def weights(known: np.ndarray) -> np.ndarray:
        y_DN = np.full(known.shape, NAN)
        y_DN[:-reach] = known[reach:] / known[1 : 1 - reach] - 1  # bought a session later, held for five
        return walk(daily_rank_ics(values, y_DN), chosen, reach=reach)

    whole = weights(prices)
    assert np.isfinite(whole[60:]).all()
    for d in (40, 77, 78, 120):
        poisoned = np.where(np.arange(sessions)[:, None] > d, prices[::-1], prices)
        assert np.array_equal(weights(poisoned)[: d + 1], whole[: d + 1], equal_nan=True)
        assert not np.array_equal(weights(poisoned)[d + 1 :], whole[d + 1 :])


def test_a_fit_reads_every_return_that_is_over_and_no_other() -> None:
    ic_DF = ics(100)
    chosen = CombineSettings(weighing="ic", window=30, least=10, every=5)
    found = walk(ic_DF, chosen, reach=6)
    assert found[50] == pytest.approx(weigh(ic_DF[50 - 6 + 1 - 30 : 50 - 6 + 1], chosen))
    assert found[54] == pytest.approx(found[50])
    assert np.isnan(found[:15]).all()  # at 15 the ICs of 0 … 9 are known
    assert found[15] == pytest.approx(weigh(ic_DF[:10], chosen))


def test_a_combination_is_the_weighted_sum_of_normal_scores_of_those_present() -> None:
    rng = np.random.default_rng(4)
    values = {name: rng.normal(size=(2, 12)) for name in "ab"}
    values["a"][0, 0] = NAN
    values["b"][0, :2] = NAN
    present = np.ones((2, 12), dtype=bool)
    present[1, 3] = False
    found = combine(values, np.array([[0.25, -0.75], [NAN, NAN]]), present)
    a, b = (rank_gauss(values[name])[0] for name in "ab")
    assert np.isnan(found[0, 0])
    assert found[0, 1] == pytest.approx(0.25 * a[1])
    assert found[0, 2:] == pytest.approx(0.25 * a[2:] - 0.75 * b[2:])
    assert np.isnan(found[1]).all()
    fixed = combine(values, np.array([0.5, 0.5]), present)
    assert np.isnan(fixed[1, 3])
    assert np.array_equal(fixed, combine(values, np.full((2, 2), 0.5), present), equal_nan=True)


def test_good_factors_together_foretell_better_than_each() -> None:
    rng = np.random.default_rng(8)
    y_DN = rng.normal(size=(400, 80))
    values = {name: sign * y_DN + rng.normal(0, 8, size=y_DN.shape) for name, sign in (("a", 1), ("b", -1), ("c", 1))}
    ic_DF = daily_rank_ics(values, y_DN)
    assert ic_DF[:, 0] == pytest.approx(daily_rank_ic(values["a"], y_DN))
    part = slice(200, None)
    best = max(abs(mean_rank_ic(panel[part], y_DN[part])) for panel in values.values())
    for way in WAYS:
        mixed = combine(values, walk(ic_DF, CombineSettings(weighing=way), reach=6), np.ones(y_DN.shape, dtype=bool))
        assert mean_rank_ic(mixed[part], y_DN[part]) > 1.3 * best
