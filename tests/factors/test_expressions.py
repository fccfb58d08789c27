"""What a tree knows by itself: its columns, its text, and above all how it moves when price histories are multiplied by a constant."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import KestrelError
from data.panel import Floats
from factors import operators as op
from factors.expressions import COLUMNS, Expr, Scale, column, constant

close, volume, amount, raw_close = (column(name) for name in ("close", "volume", "amount", "raw_close"))
shares = column("float_shares")
NAN = np.nan

KNOWN: list[tuple[Expr, Scale | None]] = [
    (close, Scale(power=1)),
    (volume, Scale(power=-1)),
    (amount, Scale()),
    (close * volume, Scale()),
    (close / op.delay(close, 5), Scale()),
    (close / op.delay(close, 5) - 1, Scale()),
    (close - op.delay(close, 5), Scale(power=1)),
    (close * 3, Scale(power=1)),
    (close * close, Scale(power=2)),
    (op.root(close * close), Scale(power=1)),
    (1 / close, Scale(power=-1)),
    (op.log(close), Scale(shift=1)),
    (op.log(volume), Scale(shift=-1)),
    (op.log(amount), Scale()),
    (-op.log(close), Scale(shift=-1)),
    (2 * op.log(close), Scale(shift=2)),
    (op.log(close) / 2, Scale(shift=0.5)),
    (op.log(close) - op.log(op.delay(close, 1)), Scale()),
    (op.log(close) + op.log(volume), Scale()),
    (-op.log(close) - op.log(close), Scale(shift=-2)),
    (op.ts_mean(op.log(close), 5) - op.log(close), Scale()),
    (op.ts_std(op.log(close), 5), Scale()),
    (op.ts_std(close, 5), Scale(power=1)),
    (op.ts_std(close, 5) / close, Scale()),
    (op.ts_corr(close, volume, 5), Scale()),
    (op.ts_beta(close, volume, 5), Scale(power=2)),
    (op.ts_rank(close, 5), Scale()),
    (op.sign(close), Scale()),
    (close > op.delay(close, 1), Scale()),
    (close > 0, Scale()),
    (op.where(close > 0, close), Scale(power=1)),
    (op.fill(volume, 0), Scale(power=-1)),
    (op.fill(close / op.delay(close, 1), 1), Scale()),
    (op.cs_rank(close / op.delay(close, 1)), Scale()),
    (op.turnover(), Scale()),
    (op.float_cap(), Scale()),
    (raw_close / op.delay(raw_close, 1), Scale()),
    # what can't be compared
    (close + 1, None),
    (close + volume, None),
    (close > 5, None),
    (op.log(close) > 0, None),
    (op.log(close) * close, None),
    (close / op.log(close), None),
    (op.log(op.log(close)), None),
    (op.absolute(op.log(close)), None),
    (op.sign(op.log(close)), None),
    (op.ts_sum(op.log(close), 5), None),
    (op.maximum(close, volume), None),
    (op.where(close > 5, amount), None),
    (op.fill(close, 1), None),
    (op.fill(op.log(close), 0), None),
    (op.cs_rank(close), None),
    (op.cs_mean(op.log(close)), None),
    (op.cs_z_score(volume), None),
]


@pytest.mark.parametrize(("expr", "scale"), KNOWN, ids=[str(expr) for expr, _ in KNOWN])
def test_the_scale_follows_from_the_tree(expr: Expr, scale: Scale | None) -> None:
    assert expr.scale == scale


def test_a_factor_of_the_price_level_or_of_mixed_columns_is_not_invariant() -> None:
    for expr in (close, amount / close, raw_close / close, volume, close * shares * close, op.log(close), op.ts_mean(volume, 5)):
        assert not (expr.scale is not None and expr.scale.invariant), str(expr)


# -- the same by numbers: random trees on a random market, before and after every price history is multiplied by a power of 16

PRICES = ("open", "high", "low", "close", "vwap", "last")
FREE = ("amount", "raw_close", "pe_ttm")


def market(constant_: float) -> dict[str, Floats]:
    """Columns of 5 stocks over 24 sessions with nulls, their prices times the constant, share counts divided by it."""
    rng = np.random.default_rng(12)
    found = {}
    for name in (*PRICES, "volume", "float_shares", *FREE):
        values = np.exp(rng.normal(0, 0.4, (24, 5)) + 1)
        values[rng.random(values.shape) < 0.1] = NAN
        found[name] = values * constant_ ** COLUMNS[name][1]
    return found


LEAVES = st.sampled_from([column(name) for name in (*PRICES, "volume", "float_shares", *FREE)] + [constant(0.0), constant(1.0), constant(2.5)])
UNARY: list[Callable[[Expr], Expr]] = [
    lambda x: -x,
    op.log,
    op.absolute,
    op.sign,
    op.root,
    lambda x: op.fill(x, 0),
    lambda x: op.fill(x, 1),
    lambda x: x > 0,
    lambda x: x * 3,
    lambda x: x / -2,
    lambda x: 1 - x,
    lambda x: op.delay(x, 2),
    lambda x: op.delta(x, 3),
    lambda x: op.ts_mean(x, 4),
    lambda x: op.ts_sum(x, 4),
    lambda x: op.ts_std(x, 5),
    lambda x: op.ts_max(x, 4),
    lambda x: op.ts_min(x, 4),
    lambda x: op.ts_slope(x, 5),
    lambda x: op.ema(x, 2),
    lambda x: op.decay(x, 4),
    op.cs_mean,
    op.cs_std,
]
BINARY: list[Callable[[Expr, Expr], Expr]] = [
    lambda x, y: x + y,
    lambda x, y: x - y,
    lambda x, y: x * y,
    lambda x, y: x / y,
    lambda x, y: x > y,
    lambda x, y: x < y,
    op.maximum,
    op.minimum,
    op.where,
    lambda x, y: op.ts_corr(x, y, 6),
    lambda x, y: op.ts_beta(x, y, 6),
]


def trees(leaves: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    """Random trees of up to five of these leaves."""
    one, two = st.sampled_from(UNARY), st.sampled_from(BINARY)

    def branches(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
        return st.builds(lambda made, x: made(x), one, inner) | st.builds(lambda made, x, y: made(x, y), two, inner, inner)

    return st.recursive(leaves, branches, max_leaves=5)


def assert_moves_as_it_says(expr: Expr, factor: float) -> None:
    """Values under the factor are those without it, times its power, plus its shift; in every cell."""
    if expr.scale is None:
        return
    before, after = (evaluated(expr, market(constant_)) for constant_ in (1.0, factor))
    expected = before * factor**expr.scale.power + expr.scale.shift * np.log(factor)
    seen = np.isfinite(before) | np.isfinite(after)
    tolerance = 1e-7 * max(1.0, np.nanmax(np.abs(expected), initial=0.0))
    moved = seen & ~(np.abs(after - expected) <= tolerance)
    assert moved.sum() == 0, f"{expr} has scale {expr.scale}, but moved in {moved.sum()} of {seen.sum()} cells"


@settings(max_examples=150, deadline=None, derandomize=True)
@given(trees(LEAVES), st.sampled_from([16.0, 1 / 16]))
def test_random_trees_move_as_their_scale_says(expr: Expr, factor: float) -> None:
    assert_moves_as_it_says(expr, factor)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(trees(LEAVES.map(op.log)), st.sampled_from([16.0, 1 / 16]))
def test_random_trees_of_logarithms_shift_as_their_scale_says(expr: Expr, factor: float) -> None:
    assert_moves_as_it_says(expr, factor)


def evaluated(expr: Expr, columns: dict[str, Floats]) -> Floats:
    from datetime import date, timedelta

    from data.panel import Axes
    from factors.compute import Computer
    from factors.panel import Panel

    axes = Axes(tuple(date(2020, 1, 1) + timedelta(days=n) for n in range(24)), tuple("abcde"))
    return np.broadcast_to(Computer(Panel(axes, columns, np.ones((24, 5), dtype=bool)), [expr], threads=1)(expr), (24, 5))


# -- names, texts, needs


def test_a_tree_knows_the_columns_it_needs() -> None:
    assert (close / op.delay(raw_close, 2) + 1).needs == {"close", "raw_close"}
    assert constant(3).needs == frozenset()


def test_equal_definitions_are_one_value() -> None:
    one, other = op.ts_mean(close * 2, 5), op.ts_mean(close * 2.0, 5)
    assert one == other
    assert hash(one) == hash(other)
    assert one != op.ts_mean(close * 2, 6)
    assert one != "ts_mean(mul(close, 2.0), 5, 3)"
    assert str(one) == "ts_mean(mul(close, 2.0), 5, 3)"


def test_walking_meets_leaves_before_what_is_made_of_them() -> None:
    names = [node.text for node in (close + volume).walk()]
    assert names == ["close", "volume", "add(close, volume)"]


def test_a_column_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(KestrelError, match=r"'clsoe' is not a column of the panel\. There are: open, high"):
        column("clsoe")
