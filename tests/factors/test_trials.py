"""P-values for many tries, against plain definitions and worked examples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from factors.trials import benjamini_yekutieli, bonferroni, holm, p_value

P = st.lists(st.floats(0, 1), min_size=1, max_size=20).map(np.array)


@pytest.mark.parametrize("t", [0.0, 1.0, -1.96, 4.5])
def test_p_is_that_of_the_normal_distribution_on_both_sides(t: float) -> None:
    assert p_value(t) == pytest.approx(2 * stats.norm.sf(abs(t)))
    assert np.isnan(p_value(float("nan")))


def test_three_tries_by_hand() -> None:
    p = np.array([0.04, 0.01, 0.03])
    assert bonferroni(p) == pytest.approx([0.12, 0.03, 0.09])
    assert holm(p) == pytest.approx([0.06, 0.03, 0.06])  # 3 x .01, 2 x .03, then 1 x .04 raised to what came before
    harmonic = 1 + 1 / 2 + 1 / 3
    assert benjamini_yekutieli(p) == pytest.approx(np.array([0.04, 0.03, 0.04]) * harmonic)  # of 3 x .03 / 2 = .045 and .04 the smaller


@settings(max_examples=100, deadline=None, derandomize=True)
@given(P)
def test_benjamini_and_yekutieli_agree_with_scipy(p: np.ndarray) -> None:
    assert benjamini_yekutieli(p) == pytest.approx(stats.false_discovery_control(p, method="by"))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(P, st.randoms(use_true_random=False))
def test_adjusting_keeps_the_order_never_helps_and_does_not_care_where_a_try_stands(p: np.ndarray, random: object) -> None:
    turn = np.array(sorted(range(len(p)), key=lambda _: random.random()))  # type: ignore[attr-defined]
    for adjust in (bonferroni, holm, benjamini_yekutieli):
        found = adjust(p)
        assert (found >= p - 1e-15).all()
        assert (found <= 1).all()
        assert (np.diff(found[np.argsort(p)]) >= -1e-15).all()
        assert adjust(p[turn]) == pytest.approx(found[turn])
    assert (holm(p) <= bonferroni(p) + 1e-15).all()


def test_an_unknown_try_counts_as_one_that_showed_nothing() -> None:
    for adjust in (bonferroni, holm, benjamini_yekutieli):
        found, full = adjust(np.array([0.001, np.nan, 0.2])), adjust(np.array([0.001, 1.0, 0.2]))
        assert found[[0, 2]] == pytest.approx(full[[0, 2]])
        assert np.isnan(found[1])
