"""Text becomes the operators' own expressions or one clear refusal, and nothing in it ever runs."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import KestrelError
from factors import operators as op
from factors.expressions import Expr, column, constant
from factors.formula import functions, parse

close, volume, last = column("close"), column("volume"), column("last")


@pytest.mark.parametrize(
    ("text", "expr"),
    [
        ("rank(ts_corr(close, volume, 10))", op.cs_rank(op.ts_corr(close, volume, 10))),
        ("close / delay(last, 5) - 1", close / op.delay(last, 5) - 1),
        ("-ts_std(returns, 20)", -op.ts_std(op.returns(), 20)),
        ("returns(5)", op.returns(5)),
        ("where(close > vwap, volume)", op.where(close > column("vwap"), volume)),
        ("ts_mean(turnover(), 20, least=1)", op.ts_mean(op.turnover(), 20, least=1)),
        ("ts_argmax(high, 20, earliest=True)", op.ts_argmax(column("high"), 20, earliest=True)),
        ("first_component(cs_mean(returns), window=60)", op.first_component(op.cs_mean(op.returns()), window=60)),
        ("(" * 60 + "close" + ")" * 60, close),  # brackets alone are no depth
        ("close * (1 + 2)", close * (constant(1) + 2)),
        ("2 * close < open", 2 * close < column("open")),
    ],
)  # fmt: skip
def test_a_text_is_the_expression_it_says(text: str, expr: Expr) -> None:
    assert parse(text) == expr


def test_every_operator_that_factors_use_can_be_written() -> None:
    assert {"ts_mean", "cs_rank", "rank", "ema", "decay", "fill", "log", "turnover", "float_cap"} <= set(functions())
    assert not {"column", "constant", "Expr", "factor"} & set(functions())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ts_men(close, 5)", "Did you mean ts_mean?"),
        ("clsoe", "Did you mean close?"),
        ("ts_mean(close)", "It takes ts_mean(x, n, least"),
        ("ts_mean(close, 2.5)", "not a whole number"),
        ("ts_mean(close, -5)", "not a whole number"),
        ("delay(close, -1)", "not a whole number"),
        ("ts_mean(close, 99999)", "not a whole number"),
        ("ts_mean(close, volume)", "not a number"),
        ("ts_argmax(high, 20, earliest=1)", "not True or False"),
        ("close +", "is not an expression"),
        ("5", "is a number"),
        ("close[0]", "is not part of an expression"),
        ("close if close else open", "is not part of an expression"),
        ("'close'", "is not part of an expression"),
        ("close ** 2", "is not part of an expression"),
        ("1 < close < 2", "is not part of an expression"),
        ("x" * 3000, "3000 characters"),
        ("-" * 60 + "close", "nested deeper"),
        ("close * 1" + "0" * 400, "too large a number"),
        ("rank(close * 1e999)", "too large a number"),
        ("log(close) / 0", "divides by zero"),
        ("1 + 1", "is a number"),
        ("rank(1)", "is a number"),
        ("ts_mean(returns, 5, **foo)", "names an argument twice"),
        ("ts_mean(returns, 5, least=2, least=3)", "names an argument twice"),
        ("ts_quantile(returns, 10, 1e9)", "from 0 to 1"),
        ("ts_quantile(returns, 10, -3)", "from 0 to 1"),
        ("cs_group_mean(returns, amount)", "as the column industry is"),
        ("first_component(returns, window=10)", "of the whole market"),
        ("first_component(window=10)", "one series at least"),
        ("ts_mean(returns, 0)", "1 at least"),
        ("ema(returns, 0)", "1 at least"),
        ("delta(" * 27 + "close" + ", 1)" * 27, "more than 5000 operators"),
        ("ts_mean(" * 3 + "close" + ", 2000)" * 3, "looks back"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(text: str, said: str) -> None:
    with pytest.raises(KestrelError, match=re.escape(said)):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "().__class__.__bases__[0]",
        "close.__class__",
        "(lambda: 1)()",
        "[close for close in (1, 2)]",
        "exec('1')",
        "open('/etc/passwd')",
        "ts_mean(**{'x': close, 'n': 5})",
        "functions()['ts_mean']",
    ],
)
def test_nothing_is_run(text: str) -> None:
    with pytest.raises(KestrelError):
        parse(text)


@given(st.text(max_size=60))
def test_any_text_is_an_expression_or_a_kestrel_error(text: str) -> None:
    with contextlib.suppress(KestrelError):
        assert isinstance(parse(text), Expr)
