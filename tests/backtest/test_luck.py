from itertools import combinations
from math import e, erf, log, sqrt

import numpy as np
import pytest

from backtest import luck
from data.errors import KestrelError


def noise(seed, sessions=640, count=20):
    return np.random.default_rng(seed).normal(0, 0.01, (sessions, count))


def test_probabilistic_sharpe_matches_the_formula_by_hand():
    r = np.array([0.01, -0.01, 0.02, 0.0, 0.03])
    mean, spread = 0.01, sqrt((0 + 4 + 1 + 1 + 4) * 1e-4 / 4)
    population = spread * sqrt(4 / 5)
    z = [(x - mean) / population for x in r]
    skew, kurtosis = sum(x**3 for x in z) / 5, sum(x**4 for x in z) / 5
    found = mean / spread
    score = (found - 0.1) * sqrt(4) / sqrt(1 - skew * found + (kurtosis - 1) / 4 * found**2)
    assert luck.probabilistic_sharpe(r, 0.1) == pytest.approx((1 + erf(score / sqrt(2))) / 2)
    assert luck.probabilistic_sharpe(r, luck.ratio(r)) == pytest.approx(0.5)
    assert np.isnan(luck.probabilistic_sharpe(np.zeros(5)))


def test_numbers_of_the_paper_come_out():
    # Bailey and Lopez de Prado 2014, their numerical example: 100 trials of variance 1/2 a year, 1,250 sessions, a ratio of 2.5 a year,
    # skew -3 and kurtosis 10 give an expected best of .1132 a session and a deflated ratio of .9004
    spread = sqrt(0.5 / 250)
    assert luck.expected_best(spread, 100) == pytest.approx(0.1132, abs=5e-5)
    found, skew, kurtosis = 2.5 / sqrt(250), -3, 10
    score = (found - luck.expected_best(spread, 100)) * sqrt(1249) / sqrt(1 - skew * found + (kurtosis - 1) / 4 * found**2)
    assert luck.NORMAL.cdf(score) == pytest.approx(0.9004, abs=5e-5)
    assert luck.expected_best(spread, 1) == 0


def test_expected_best_is_that_of_simulated_trials():
    drawn = np.random.default_rng(0).normal(size=(20_000, 50)).max(axis=1).mean()
    assert luck.expected_best(1.0, 50) == pytest.approx(drawn, rel=0.02)
    by_hand = (1 - luck.EULER) * luck.NORMAL.inv_cdf(1 - 1 / 50) + luck.EULER * luck.NORMAL.inv_cdf(1 - 1 / (50 * e))
    assert luck.expected_best(2.0, 50) == pytest.approx(2 * by_hand)


def test_copies_of_one_trial_are_one_trial_and_independent_ones_are_all_of_them():
    x = noise(1)
    assert luck.independent_trials(np.repeat(x[:, :1], 30, axis=1)) == pytest.approx(1)
    assert luck.independent_trials(x) == pytest.approx(20, rel=0.05)
    pairs = np.corrcoef(x.T)[np.triu_indices(20, 1)].mean()
    assert luck.independent_trials(x) == pytest.approx(max(pairs, 0) + (1 - max(pairs, 0)) * 20)
    assert luck.independent_trials(np.zeros((9, 3))) == 0


def test_best_of_noise_is_deflated_and_a_planted_winner_is_not():
    best = [luck.deflated_sharpe(noise(seed)) for seed in range(30)]
    assert 0.3 < np.mean(best) < 0.7
    plain = [max(luck.probabilistic_sharpe(column) for column in noise(seed).T) for seed in range(30)]
    assert np.mean(plain) > 0.9  # what would have been believed
    planted = noise(3)
    planted[:, 7] += 0.003
    assert luck.deflated_sharpe(planted) > 0.99
    assert luck.deflated_sharpe(planted, best=0) < 0.5
    assert np.isnan(luck.deflated_sharpe(np.zeros((50, 2))))


def test_choosing_the_best_of_noise_is_overfitting_half_of_the_time_and_a_planted_winner_never():
    assert np.mean([luck.overfitting(noise(seed), 8).probability for seed in range(30)]) == pytest.approx(0.5, abs=0.08)
    planted = noise(4)
    planted[:, 7] += 0.004
    found = luck.overfitting(planted)
    assert found.probability == found.loss == 0
    assert len(found.logits) == 12_870


def test_splits_match_those_of_plain_loops():
    x = np.random.default_rng(6).normal(size=(27, 5))
    x[:, 4] = x[:, 3]  # ties share their rank
    x[:, 2] = 0.0  # never chosen
    blocks = x[3:].reshape(4, 6, 5)
    logits = []
    for chosen in combinations(range(4), 2):
        inside = np.concatenate([blocks[b] for b in chosen])
        outside = np.concatenate([blocks[b] for b in range(4) if b not in chosen])
        theirs = [luck.ratio(column) if column.any() else -np.inf for column in outside.T]
        best = int(np.nanargmax([luck.ratio(column) if column.any() else np.nan for column in inside.T]))
        rank = sum(value < theirs[best] - 1e-12 for value in theirs) + (sum(abs(value - theirs[best]) < 1e-12 for value in theirs) + 1) / 2
        logits.append(log(rank / 6 / (1 - rank / 6)))
    found = luck.overfitting(x, 4)
    assert found.logits == pytest.approx(logits)
    assert found.probability == np.mean(np.array(logits) <= 0)


@pytest.mark.parametrize(("shape", "blocks"), [((100, 1), 4), ((100, 3), 5), ((7, 3), 4), ((100, 3), 0)])
def test_what_cannot_be_cross_validated_is_refused(shape, blocks):
    with pytest.raises(KestrelError, match="can't be cross-validated"):
        luck.overfitting(np.ones(shape), blocks)
