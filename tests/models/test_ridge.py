from dataclasses import replace

import numpy as np
import pytest

from factors.ranks import prepare
from models.dataset import Dataset
from models.folds import Fold
from models.labels import dress
from models.ridge import Ridge, RidgeSettings, project, solve


def test_weights_are_those_of_the_normal_equations(planted: Dataset, fold: Fold) -> None:
    model = Ridge(RidgeSettings(alphas=(0.3,)))
    model.fit(planted, fold.train, fold.valid, seed=0)
    y_SN = dress(planted.loss_label(5)[fold.train], "rank_gauss")
    gram, moment = np.zeros((7, 7)), np.zeros(7)
    for place, session in enumerate(fold.train):
        y_N = y_SN[place, planted.present_DN[session]]
        known = np.isfinite(y_N)
        x_NF = np.nan_to_num(prepare(planted.session(int(session)), "rank_gauss"))[known].astype(float)
        gram += x_NF.T @ x_NF / known.sum() / len(fold.train)
        moment += x_NF.T @ y_N[known] / known.sum() / len(fold.train)
    assert model.weights_F == pytest.approx(np.linalg.solve(gram + 0.3 * np.eye(7), moment))


def test_the_solver_agrees_with_lapack() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(30, 12))
    matrix, right = root.T @ root + 0.1 * np.eye(12), rng.normal(size=12)
    assert solve(matrix, right) == pytest.approx(np.linalg.solve(matrix, right))


def test_scores_are_sums_of_inputs_times_weights() -> None:
    x_RF = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    weights = np.arange(5.0)
    assert project(x_RF, weights) == pytest.approx(x_RF.astype(float) @ weights)


def test_alpha_is_the_one_with_the_best_rank_ic_on_validation(planted: Dataset, fold: Fold) -> None:
    model = Ridge(RidgeSettings(alphas=(0.001, 100.0)))
    model.fit(planted, fold.train, fold.valid, seed=0)
    best = max(model.rank_ics, key=lambda alpha: model.rank_ics[alpha])
    alone = Ridge(RidgeSettings(alphas=(best,)))
    alone.fit(planted, fold.train, fold.valid, seed=0)
    assert np.array_equal(model.weights_F, alone.weights_F)


def test_a_missing_factor_counts_as_average(planted: Dataset, fold: Fold) -> None:
    model = Ridge()
    model.fit(planted, fold.train, fold.valid, seed=0)
    hidden = replace(planted, x_DNF=np.full_like(planted.x_DNF, np.nan))
    present = planted.present_DN[fold.test]
    assert (model.score(hidden, fold.test)[present] == 0).all()


def test_trimming_changes_what_is_taught(planted: Dataset, fold: Fold) -> None:
    plain, trimmed = Ridge(), Ridge(RidgeSettings(trim=0.025, label="z_score", inputs="z_score"))
    for model in (plain, trimmed):
        model.fit(planted, fold.train, fold.valid, seed=0)
    assert not np.allclose(plain.weights_F, trimmed.weights_F)


def test_an_unfitted_ridge_scores_nothing(planted: Dataset) -> None:
    with pytest.raises(ValueError, match="neither fitted nor loaded"):
        Ridge().score(planted, np.arange(1))
