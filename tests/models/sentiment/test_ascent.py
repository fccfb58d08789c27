"""Dual coordinate ascent against the optimality condition, scikit-learn and the invariants that it works by."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.sentiment.student import ascent
from models.sentiment.student.losses import DistilSettings, Targets, labelled, loss, softmax, taught

Sparse = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]


def sparse(texts: int, columns: int, rng: np.random.Generator) -> tuple[Sparse, NDArray[np.float64]]:
    """A matrix of rows of length 1, a third of it filled, as sparse rows and as it is."""
    x_NK = np.where(rng.random((texts, columns)) < 1 / 3, rng.normal(size=(texts, columns)), 0.0)
    x_NK[:, 0] += 0.5
    x_NK = (x_NK / np.linalg.norm(x_NK, axis=1, keepdims=True)).astype(np.float32)
    rows, found = np.nonzero(x_NK)
    return (np.searchsorted(rows, np.arange(texts + 1)).astype(np.int64), found.astype(np.int32), x_NK[rows, found]), x_NK.astype(np.float64)


def mixed(texts: int, classes: int, rng: np.random.Generator) -> Targets:
    """A third of the texts with a label alone, a third with a teacher's answer alone, a third with both."""
    teacher, labels = softmax(2 * rng.normal(size=(texts, classes))), rng.integers(0, classes, texts)
    labels[::3] = -1
    targets = taught(teacher, DistilSettings(alpha=0.6, temperature=2.5), labels)
    targets.teacher_NC[1::3] = np.nan
    return targets


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 9), st.sampled_from([0.1, 3.0, 30.0]))
def test_the_gradient_is_nothing_at_the_solution_whatever_tells_the_targets(seed: int, classes: int, strength: float) -> None:
    rng = np.random.default_rng(seed)
    matrix, x_NK = sparse(24, 8, rng)
    targets = mixed(24, classes, rng)
    weights_KC, bias_C = ascent.solved(matrix, 8, targets, strength, sweeps=2000, still=1e-7)
    _, slope_NC = loss(x_NK @ weights_KC + bias_C, targets)
    assert np.abs(strength * x_NK.T @ slope_NC + weights_KC).max() < 2e-3 * strength
    assert np.abs(strength * slope_NC.sum(axis=0) + bias_C).max() < 2e-3 * strength


def test_labels_alone_give_the_weights_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(3)
    matrix, x_NK = sparse(150, 20, rng)
    labels = (x_NK @ rng.normal(size=(20, 4)) + rng.normal(size=(150, 4))).argmax(axis=1)
    weights_KC, bias_C = ascent.solved(matrix, 20, labelled(labels, 4), 5.0, sweeps=100, still=1e-5)
    oracle = LogisticRegression(C=5.0, fit_intercept=False, tol=1e-8, max_iter=2000).fit(np.c_[x_NK, np.ones(150)], labels)
    assert pytest.approx(oracle.coef_, abs=2e-3) == np.vstack([weights_KC, bias_C]).T


def test_few_sweeps_are_enough_for_many_classes() -> None:
    rng = np.random.default_rng(5)
    matrix, x_NK = sparse(300, 60, rng)
    targets = labelled((x_NK @ (4 * rng.normal(size=(60, 22)))).argmax(axis=1), 22)
    short, long = (np.vstack(ascent.solved(matrix, 60, targets, 30.0, sweeps=sweeps, still=1e-9)) for sweeps in (12, 200))

    def objective(weights_KC: NDArray[np.float64]) -> float:
        return 30 * loss(x_NK @ weights_KC[:-1] + weights_KC[-1], targets)[0] + 0.5 * float(np.sum(weights_KC**2))

    assert objective(short) < 1.01 * objective(long)


def test_the_weights_are_what_the_texts_pull_at() -> None:
    rng = np.random.default_rng(7)
    matrix, x_NK = sparse(50, 10, rng)
    target_PNC, share_NP, warm_P = mixed(50, 3, rng).parts
    weights_KC, pull_NC = np.zeros((11, 3)), np.zeros((50, 3))
    for _ in range(3):
        ascent.swept(*matrix, target_PNC, share_NP, warm_P, 8.0, weights_KC, pull_NC, rng.permutation(50))
    assert weights_KC == pytest.approx(8.0 * np.c_[x_NK, np.ones(50)].T @ pull_NC, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-50, 50), min_size=2, max_size=6), st.floats(0.01, 1000), st.floats(0, 1))
def test_a_text_is_settled_from_anywhere(start: list[float], reach: float, share: float) -> None:
    z_C, classes = np.array(start), len(start)
    target_PC = np.stack([np.eye(classes)[0], np.full(classes, 1 / classes)])
    new_C, from_C = np.empty(classes), z_C.copy()
    ascent.settled(z_C, np.zeros(classes), reach, target_PC, np.array([1 - share, share]), np.array([1.0, 2.0]), new_C)
    _, slope_NC = loss(z_C[None], Targets(target_PC[:1], target_PC[1:], DistilSettings(alpha=share, temperature=2.0)))
    assert new_C == pytest.approx(-slope_NC[0], abs=1e-9)
    assert z_C == pytest.approx(from_C + reach * new_C, abs=2e-4)
