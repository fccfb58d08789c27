from dataclasses import replace

import numpy as np
import pytest

from data.panel import Axes
from factors import compute as module
from factors import operators as op
from factors.compute import Computer, first_component
from factors.expressions import Expr, column
from factors.panel import Panel
from factors.registry import select

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


def test_a_node_that_many_share_is_computed_once_and_let_go_at_the_end(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    apply = Computer._apply

    def counted(self: Computer, expr: Expr) -> np.ndarray:
        calls.append(expr.text)
        return apply(self, expr)

    monkeypatch.setattr(Computer, "_apply", counted)
    shared = op.ts_mean(close, 5)
    expressions = [shared / close, shared * close, shared]
    compute = Computer(panel, expressions)
    for expr in expressions:
        compute(expr)
    assert calls.count(shared.text) == 1
    assert calls.count("close") == 1
    assert compute.values == {}


def test_an_expression_without_its_column_is_a_bug_and_not_a_null(panel: Panel) -> None:
    bare = replace(panel, columns={"close": panel.columns["close"]})
    with pytest.raises(KeyError):
        Computer(bare, [column("open")])(column("open"))


def test_a_first_component_needs_half_of_its_window() -> None:
    rng = np.random.default_rng(0)
    series = [rng.normal(size=(9, 1)) for _ in range(2)]
    found = first_component(series, 10)
    assert np.isfinite(found[:, 0]).tolist() == [False] * 4 + [True] * 5


def test_every_operator_that_an_expression_can_name_has_a_meaning(panel: Panel) -> None:
    ops = {node.op for factor in select() for node in factor.expr.walk()}
    known = {"column", "constant", "fill", "delay", "first_component", *module.ELEMENTWISE, *module.CROSS_SECTION, *module.PAIRED}
    for name in ops - known:
        assert name == "ema" or name.startswith("ts_") or name == "decay", name
