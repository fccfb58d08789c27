"""Half-lives and regimes on cases worked by hand."""

import numpy as np
import pytest
from scipy import stats

from factors.ranks import ordered
from factors.stability import CALM, TREND, by_regime, half_life, rank_autocorrelation, regimes

NAN = np.nan


def test_the_autocorrelation_of_ranks_is_that_of_the_sessions_before() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(3, 12))
    expected = np.mean([stats.spearmanr(x[t], x[t - 1]).statistic for t in (1, 2)])
    assert rank_autocorrelation(ordered(x)) == pytest.approx(expected)
    assert rank_autocorrelation(ordered(x), lag=2) == pytest.approx(stats.spearmanr(x[2], x[0]).statistic)
    assert np.isnan(rank_autocorrelation(ordered(np.full((3, 12), NAN))))


@pytest.mark.parametrize("life", [0.7, 3.0, 12.0, 400.0])
def test_ranks_that_decay_evenly_have_the_half_life_they_decay_with(life: float) -> None:
    assert half_life({lag: 0.5 ** (lag / life) for lag in (1, 5, 20, 60)}) == pytest.approx(life)


def test_between_two_lags_the_logarithm_is_a_straight_line() -> None:
    assert half_life({1: 0.8, 5: 0.2}) == pytest.approx(1 + 4 * np.log(0.5 / 0.8) / np.log(0.2 / 0.8))
    assert half_life({1: 0.8, 5: -0.1}) < 5
    assert half_life({1: 0.5, 5: 0.1}) == 1


def test_what_does_not_decay_lives_for_ever_and_what_is_unknown_has_no_life() -> None:
    assert half_life({1: 1.0, 5: 1.0}) == np.inf
    assert np.isnan(half_life({1: NAN}))
    assert half_life({1: NAN, 2: 0.5}) == 2


def market(sessions: int = 400) -> np.ndarray:
    rng = np.random.default_rng(7)
    wild = np.where(np.arange(sessions) // 50 % 2 == 1, 0.03, 0.01)
    return np.concatenate([[NAN], rng.normal(0, 1, sessions - 1) * wild[1:]])


def test_regimes_are_what_a_plain_count_of_the_past_says() -> None:
    returns_D = market()
    found = regimes(returns_D)
    spans = {t: np.std(returns_D[t - CALM + 1 : t + 1]) for t in range(CALM, len(returns_D))}
    for t in (TREND, 150, 399):
        assert found["rising"][t] == (np.prod(1 + returns_D[t - TREND + 1 : t + 1]) > 1)
        assert found["falling"][t] != found["rising"][t]
    for t in (100, 222, 399):
        assert found["wild"][t] == (spans[t] > np.median([spans[s] for s in range(CALM, t + 1)]))
        assert found["calm"][t] != found["wild"][t]
    assert not any(state[: CALM + TREND - 1].any() for state in (found["wild"], found["calm"]))
    assert not any(state[:TREND].any() for state in (found["rising"], found["falling"]))


def test_no_later_return_moves_a_regime() -> None:
    returns_D = market()
    whole = regimes(returns_D)
    for t in (0, 1, CALM, 100, 250):
        other = np.where(np.arange(len(returns_D)) > t, 0.5, returns_D)
        for name, state in regimes(other).items():
            assert np.array_equal(state[: t + 1], whole[name][: t + 1]), name
            assert np.array_equal(regimes(returns_D[: t + 1])[name], whole[name][: t + 1])


def test_a_regime_has_the_figures_of_its_own_sessions() -> None:
    ic = np.array([0.1, 0.2, 0.3, 0.4])
    inside = np.array([True, False, True, False])
    found = by_regime({"rising": inside, "never": ~inside & inside}, ic, -ic, lags=0)
    assert found.select("regime", "days").rows() == [("rising", 2), ("never", 0)]
    assert found["rank_ic"][0] == pytest.approx(-0.2)
    assert found["ic"][0] == pytest.approx(0.2)
    assert np.isnan(found["rank_ic"][1])
