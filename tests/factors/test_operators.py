"""Operators against their plain meaning: elementwise, windows and their fewest values, cross-sections, compounds."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from data.panel import Floats
from factors import operators as op
from factors.expressions import Expr, column

NAN = np.nan
Computed = Callable[..., Floats]
x, y = column("close"), column("open")
A = np.array([[1.0, -2.0, 0.0, NAN, 4.0], [3.0, 3.0, NAN, NAN, -1.0]])
B = np.array([[2.0, -2.0, 0.0, 1.0, NAN], [3.0, 0.0, 5.0, NAN, 2.0]])


def null_of(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, NAN)


ELEMENTWISE: list[tuple[Expr, Callable[[Floats, Floats], Floats]]] = [
    (x + y, lambda a, b: a + b),
    (x - y, lambda a, b: a - b),
    (x * y, lambda a, b: a * b),
    (x / y, lambda a, b: a / b),
    (1 + x, lambda a, b: 1 + a),
    (1 - x, lambda a, b: 1 - a),
    (2 * x, lambda a, b: 2 * a),
    (1 / x, lambda a, b: 1 / a),
    (x - 1, lambda a, b: a - 1),
    (-x, lambda a, b: -a),
    (op.log(x), lambda a, b: np.log(a)),
    (op.root(x), lambda a, b: np.sqrt(a)),
    (op.absolute(x), lambda a, b: np.abs(a)),
    (op.sign(x), lambda a, b: np.sign(a)),
    (op.maximum(x, y), lambda a, b: np.where(np.isnan(a + b), NAN, np.maximum(a, b))),
    (op.minimum(x, y), lambda a, b: np.where(np.isnan(a + b), NAN, np.minimum(a, b))),
    (x > y, lambda a, b: np.where(np.isnan(a + b), NAN, a > b)),
    (x < y, lambda a, b: np.where(np.isnan(a + b), NAN, a < b)),
    (x > 0, lambda a, b: np.where(np.isnan(a), NAN, a > 0)),
    (op.where(x > y, y), lambda a, b: np.where(np.isnan(a + b) | ~(a > b), NAN, b)),
    (op.select(x > y, y, 3), lambda a, b: np.where(np.isnan(a + b), NAN, np.where(a > b, b, 3))),
    (x >= y, lambda a, b: np.where(np.isnan(a + b), NAN, a >= b)),
    (x <= y, lambda a, b: np.where(np.isnan(a + b), NAN, a <= b)),
    (op.power(x, y), lambda a, b: np.where(np.isnan(a + b), NAN, np.power(a, b))),
    (op.signed_power(x, 2), lambda a, b: np.sign(a) * a * a),
    (op.fill(x, 0), lambda a, b: np.nan_to_num(a, nan=0.0)),
    (op.delay(x, 1), lambda a, b: np.vstack([np.full(5, NAN), a[:-1]])),
    (op.delta(x, 1), lambda a, b: np.vstack([np.full(5, NAN), a[1:] - a[:-1]])),
]


@pytest.mark.parametrize(("expr", "plain"), ELEMENTWISE, ids=[str(expr) for expr, _ in ELEMENTWISE])
def test_elementwise_operators_are_plain_arithmetic_with_nulls(expr: Expr, plain: Callable[[Floats, Floats], Floats], computed: Computed) -> None:
    with np.errstate(all="ignore"):
        expected = null_of(plain(A, B))
    assert np.array_equal(computed(expr, close=A, open=B), expected, equal_nan=True)


def test_no_operator_lets_infinity_pass(computed: Computed) -> None:
    zero = np.zeros((2, 3))
    for expr in (x / y, op.log(x), 1 / x, x / 0):
        assert np.isnan(computed(expr, close=zero, open=zero)).all(), str(expr)
    assert np.isnan(computed(x * x, close=np.full((2, 3), 1e200), open=zero)).all()


def test_a_delay_beyond_the_panel_is_null(computed: Computed) -> None:
    assert np.isnan(computed(op.delay(x, 50), close=A)).all()


def windows_of(n: int) -> dict[str, tuple[Expr, Callable[[Floats], float], int]]:
    """Expression, its value of one window's finite values, and the fewest values that the numbers need by themselves."""
    return {
        "mean": (op.ts_mean(x, n), np.mean, 1),
        "sum": (op.ts_sum(x, n), np.sum, 1),
        "deviation": (op.ts_std(x, n), lambda v: np.std(v, ddof=1), 2),
        "skewness": (op.ts_skew(x, n), stats.skew, 2),
        "kurtosis": (op.ts_kurt(x, n), stats.kurtosis, 2),
        "largest": (op.ts_max(x, n), np.max, 1),
        "smallest": (op.ts_min(x, n), np.min, 1),
    }


@pytest.mark.parametrize("n", [2, 5, 8])
@pytest.mark.parametrize("name", windows_of(2))
def test_a_window_is_null_below_half_of_its_sessions(name: str, n: int, computed: Computed) -> None:
    expr, plain, fewest = windows_of(n)[name]
    rng = np.random.default_rng(4)
    values = rng.normal(size=(20, 6))
    values[rng.random(values.shape) < 0.4] = NAN
    found = computed(expr, close=values)
    for t in range(20):
        for j in range(6):
            window = values[max(0, t - n + 1) : t + 1, j]
            seen = window[np.isfinite(window)]
            known = len(seen) >= max((n + 1) // 2, fewest)
            assert found[t, j] == (pytest.approx(plain(seen), abs=1e-12) if known else pytest.approx(NAN, nan_ok=True))


def test_least_overrides_the_half(computed: Computed) -> None:
    values = np.array([[NAN], [NAN], [NAN], [2.0], [NAN]])
    assert np.isnan(computed(op.decay(x, 5), close=values)).all()
    assert computed(op.decay(x, 5, least=1), close=values)[3:, 0].tolist() == [2.0, 2.0]
    assert computed(op.ts_sum(x, 5, least=1), close=values)[4, 0] == 2.0
    assert computed(op.ts_mean(x, 5, least=1), close=values)[4, 0] == 2.0


def test_decay_weighs_the_latest_most(computed: Computed) -> None:
    values = np.array([[1.0], [2.0], [6.0]])
    assert computed(op.decay(x, 3), close=values)[2, 0] == pytest.approx((1 * 1 + 2 * 2 + 3 * 6) / 6)


def test_an_exponential_mean_is_the_recursive_one_cut_after_four_spans(computed: Computed) -> None:
    values = np.random.default_rng(0).normal(10, 1, size=(400, 2))
    found = computed(op.ema(x, 12), close=values)
    recursive = values[0].copy()
    for row in values[1:]:
        recursive = recursive + 2 / 13 * (row - recursive)
    assert found[-1] == pytest.approx(recursive, rel=1e-3)
    weights = (1 - 2 / 13) ** np.arange(47, -1, -1.0)
    assert found[-1] == pytest.approx(weights @ values[-48:] / weights.sum())
    assert op.ema(x, 12).lookback == 47


def test_time_rank_argmax_and_lines_by_hand(computed: Computed) -> None:
    values = np.array([[5.0], [1.0], [3.0], [3.0]])
    assert computed(op.ts_rank(x, 4), close=values)[3, 0] == pytest.approx(2.5 / 4)
    assert computed(op.ts_argmax(x, 4), close=values)[3, 0] == 3
    assert computed(op.ts_slope(x, 4), close=values)[3, 0] == pytest.approx(np.polyfit(range(4), values[:, 0], 1)[0])
    assert computed(op.ts_rsquare(x, 4), close=values)[3, 0] == pytest.approx(np.corrcoef(range(4), values[:, 0])[0, 1] ** 2)


def test_correlation_and_beta_of_two_columns(computed: Computed) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(12, 3)), rng.normal(size=(12, 3))
    a[3, 0] = b[5, 0] = NAN
    both = [t for t in range(12) if t not in (3, 5)]
    assert computed(op.ts_corr(x, y, 12), close=a, open=b)[-1, 0] == pytest.approx(np.corrcoef(a[both, 0], b[both, 0])[0, 1])
    assert computed(op.ts_beta(x, y, 12), close=a, open=b)[-1, 0] == pytest.approx(np.polyfit(b[both, 0], a[both, 0], 1)[0])
    assert computed(op.ts_beta(x, y, 12), close=a, open=b)[-1, 1] == pytest.approx(np.polyfit(b[:, 1], a[:, 1], 1)[0])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(row=st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0, NAN]), min_size=3, max_size=9))
def test_cross_sections_count_finite_values_and_average_ties(computed: Computed, row: list[float]) -> None:
    values = np.array([row])
    seen = values[np.isfinite(values)]
    ranks = computed(op.cs_rank(x), close=values)[0]
    assert ranks[np.isfinite(values[0])] == pytest.approx(stats.rankdata(seen) / max(len(seen), 1))
    assert np.isnan(ranks[np.isnan(values[0])]).all()
    mean, deviation = computed(op.cs_mean(x), close=values)[0, 0], computed(op.cs_std(x), close=values)[0, 0]
    assert mean == pytest.approx(seen.mean() if len(seen) else NAN, nan_ok=True)
    assert deviation == pytest.approx(seen.std() if len(seen) else NAN, nan_ok=True)
    z = computed(op.cs_z_score(x), close=values)[0][np.isfinite(values[0])]
    assert z == pytest.approx((seen - seen.mean()) / seen.std() if len(set(seen)) > 1 else np.zeros(len(seen)))


def test_groups_and_lines_across_stocks_by_hand(computed: Computed) -> None:
    industry = column("industry")
    values, groups = np.array([[1.0, 3.0, NAN, 8.0, 9.0]]), np.array([[0.0, 0.0, 0.0, 1.0, NAN]])
    mean = computed(op.cs_group_mean(x, industry), close=values, industry=groups)[0]
    assert mean.tolist() == pytest.approx([2, 2, 2, 8, NAN], nan_ok=True)  # a stock without a value has a group all the same
    rank = computed(op.cs_group_rank(x, industry), close=values, industry=groups)[0]
    assert rank.tolist() == pytest.approx([0.5, 1, NAN, 1, NAN], nan_ok=True)
    left = computed(op.cs_residual(x, y), close=np.array([[1.0, 2.0, 6.0, NAN]]), open=np.array([[0.0, 1.0, 2.0, 5.0]]))[0]
    assert left.tolist() == pytest.approx([0.5, -1, 0.5, NAN], nan_ok=True)


def test_a_scaled_session_has_magnitudes_that_add_up(computed: Computed) -> None:
    values = np.array([[1.0, -3.0, NAN, 0.0], [0.0, 0.0, NAN, 0.0]])
    assert computed(op.cs_scale(x), close=values)[0] == pytest.approx([0.25, -0.75, NAN, 0], nan_ok=True)
    assert computed(op.cs_scale(x, 8), close=values)[0] == pytest.approx([2, -6, NAN, 0], nan_ok=True)
    assert np.isnan(computed(op.cs_scale(x), close=values)[1]).all()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    cells=st.lists(
        st.tuples(st.sampled_from([-1.0, -0.0, 0.0, 0.5, 2.0, NAN]), st.sampled_from([0.0, 1.0, 3.0, NAN]), st.sampled_from([1.0, 2.0, 5.0, NAN])),
        min_size=1,
        max_size=90,
    )
)
def test_groups_and_lines_across_stocks_by_plain_numpy(computed: Computed, cells: list[tuple[float, float, float]]) -> None:
    values, groups, others = (np.array([row]) for row in zip(*cells, strict=True))
    given_ = {"close": values, "industry": groups, "open": others}
    means, ranks = (computed(made(x, column("industry")), **given_)[0] for made in (op.cs_group_mean, op.cs_group_rank))
    everywhere, left = computed(op.cs_rank(x), **given_)[0], computed(op.cs_residual(x, y), **given_)[0]
    both = np.isfinite(values[0]) & np.isfinite(others[0])
    spread = len(set(others[0][both])) > 1
    line = np.polyfit(others[0][both], values[0][both], 1) if spread else [0.0, values[0][both].mean() if both.any() else NAN]
    assert left == pytest.approx(np.where(both, values[0] - np.polyval(line, others[0]), NAN), abs=1e-9, nan_ok=True)
    assert everywhere == pytest.approx(stats.rankdata(values[0], nan_policy="omit") / max(np.isfinite(values[0]).sum(), 1), nan_ok=True)
    for n, (value, group, _) in enumerate(cells):
        kin = values[0][(groups[0] == group) & np.isfinite(values[0])]
        assert means[n] == pytest.approx(kin.mean() if len(kin) else NAN, nan_ok=True)
        ranked = np.isfinite(value) and np.isfinite(group)
        assert ranks[n] == pytest.approx(((kin < value).sum() + 0.5 * ((kin == value).sum() + 1)) / len(kin) if ranked else NAN, nan_ok=True)


def test_market_wide_values_meet_those_of_each_stock(computed: Computed) -> None:
    values = np.random.default_rng(2).normal(size=(6, 4))
    ratio = x / op.delay(x, 1)
    found = computed(ratio - op.cs_mean(ratio), close=values)
    change = values[1:] / values[:-1]
    assert found[1:] == pytest.approx(change - change.mean(axis=1, keepdims=True))
    assert (computed(op.cs_mean(ratio), close=values)[1] == change[0].mean()).all()


def test_the_first_component_explains_most_of_the_standardised_series(computed: Computed) -> None:
    rng = np.random.default_rng(3)
    common = rng.normal(size=60)
    panels = {"close": common + 0.1 * rng.normal(size=60), "open": -common + 0.1 * rng.normal(size=60), "high": rng.normal(size=60)}
    series = [op.cs_mean(column(name) / op.last) for name in panels]
    market = {name: values[:, None] for name, values in panels.items()} | {"last": np.ones((60, 1))}
    found = computed(op.first_component(*series, window=40), **market)[:, 0]
    assert np.isnan(found[:19]).all()
    assert np.isfinite(found[19:]).all()
    seen = np.column_stack(list(panels.values()))[-40:]
    z = (seen - seen.mean(axis=0)) / seen.std(axis=0)
    _, _, rows = np.linalg.svd(z)
    loading = rows[0] * np.sign(rows[0, 0])
    assert found[-1] == pytest.approx(z[-1] @ loading)
    assert np.corrcoef(found[19:], common[19:])[0, 1] > 0.95  # the first series loads positively


def test_the_first_component_is_null_where_a_series_is_or_has_no_spread(computed: Computed) -> None:
    a, b = np.random.default_rng(3).normal(size=(2, 30, 1))
    a[20] = NAN
    one, other, level = op.cs_mean(x / op.last), op.cs_mean(y / op.last), np.ones((30, 1))
    found = computed(op.first_component(one, other, window=10), close=a, open=b, last=level)[:, 0]
    assert np.isnan(found[20])
    assert np.isfinite(found[25])
    assert np.isnan(computed(op.first_component(one, other, window=10), close=a, open=level, last=level)).all()


def test_compounds_say_what_they_are(computed: Computed) -> None:
    last, shares = np.array([[10.0], [11.0], [9.9]]), np.array([[50.0], [50.0], [100.0]])
    assert computed(op.returns(), last=last)[1:, 0] == pytest.approx([0.1, -0.1])
    assert computed(op.returns(2), last=last)[2, 0] == pytest.approx(-0.01)
    assert computed(op.traded_returns(), last=last, close=np.array([[10.0], [NAN], [9.9]]))[1:, 0] == pytest.approx([NAN, -0.1], nan_ok=True)
    assert computed(op.turnover(), volume=np.array([[5.0]] * 3), float_shares=shares)[:, 0] == pytest.approx([0.1, 0.1, 0.05])
    assert computed(op.float_cap(), last=last, float_shares=shares)[:, 0] == pytest.approx([500, 550, 990])
    assert computed(op.total_cap(), last=last, total_shares=shares)[:, 0] == pytest.approx([500, 550, 990])


@pytest.mark.parametrize(
    ("expr", "lookback"),
    [
        (x, 0),
        (x + y, 0),
        (op.delay(x, 3), 3),
        (op.ts_mean(x, 5), 4),
        (op.ts_mean(op.delay(x, 3), 5), 7),
        (op.ts_corr(op.delay(x, 9), y, 5), 13),
        (op.returns(20), 20),
        (op.cs_rank(op.returns(20)), 20),
        (op.first_component(op.cs_mean(op.returns(2)), window=10), 11),
        (op.decay(x, 4), 3),
    ],
    ids=str,
)
def test_the_lookback_counts_the_earlier_sessions_that_are_read(expr: Expr, lookback: int) -> None:
    assert expr.lookback == lookback


def test_a_ratio_of_nothing_is_nothing_and_of_the_unknown_unknown(computed: Computed) -> None:
    top, bottom = np.array([[1.0, 0.0, 3.0, NAN]]), np.array([[4.0, 0.0, 0.0, 0.0]])
    assert computed(op.ratio(x, y), close=top, open=bottom)[0] == pytest.approx([0.25, 0.0, 0.0, NAN], nan_ok=True)
    assert computed(op.ratio(y, x), close=np.array([[NAN]]), open=np.array([[1.0]]))[0] == pytest.approx([NAN], nan_ok=True)


def test_quantiles_first_extremes_and_residuals_by_hand(computed: Computed) -> None:
    values = np.array([[5.0], [1.0], [5.0], [1.0]])
    assert computed(op.ts_quantile(x, 4, 0.5), close=values)[3, 0] == 3.0
    assert computed(op.ts_quantile(x, 4, 0.1), close=values)[3, 0] == 1.0
    assert computed(op.ts_argmax(x, 4, earliest=True), close=values)[3, 0] == 3
    assert computed(op.ts_argmax(x, 4), close=values)[3, 0] == 1
    assert computed(op.ts_argmin(x, 4, earliest=True), close=values)[3, 0] == 2
    assert computed(op.ts_argmin(x, 4), close=values)[3, 0] == 0
    line = np.polyfit(range(4), values[:, 0], 1)
    assert computed(op.ts_residual(x, 4), close=values)[3, 0] == pytest.approx(1 - np.polyval(line, 3))


def test_a_line_needs_three_sessions_unless_told_otherwise(computed: Computed) -> None:
    values = np.array([[5.0], [1.0], [3.0]])
    for operator in (op.ts_slope, op.ts_rsquare, op.ts_residual):
        assert np.isfinite(computed(operator(x, 3), close=values)[:, 0]).tolist() == [False, False, True]
        assert np.isfinite(computed(operator(x, 3, least=2), close=values)[:, 0]).tolist() == [False, True, True]
