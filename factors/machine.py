"""The machine that runs a program (factors/program.py) over one block of sessions.

The arena [tiles, rows, 64] holds the values that outlive a stage, each with the earlier sessions that someone still reads above those of
the block; a thread's desk [rows, 64] holds constants and what is used up at once, small enough to stay in its core's cache.  Stocks are
taken 64 at a time for what looks along sessions, sessions one at a time for what looks across stocks.  Imports numpy and numba alone.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from factors import elementwise, folds, kernels, sections
from factors.cached import cached
from factors.elementwise import BINARY, STOCKS, UNARY, binary, select, unary
from factors.folds import FOLDS, fold
from factors.kernels import position, quantile, shape
from factors.sections import section

Floats = NDArray[np.float64]
Code = NDArray[np.int64]

# Fields of an instruction.  Operands are rows of the arena at the block's first session; -1 - row means the desk's.
OP, OUT, AFTER, X, Y, Z, WINDOW, NEED, FIELDS = range(9)  # AFTER: how many sessions before the first one wanted it is needed from

OTHERS = ("select", "ts_rank", "ts_quantile", "ts_skew", "ts_kurt", "emit")
OPS = {name: number for number, name in enumerate((*UNARY, *BINARY, *FOLDS, *OTHERS))}
BINARIES = len(UNARY)
WINDOWS = BINARIES + len(BINARY)
SELECT = WINDOWS + len(FOLDS)
RANK, QUANTILE, SKEW, KURT, EMIT = range(SELECT + 1, SELECT + 6)


@njit(cache=True, nogil=True)
def _operand(arena: Floats, desk: Floats, at: int, before: int, first: int, rows: int, constants: int) -> Floats:
    """Rows first … rows-1 of the block and `before` earlier ones; of a constant, its only row."""
    if at >= 0:
        return arena[at + first - before : at + rows]
    row = -1 - at
    return desk[row : row + 1] if row < constants else desk[row + first : row + rows]


@cached(elementwise, folds, kernels)
def run_tile(
    code: Code, values: Floats, arena: Floats, desk: Floats, work: Floats, constants: int, ahead: int, rows: int, out: NDArray[np.float32]
) -> None:
    """The instructions of a stage over one tile.  ahead: sessions from the block's first to the first one wanted; out [rows, F, width]."""
    for i in range(len(code)):
        op, n, need = code[i, OP], code[i, WINDOW], code[i, NEED]
        first = max(0, ahead - code[i, AFTER])
        if first >= rows:
            continue
        x = _operand(arena, desk, code[i, X], n - 1, first, rows, constants)
        if op == EMIT:
            for r in range(first, rows):
                for j in range(out.shape[2]):
                    out[r, code[i, OUT], j] = x[r - first, j]
            continue
        to = _operand(arena, desk, code[i, OUT], 0, first, rows, constants)
        if op < BINARIES:
            unary(op, x, values[i], to)
        elif op < WINDOWS:
            binary(op - BINARIES, x, _operand(arena, desk, code[i, Y], 0, first, rows, constants), to)
        elif op < SELECT:
            fold(op - WINDOWS, x, _operand(arena, desk, code[i, Y], n - 1, first, rows, constants), n, need, to, work)
        elif op == SELECT:
            then, other = (code[i, Y], code[i, Z])
            select(x, _operand(arena, desk, then, 0, first, rows, constants), _operand(arena, desk, other, 0, first, rows, constants), to)
        elif op == RANK:
            position(x, n, need, to)
        elif op == QUANTILE:
            quantile(x, n, need, values[i], to)
        else:
            shape(x, n, need, 3 if op == SKEW else 4, to)


@cached(sections)
def run_sessions(code: Code, values: Floats, arena: Floats, stocks: int, ahead: int, first: int, stop: int) -> None:
    """The instructions of a stage that look across stocks, for the sessions first … stop-1 of the block; arena [tiles, rows, 64]."""
    x, groups, out = np.empty(stocks), np.empty(stocks), np.empty(stocks)
    keys, places = np.empty((2, stocks), np.uint64), np.empty((2, stocks), np.int32)
    for i in range(len(code)):
        for row in range(max(first, ahead - code[i, AFTER]), stop):
            _gather(arena, code[i, X] + row, x)
            if code[i, Y] != code[i, X]:
                _gather(arena, code[i, Y] + row, groups)
            section(code[i, OP], x, groups, values[i], out, keys, places)
            _scatter(out, arena, code[i, OUT] + row)


@njit(cache=True, nogil=True)
def _gather(arena: Floats, row: int, into: Floats) -> None:
    for tile in range(len(arena)):
        first = tile * STOCKS
        for j in range(min(STOCKS, len(into) - first)):
            into[first + j] = arena[tile, row, j]


@njit(cache=True, nogil=True)
def _scatter(values: Floats, arena: Floats, row: int) -> None:
    for tile in range(len(arena)):
        first = tile * STOCKS
        for j in range(min(STOCKS, len(values) - first)):
            arena[tile, row, j] = values[first + j]


@njit(cache=True, nogil=True)
def load(column: Floats, lo: int, rows: int, first: int, arena: Floats, at: int) -> None:
    """Rows of a column [D, N], or [D, 1] for all stocks, into one tile, whose first stock is `first`."""
    width = min(STOCKS, column.shape[1] - first)
    for r in range(rows):
        if column.shape[1] == 1:
            arena[at + r] = column[lo + r, 0]
        else:
            for j in range(width):
                arena[at + r, j] = column[lo + r, first + j]
            arena[at + r, width:] = np.nan


@njit(cache=True, nogil=True)
def shift(kept: Code, rows: int, arena: Floats) -> None:
    """The last rows of each value move above those of the next block.  kept [K, 2]: where the value begins, how many rows it keeps."""
    for i in range(len(kept)):
        at, before = kept[i, 0], kept[i, 1]
        for r in range(at - before, at):
            for j in range(STOCKS):
                arena[r, j] = arena[r + rows, j]
