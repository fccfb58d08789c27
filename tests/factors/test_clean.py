"""Cleaning against plain references, session by session."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError
from scipy import stats

from data.errors import KestrelError
from data.panel import Floats
from factors.clean import CleanSettings, clean, gram_schmidt, neutralise, orthogonalise, scale, symmetric, winsorise, winsorise_tails

NAN = np.nan
ROWS = arrays(np.float64, (3, 15), elements=st.sampled_from([-40.0, -2.0, -1.0, 0.0, 0.5, 1.0, 3.0, 1e4, NAN]))


@pytest.fixture
def market() -> tuple[Floats, Floats, np.ndarray]:
    """A factor, log cap and industries of 4 sessions and 60 stocks, with nulls."""
    rng = np.random.default_rng(6)
    cap = rng.normal(22, 1, (4, 60))
    groups = rng.integers(-1, 5, (4, 60))
    values = 0.8 * cap + groups * 2.0 + rng.normal(size=(4, 60))
    values[rng.random(values.shape) < 0.1] = NAN
    cap[rng.random(cap.shape) < 0.05] = NAN
    return values, cap, groups


@settings(max_examples=60, deadline=None, derandomize=True)
@given(ROWS, st.sampled_from([1.0, 3.0, 5.0]))
def test_winsorising_pulls_in_what_lies_beyond_the_median_deviations(values: Floats, deviations: float) -> None:
    found = winsorise(values, deviations=deviations)
    for row, out in zip(values, found, strict=True):
        seen = np.isfinite(row)
        if not seen.any():
            assert np.isnan(out).all()
            continue
        middle = np.median(row[seen])
        width = deviations * stats.median_abs_deviation(row[seen]) * 1.4826
        expected = np.clip(row[seen], middle - width, middle + width) if width > 0 else row[seen]
        assert out[seen] == pytest.approx(expected)
        assert np.isnan(out[~seen]).all()


def test_infinities_are_nulls_to_winsorising() -> None:
    found = winsorise(np.array([[1.0, 2.0, 3.0, np.inf]]))
    assert found[0, :3].tolist() == [1, 2, 3]
    assert np.isnan(found[0, 3])


def test_winsorising_keeps_the_order_and_leaves_its_argument_alone() -> None:
    values = np.random.default_rng(1).standard_cauchy((5, 200))
    before = values.copy()
    found = winsorise(values)
    assert np.array_equal(values, before)
    order = np.argsort(values, axis=1)
    assert (np.diff(np.take_along_axis(found, order, axis=1), axis=1) >= 0).all()
    assert np.abs(found).max() < np.abs(values).max()


def test_scales_are_z_scores_ranks_and_normal_quantiles() -> None:
    values = np.array([[3.0, 1.0, 2.0, NAN, 10.0]])
    seen = values[0, [0, 1, 2, 4]]
    assert scale(values, "z_score")[0, [0, 1, 2, 4]] == pytest.approx((seen - seen.mean()) / seen.std())
    assert scale(values, "rank")[0, [0, 1, 2, 4]] == pytest.approx([0.125, -0.375, -0.125, 0.375])
    assert scale(values, "rank_gauss")[0, [0, 1, 2, 4]] == pytest.approx(stats.norm.ppf([0.625, 0.125, 0.375, 0.875]))
    for how in ("z_score", "rank", "rank_gauss"):
        assert np.isnan(scale(values, how)[0, 3])  # type: ignore[arg-type]


def test_neutralising_is_the_residual_of_plain_least_squares_on_dummies_and_styles(market: tuple[Floats, Floats, np.ndarray]) -> None:
    values, cap, groups = market
    found = neutralise(values, [cap], groups)
    for t in range(4):
        known = np.isfinite(values[t]) & np.isfinite(cap[t])
        dummies = (groups[t, known][:, None] == np.unique(groups[t, known])).astype(float)
        x = np.column_stack([dummies, cap[t, known]])
        expected = values[t, known] - x @ np.linalg.lstsq(x, values[t, known], rcond=None)[0]
        assert found[t, known] == pytest.approx(expected, abs=1e-9)
        assert np.isnan(found[t, ~known]).all()


def test_what_is_left_is_orthogonal_to_every_style_and_group(market: tuple[Floats, Floats, np.ndarray]) -> None:
    values, cap, groups = market
    other = np.random.default_rng(9).normal(size=cap.shape)
    found = neutralise(values, [cap, other], groups)
    for t in range(4):
        known = np.isfinite(found[t])
        for style in (cap, other):
            assert found[t, known] @ style[t, known] == pytest.approx(0, abs=1e-8)
        for group in np.unique(groups[t, known]):
            assert found[t, known][groups[t, known] == group].sum() == pytest.approx(0, abs=1e-9)


def test_neutralising_twice_changes_nothing_more(market: tuple[Floats, Floats, np.ndarray]) -> None:
    values, cap, groups = market
    once = neutralise(values, [cap], groups)
    assert neutralise(once, [cap], groups) == pytest.approx(once, abs=1e-9, nan_ok=True)


def test_without_groups_the_market_is_one_group(market: tuple[Floats, Floats, np.ndarray]) -> None:
    values, cap, _ = market
    t = 0
    known = np.isfinite(values[t]) & np.isfinite(cap[t])
    slope, start = np.polyfit(cap[t, known], values[t, known], 1)
    assert neutralise(values, [cap])[t, known] == pytest.approx(values[t, known] - slope * cap[t, known] - start)


def test_without_styles_groups_are_demeaned() -> None:
    values, groups = np.array([[1.0, 3.0, 10.0, NAN]]), np.array([[0, 0, 1, 1]])
    assert neutralise(values, [], groups)[0, :3].tolist() == [-1, 1, 0]


def test_a_session_with_too_few_stocks_is_null() -> None:
    assert np.isnan(neutralise(np.array([[1.0, 2.0, NAN]]), [np.array([[1.0, 2.0, 3.0]])])).all()


def test_no_session_sees_another(market: tuple[Floats, Floats, np.ndarray]) -> None:
    values, cap, groups = market
    chosen = CleanSettings(winsorise=3.0, neutralise=("industry", "log_float_cap"))
    whole = clean(values, chosen, styles={"log_float_cap": cap}, groups_DN=groups)
    for t in range(4):
        row = slice(t, t + 1)
        assert np.array_equal(clean(values[row], chosen, styles={"log_float_cap": cap[row]}, groups_DN=groups[row]), whole[row], equal_nan=True)


def test_by_default_a_factor_is_left_as_it_is(market: tuple[Floats, Floats, np.ndarray]) -> None:
    assert clean(market[0], CleanSettings()) is market[0]


def test_settings_say_in_which_order(market: tuple[Floats, Floats, np.ndarray]) -> None:
    values, cap, groups = market
    found = clean(values, CleanSettings(winsorise=2.0, neutralise=("log_float_cap",)), styles={"log_float_cap": cap}, groups_DN=groups)
    assert found == pytest.approx(neutralise(winsorise(values, deviations=2.0), [cap]), nan_ok=True)
    grouped = clean(values, CleanSettings(neutralise=("industry",)), styles={"log_float_cap": cap}, groups_DN=groups)
    assert grouped == pytest.approx(neutralise(values, [], groups), nan_ok=True)


def test_neutral_to_what_is_not_there_is_refused(market: tuple[Floats, Floats, np.ndarray]) -> None:
    with pytest.raises(KestrelError, match="names log_float_cap, but the lake has no such factor"):
        clean(market[0], CleanSettings(neutralise=("log_float_cap",)))
    with pytest.raises(
        KestrelError, match=r"names industry, but the lake has no industries known at the time \(hindsight = true ones are never used\)"
    ):
        clean(market[0], CleanSettings(neutralise=("industry",)), styles={"log_float_cap": market[1]})


@settings(max_examples=60, deadline=None, derandomize=True)
@given(ROWS, st.sampled_from([0.01, 0.1, 0.3]))
def test_tails_are_pulled_in_to_numpys_quantiles(values: Floats, tail: float) -> None:
    for row, out in zip(values, winsorise_tails(values, tail=tail), strict=True):
        seen = np.isfinite(row)
        expected = np.clip(row[seen], *np.quantile(row[seen], [tail, 1 - tail])) if seen.any() else row[seen]
        assert out[seen] == pytest.approx(expected)
        assert np.isnan(out[~seen]).all()


def test_a_style_told_twice_or_told_by_the_groups_changes_nothing(market: tuple[Floats, Floats, np.ndarray]) -> None:
    values, cap, groups = market
    once = neutralise(values, [cap], groups)
    assert neutralise(values, [cap, 3 * cap - 1, groups.astype(float)], groups) == pytest.approx(once, abs=1e-9, nan_ok=True)


@pytest.fixture
def three() -> dict[str, Floats]:
    """Three factors of 5 sessions and 50 stocks that share a part; every stock has them all."""
    rng = np.random.default_rng(11)
    shared = rng.normal(size=(5, 50))
    return {name: shared * weight + rng.normal(size=(5, 50)) for name, weight in (("a", 1.0), ("b", 2.0), ("c", -0.5))}


def test_turned_factors_are_uncorrelated_in_every_session(three: dict[str, Floats]) -> None:
    for turned in (gram_schmidt(three), symmetric(three)):
        for t in range(5):
            found = np.corrcoef([panel[t] for panel in turned.values()])
            assert found == pytest.approx(np.eye(3), abs=1e-9)


def test_in_turn_each_factor_keeps_what_those_before_it_do_not_explain(three: dict[str, Floats]) -> None:
    turned, scores = gram_schmidt(three), {name: scale(panel, "z_score") for name, panel in three.items()}
    assert turned["a"] == pytest.approx(scores["a"])
    assert turned["b"] == pytest.approx(neutralise(scores["b"], [scores["a"]]))
    assert turned["c"] == pytest.approx(neutralise(scores["c"], [scores["a"], scores["b"]]))


def test_turned_all_alike_no_order_matters_and_nothing_else_is_nearer(three: dict[str, Floats]) -> None:
    turned, scores = symmetric(three), {name: scale(panel, "z_score") for name, panel in three.items()}
    again = symmetric(dict(reversed(three.items())))
    for name, panel in turned.items():
        assert again[name] == pytest.approx(panel)
        assert panel.std(axis=1) == pytest.approx(np.ones(5))
    apart = sum(((turned[name] - scores[name]) ** 2).sum() for name in three)
    in_turn = {name: scale(panel, "z_score") for name, panel in gram_schmidt(three).items()}
    assert apart < sum(((in_turn[name] - scores[name]) ** 2).sum() for name in three)


def test_turning_leaves_nulls_null_and_sees_no_other_session(three: dict[str, Floats]) -> None:
    three["b"][2, :10] = NAN
    three["c"][3] = NAN
    for turn in (gram_schmidt, symmetric):
        whole = turn(three)
        for name, panel in whole.items():
            assert np.array_equal(np.isnan(panel), np.isnan(three[name]))
        for t in range(5):
            alone = turn({name: panel[t : t + 1] for name, panel in three.items()})
            assert all(np.array_equal(alone[name][0], whole[name][t], equal_nan=True) for name in three)


def test_a_factor_that_repeats_another_has_nothing_left(three: dict[str, Floats]) -> None:
    assert gram_schmidt({**three, "d": 2 * three["a"] + 1})["d"] == pytest.approx(np.zeros((5, 50)), abs=1e-9)
    assert np.isfinite(symmetric({**three, "d": three["a"]})["d"]).all()


def test_cleaning_goes_from_winsorising_over_neutralising_to_scaling(market: tuple[Floats, Floats, np.ndarray]) -> None:
    values, cap, groups = market
    chosen = CleanSettings(tails=0.1, neutralise=("industry", "beta_120"), scale="rank_gauss")
    found = clean(values, chosen, styles={"beta_120": cap}, groups_DN=groups)
    assert found == pytest.approx(scale(neutralise(winsorise_tails(values, tail=0.1), [cap], groups), "rank_gauss"), nan_ok=True)


def test_orthogonalising_is_chosen_by_name_and_off_by_default(three: dict[str, Floats]) -> None:
    assert orthogonalise(three, CleanSettings()) == three
    for how, turn in (("gram_schmidt", gram_schmidt), ("symmetric", symmetric)):
        found = orthogonalise(three, CleanSettings(orthogonalise=how))  # type: ignore[arg-type]
        assert all(np.array_equal(found[name], panel) for name, panel in turn(three).items())


def test_two_ways_to_pull_in_extremes_are_refused() -> None:
    with pytest.raises(ValidationError, match="set one of them"):
        CleanSettings(winsorise=5.0, tails=0.01)
