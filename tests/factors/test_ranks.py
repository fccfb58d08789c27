import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from factors.ranks import centred_ranks, grades, prepare, rank_gauss, rank_gauss_columns, rank_rows, z_score

NAN = np.nan

any_floats = st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.0, 1e-45, -np.inf])
any_columns = arrays(np.float32, st.tuples(st.integers(0, 12), st.integers(0, 4)), elements=any_floats)
tied_rows = arrays(np.float64, (3, 12), elements=st.sampled_from([-2.0, 0.0, 0.5, 3.0, np.nan, np.inf]))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(tied_rows)
def test_ranks_average_ties_as_scipy_does_and_skip_what_is_not_finite(values_SN: np.ndarray) -> None:
    for row, ranks in zip(values_SN, rank_rows(values_SN), strict=True):
        finite = np.isfinite(row)
        assert np.array_equal(ranks[finite], stats.rankdata(row[finite]))
        assert np.isnan(ranks[~finite]).all()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(tied_rows)
def test_gaussian_ranks_are_the_normal_quantiles_of_the_mid_ranks(values_SN: np.ndarray) -> None:
    for row, gauss in zip(values_SN, rank_gauss(values_SN), strict=True):
        finite = np.isfinite(row)
        expected = stats.norm.ppf((stats.rankdata(row[finite]) - 0.5) / max(finite.sum(), 1))
        assert gauss[finite] == pytest.approx(expected, abs=1e-12)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(any_columns)
def test_the_fast_gaussian_ranks_are_the_slow_ones_to_the_bit(x_NF: np.ndarray) -> None:
    slow_NF = rank_gauss(x_NF.T).T.astype(np.float32)
    fast_NF = rank_gauss_columns(x_NF)
    assert fast_NF.dtype == np.float32
    assert np.array_equal(fast_NF, slow_NF, equal_nan=True)


def test_a_whole_market_of_gaussian_ranks_is_the_slow_one_to_the_bit() -> None:
    x_NF = np.random.default_rng(0).normal(size=(5000, 7)).round(2).astype(np.float32)
    assert np.array_equal(rank_gauss_columns(x_NF), rank_gauss(x_NF.T).T.astype(np.float32))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(tied_rows)
def test_centred_ranks_sum_to_0_and_stay_within_a_half(values_SN: np.ndarray) -> None:
    ranks_SN = centred_ranks(values_SN)
    finite = np.isfinite(ranks_SN)
    assert (np.abs(ranks_SN[finite]) < 0.5).all()
    assert np.sum(ranks_SN, axis=1, where=finite) == pytest.approx(0, abs=1e-12)


def test_z_scores_have_mean_0_and_deviation_1_over_finite_values() -> None:
    z = z_score(np.array([[1.0, 2.0, 3.0, np.nan], [5.0, 5.0, 5.0, 5.0], [np.nan, np.nan, np.nan, np.nan]]))
    assert z[0, :3] == pytest.approx([-(1.5**0.5), 0, 1.5**0.5])
    assert np.isnan(z[0, 3])
    assert (z[1] == 0).all()
    assert np.isnan(z[2]).all()


def test_a_constant_row_that_rounds_is_flat_too() -> None:
    assert (z_score(np.full((1, 7), 0.1)) == 0).all()


def test_grades_split_a_session_into_equal_parts_best_highest() -> None:
    values = np.random.default_rng(0).permutation(64).astype(float)[None, :]
    found = grades(values, 32)[0]
    assert np.bincount(found.astype(int)).tolist() == [2] * 32
    assert found[values[0].argmax()] == 31
    assert np.isnan(grades(np.array([[1.0, np.nan]]), 32)[0, 1])


@pytest.mark.parametrize("how", ["z_score", "rank_gauss"])
def test_inputs_are_scaled_factor_by_factor_and_missing_stays_missing(how: str) -> None:
    x_NF = np.array([[1, 100], [2, np.nan], [3, 300]], dtype=np.float32)
    scaled = prepare(x_NF, how)  # type: ignore[arg-type]
    assert scaled.dtype == np.float32
    assert scaled[:, 0].sum() == pytest.approx(0, abs=1e-6)
    assert np.isnan(scaled[1, 1])
    assert scaled[0, 1] == pytest.approx(-scaled[2, 1])


def test_extreme_z_scores_of_inputs_are_clipped_at_3() -> None:
    x_NF = np.zeros((100, 1), dtype=np.float32)
    x_NF[0] = 1e6
    assert prepare(x_NF, "z_score").max() == 3.0


def test_raw_inputs_pass_untouched() -> None:
    x_NF = np.ones((2, 2), dtype=np.float32)
    assert prepare(x_NF, "raw") is x_NF
