from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from data.panel import Axes
from factors import operators as op
from factors.compute import Computer, blocks, first_component
from factors.expressions import column, constant
from factors.machine import EMIT, OP, OPS
from factors.panel import Panel
from factors.program import compiled
from factors.registry import library, select
from factors.sections import SECTIONS

close = column("close")


def cut(panel: Panel, start: int, stop: int) -> Panel:
    """Some sessions of a panel."""
    columns = {name: np.ascontiguousarray(values[start:stop]) for name, values in panel.columns.items()}
    return Panel(Axes(panel.axes.dates[start:stop], panel.axes.symbols), columns, panel.trading[start:stop])


@pytest.mark.parametrize("t", [339, 330, 315])
def test_every_factor_computed_from_its_lookback_alone_is_the_same_to_the_bit(panel: Panel, t: int) -> None:
    factors = select()
    whole = Computer(panel, [factor.expr for factor in factors], threads=2)
    for factor in factors:
        expected = np.broadcast_to(whole(factor.expr), panel.axes.shape)[t]
        short = cut(panel, max(0, t - factor.expr.lookback), t + 1)
        alone = np.broadcast_to(Computer(short, [factor.expr], threads=1)(factor.expr), short.axes.shape)[-1]
        assert np.array_equal(alone, expected, equal_nan=True), factor.name


def test_some_factor_needs_every_session_of_its_lookback(panel: Panel) -> None:
    """One session fewer changes something: the lookbacks are not just large."""
    for name in ("reversal_20", "ma_gap_60", "momentum_12_1", "volatility_20", "volume_ratio_5", "macd_histogram"):
        expr = select([name])[0].expr
        whole = Computer(panel, [expr])(expr)[339]
        short = cut(panel, 340 - expr.lookback, 340)
        assert not np.array_equal(Computer(short, [expr])(expr)[-1], whole, equal_nan=True), name


def test_the_number_of_threads_changes_nothing(panel: Panel) -> None:
    expressions = [factor.expr for factor in select()]
    found = []
    for threads in (1, 2, 7):
        compute = Computer(panel, expressions, threads=threads)
        found.append([compute(expr) for expr in expressions])
    for one, other in ((found[0], found[1]), (found[0], found[2])):
        assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, other, strict=True))


def test_more_threads_than_sessions_are_no_harm(panel: Panel) -> None:
    small = cut(panel, 0, 3)
    expr = op.ts_mean(close, 2)
    assert np.array_equal(Computer(small, [expr], threads=8)(expr), Computer(small, [expr], threads=1)(expr), equal_nan=True)


def test_the_order_of_factors_changes_nothing(panel: Panel) -> None:
    expressions = [factor.expr for factor in select()]
    forward, backward = Computer(panel, expressions), Computer(panel, expressions[::-1])
    one = {expr: forward(expr) for expr in expressions}
    other = {expr: backward(expr) for expr in expressions[::-1]}
    assert all(np.array_equal(one[expr], other[expr], equal_nan=True) for expr in expressions)


def test_a_node_that_many_share_is_computed_once() -> None:
    shared = op.ts_mean(close, 5)
    program = compiled((shared / close, shared * close, shared, op.delay(shared, 2) - close), 8, keep=False)
    steps = [int(op) for stage in program.stages for op in stage.along[:, OP]]
    assert len([name for name, _ in program.columns]) == 1
    assert steps.count(OPS["ts_mean"]) == 1
    assert steps.count(EMIT) == 4
    assert len(steps) == 8


@pytest.mark.parametrize("size", [1, 7, 64, 500])
@pytest.mark.parametrize("start", [0, 1, 200, 339])
def test_neither_blocks_nor_start_nor_threads_change_a_bit(panel: Panel, size: int, start: int) -> None:
    factors = [*select(), *library(["alpha101"]).values()]
    expressions = [factor.expr for factor in factors if factor.expr.needs <= set(panel.columns)][:: 1 if size == 64 else 7]
    whole = Computer(panel, expressions, threads=1)
    expected = np.stack([whole(expr) for expr in expressions], axis=1).astype(np.float32)
    seen = start
    for lo, x_BFN in blocks(expressions, panel.columns, start=start, size=size, threads=2):
        assert lo == seen
        assert np.array_equal(x_BFN, expected[lo : lo + len(x_BFN)], equal_nan=True)
        seen += len(x_BFN)
    assert seen == len(panel.axes.dates)


def test_many_tiles_and_threads_give_what_each_stock_gives_alone() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(90, 150))
    x[rng.random(x.shape) < 0.1] = np.nan
    exprs = [op.ts_std(close, 9), op.ts_rank(close, 4) * op.delay(close, 3), op.cs_rank(close), op.ts_mean(op.cs_z_score(close), 5)]
    many = next(found.copy() for _, found in blocks(exprs, {"close": x}, size=90, threads=3))
    for stock in (0, 63, 64, 149):
        alone = next(found.copy() for _, found in blocks(exprs[:2], {"close": x[:, [stock]]}, size=90))
        assert np.array_equal(many[:, :2, stock], alone[:, :, 0], equal_nan=True)
    assert np.allclose(many[:, 2], stats.rankdata(x, axis=1, nan_policy="omit") / np.isfinite(x).sum(axis=1)[:, None], equal_nan=True)


def test_an_output_may_be_a_column_a_constant_or_what_lies_back(panel: Panel) -> None:
    x = panel.columns["last"]
    ((_, found),) = blocks([close, constant(2.0), op.delay(column("last"), 5)], panel.columns, size=400)
    assert np.array_equal(found[:, 0], panel.columns["close"].astype(np.float32), equal_nan=True)
    assert (found[:, 1] == 2).all()
    assert np.array_equal(found[5:, 2], x[:-5].astype(np.float32), equal_nan=True)
    assert np.isnan(found[:5, 2]).all()


def test_an_expression_without_its_column_is_a_bug_and_not_a_null(panel: Panel) -> None:
    bare = replace(panel, columns={"close": panel.columns["close"]})
    with pytest.raises(KeyError):
        Computer(bare, [column("open")])(column("open"))


def test_a_first_component_needs_half_of_its_window() -> None:
    seen = np.random.default_rng(0).normal(size=(10, 2))
    for known in range(11):
        seen[: 10 - known] = np.nan
        assert np.isfinite(first_component(seen)) == (known >= 5)
        seen = np.random.default_rng(known).normal(size=(10, 2))


def test_every_operator_has_a_step() -> None:
    steps = {*OPS, *SECTIONS, "column", "constant", "delay", "first_component"}
    made = {name: define for name, define in vars(op).items() if name.startswith(("ts_", "cs_"))}
    assert set(made) - steps == set()
