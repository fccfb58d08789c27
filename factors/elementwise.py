"""Elementwise operators over the rows of a tile: 64 stocks that lie beside each other.

Operands are [R, 64], or [1, 64] for one row that serves all.  NaN is null; what isn't finite becomes null.  Imports numpy and numba alone.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STOCKS = 64  # of a tile

UNARY = ("copy", "neg", "log", "abs", "sign", "sqrt", "fill")
BINARY = (
    *("add", "sub", "mul", "div", "ratio", "maximum", "minimum", "gt", "lt", "ge", "le"),
    *("where", "power", "signed_power"),
)
COPY, NEG, LOG, ABS, SIGN, SQRT, FILL = range(len(UNARY))
ADD, SUB, MUL, DIV, RATIO, MAXIMUM, MINIMUM, GT, LT, GE, LE, WHERE, POWER, SIGNED_POWER = range(len(BINARY))


@njit(cache=True, nogil=True)
def _finite(v: float) -> float:
    return v if v - v == 0.0 else np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def unary(op: int, x: Floats, value: float, out: Floats) -> None:
    """One operand; `value` takes the place of nulls in a fill."""
    for r in range(len(out)):
        i = min(r, len(x) - 1)
        if op == COPY:
            for j in range(STOCKS):
                out[r, j] = x[i, j]
        elif op == NEG:
            for j in range(STOCKS):
                out[r, j] = -x[i, j]
        elif op == LOG:
            for j in range(STOCKS):
                out[r, j] = _finite(np.log(x[i, j])) if x[i, j] > 0.0 else np.nan
        elif op == ABS:
            for j in range(STOCKS):
                out[r, j] = abs(x[i, j])
        elif op == SIGN:
            for j in range(STOCKS):
                v = x[i, j]
                out[r, j] = (1.0 if v > 0.0 else 0.0) - (1.0 if v < 0.0 else 0.0) + 0.0 * v
        elif op == SQRT:
            for j in range(STOCKS):
                out[r, j] = np.sqrt(x[i, j])
        else:
            for j in range(STOCKS):
                out[r, j] = x[i, j] if x[i, j] == x[i, j] else value


@njit(cache=True, nogil=True, error_model="numpy")
def binary(op: int, x: Floats, y: Floats, out: Floats) -> None:
    """Two operands; null where either is."""
    if op >= MAXIMUM:
        _choice(op, x, y, out)
        return
    for r in range(len(out)):
        i, k = min(r, len(x) - 1), min(r, len(y) - 1)
        if op == ADD:
            for j in range(STOCKS):
                out[r, j] = _finite(x[i, j] + y[k, j])
        elif op == SUB:
            for j in range(STOCKS):
                out[r, j] = _finite(x[i, j] - y[k, j])
        elif op == MUL:
            for j in range(STOCKS):
                out[r, j] = _finite(x[i, j] * y[k, j])
        elif op == DIV:
            for j in range(STOCKS):
                out[r, j] = _finite(x[i, j] / y[k, j])
        else:  # ratio: 0 of a divisor that is 0
            for j in range(STOCKS):
                v = _finite(x[i, j] / y[k, j])
                out[r, j] = 0.0 * x[i, j] if y[k, j] == 0.0 else v


@njit(cache=True, nogil=True, error_model="numpy")
def _choice(op: int, x: Floats, y: Floats, out: Floats) -> None:
    """The larger or the smaller, comparisons as 1 and 0, and powers."""
    for r in range(len(out)):
        i, k = min(r, len(x) - 1), min(r, len(y) - 1)
        if op == MAXIMUM:
            for j in range(STOCKS):
                a, b = x[i, j], y[k, j]
                out[r, j] = a if a > b or a != a else b
        elif op == MINIMUM:
            for j in range(STOCKS):
                a, b = x[i, j], y[k, j]
                out[r, j] = a if a < b or a != a else b
        elif op == WHERE:
            for j in range(STOCKS):
                out[r, j] = y[k, j] if x[i, j] > 0.0 else np.nan
        elif op == POWER:
            for j in range(STOCKS):
                a, b = x[i, j], y[k, j]
                out[r, j] = _finite(a**b) if a == a and b == b else np.nan
        elif op == SIGNED_POWER:
            for j in range(STOCKS):
                a, b = x[i, j], y[k, j]
                v = _finite(abs(a) ** b) if a == a and b == b else np.nan
                out[r, j] = -v if a < 0.0 else v
        else:
            _compare(op, x[i], y[k], out[r])


@njit(cache=True, nogil=True)
def _compare(op: int, x: Floats, y: Floats, out: Floats) -> None:
    for j in range(STOCKS):
        a, b = x[j], y[j]
        if op == GT:
            true = a > b
        elif op == LT:
            true = a < b
        elif op == GE:
            true = a >= b
        else:
            true = a <= b
        out[j] = np.nan if a != a or b != b else (1.0 if true else 0.0)


@njit(cache=True, nogil=True)
def select(condition: Floats, then: Floats, other: Floats, out: Floats) -> None:
    """`then` where the condition is true, `other` where it isn't; null where any of the three is."""
    for r in range(len(out)):
        i, k, m = min(r, len(condition) - 1), min(r, len(then) - 1), min(r, len(other) - 1)
        for j in range(STOCKS):
            c, a, b = condition[i, j], then[k, j], other[m, j]
            out[r, j] = np.nan if (c != c) | (a != a) | (b != b) else (a if c > 0.0 else b)
