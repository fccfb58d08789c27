"""Figures of probabilities, against scikit-learn and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, roc_auc_score

from models.sentiment.evaluation import auc, calibration_error, evaluation, gain, macro_f1, wilson


def drawn(seed: int, count: int = 200, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities rounded so that they tie, and labels that follow them loosely."""
    rng = np.random.default_rng(seed)
    p_NC = np.round(rng.dirichlet(np.ones(classes), count), 1) + 1e-3
    p_NC /= p_NC.sum(axis=1, keepdims=True)
    return p_NC, np.array([rng.choice(classes, p=p) for p in p_NC])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_macro_f1_and_auc_are_those_of_scikit_learn(seed: int) -> None:
    p_NC, labels = drawn(seed)
    assert macro_f1(p_NC, labels) == pytest.approx(f1_score(labels, p_NC.argmax(axis=1), average="macro"))
    assert auc(p_NC, labels) == pytest.approx(roc_auc_score(labels, p_NC, multi_class="ovr"))


def test_auc_of_one_class_alone_is_unknown() -> None:
    assert np.isnan(auc(np.array([[0.4, 0.6], [0.7, 0.3]]), np.array([1, 1])))


def test_calibration_error_is_the_mean_distance_of_sureness_from_success() -> None:
    p_NC = np.array([[0.9, 0.1]] * 10 + [[0.35, 0.65]] * 10)
    labels = np.array([0] * 8 + [1] * 2 + [1] * 9 + [0])
    assert calibration_error(p_NC, labels) == pytest.approx((abs(0.8 - 0.9) + abs(0.9 - 0.65)) / 2)


def test_wilson_is_the_interval_of_the_books_and_stays_within_0_and_1() -> None:
    found = wilson(81, 263)  # Newcombe (1998), table I
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20).low == pytest.approx(0, abs=1e-12)
    assert wilson(20, 20).high <= 1


def test_every_figure_lies_in_its_interval_and_the_seed_decides_it() -> None:
    p_NC, labels = drawn(3)
    found = evaluation(p_NC, labels)
    assert set(found) == {"accuracy", "macro_f1", "auc", "ece", "log_loss"}
    for name, one in found.items():
        assert one.low < one.high, name
        if name != "ece":  # a bootstrap sample is less well calibrated than the texts it is drawn from
            assert one.low <= one.value <= one.high, name
    assert evaluation(p_NC, labels) == found


def test_a_gain_on_the_same_texts_is_surer_than_two_intervals() -> None:
    floor = np.arange(1000) % 10 != 0
    better = floor | (np.arange(1000) % 50 == 0)
    found = gain(better, floor)
    assert found.value == pytest.approx(0.02)
    assert found.low > 0
    assert wilson(int(better.sum()), 1000).low < wilson(int(floor.sum()), 1000).high
