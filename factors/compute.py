"""Expressions become numbers, in blocks of sessions: memory is bounded by the block, every core works, and nothing is computed twice.

A value depends on its session and the expression's lookback before it, to the last bit: neither blocks, threads nor earlier history
change it.  Imports neither polars nor a panel: columns are arrays.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from os import cpu_count
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from factors.elementwise import STOCKS
from factors.expressions import Expr
from factors.machine import load, run_sessions, run_tile, shift
from factors.program import Component, Program, Stage, compiled

Floats = NDArray[np.float64]
Columns = Mapping[str, Floats]

BLOCK = 128  # sessions


def blocks(
    expressions: Sequence[Expr], columns: Columns, *, start: int = 0, size: int = BLOCK, threads: int | None = None
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(first session, x_BFN) of each block from the session `start` on; every block lies in one buffer, so copy what you keep.

    columns: {name: [D, N], or [D, 1] for the market}, NaN = null.  A KeyError says that an expression's column isn't there.
    """
    run = _Run(compiled(tuple(expressions), size, keep=False), columns, start, threads)
    x_BFN = np.empty((size, len(expressions), run.stocks), np.float32)
    for lo, rows in run.spans():
        run.block(lo, rows, x_BFN)
        if lo >= start:
            yield lo, x_BFN[:rows]


class Columned(Protocol):
    """What has columns: a panel."""

    @property
    def columns(self) -> Columns:
        """{name: [D, N], or [D, 1] for the market}"""


class Computer:
    """Values of some expressions over one panel, [D, N] float64, NaN = null: for a few of them, all held at once."""

    def __init__(self, panel: Columned, expressions: Sequence[Expr], *, threads: int | None = None) -> None:
        self.places = {expr: place for place, expr in enumerate(dict.fromkeys(expressions))}
        run = _Run(compiled(tuple(self.places), BLOCK, keep=True), panel.columns, 0, threads)
        self.values = np.empty((len(self.places), run.sessions, run.stocks))
        for lo, rows in run.spans():
            run.block(lo, rows, np.empty((rows, 0, run.stocks), np.float32))
            for place, at in enumerate(run.program.outputs):
                self.values[place, lo : lo + rows] = run.kept(at, rows)

    def __call__(self, expr: Expr) -> Floats:
        """[D, N] of one of the expressions."""
        return self.values[self.places[expr]]


class _Run:
    """A program over some columns, from the session `start` on: its arena, a desk a thread."""

    def __init__(self, program: Program, columns: Columns, start: int, threads: int | None) -> None:
        self.program, self.start = program, start
        self.columns = [(np.ascontiguousarray(columns[name], dtype=np.float64), at) for name, at in program.columns]
        self.sessions, self.stocks = np.broadcast_shapes(*(values.shape for values in columns.values()))
        self.arena = np.full((-(-self.stocks // STOCKS), program.rows, STOCKS), np.nan)
        workers = max(1, min(threads or min(cpu_count() or 1, 8), len(self.arena)))
        self.spaces = [(self._desk(), np.empty(program.work)) for _ in range(workers)]
        self.pool = ThreadPoolExecutor(workers) if workers > 1 else None
        self.last = 0  # sessions of the block before

    def _desk(self) -> Floats:
        desk = np.full((self.program.desk, STOCKS), np.nan)
        desk[: len(self.program.constants)] = self.program.constants[:, None]
        return desk

    def spans(self) -> Iterator[tuple[int, int]]:
        """(first session, sessions) of each block, those first that are only looked back to."""
        first, size = max(0, self.start - self.program.lookback), self.program.block
        for lo, hi in pairwise([first, *range(self.start, first, -size)[::-1]]):
            yield lo, hi - lo
        for lo in range(self.start, self.sessions, size):
            yield lo, min(size, self.sessions - lo)

    def block(self, lo: int, rows: int, out: NDArray[np.float32]) -> None:
        """Compute the sessions lo … lo+rows-1; wanted ones are emitted to out [>= rows, F, N]."""
        ahead = self.start - lo
        for number, stage in enumerate(self.program.stages):
            if len(stage.across):
                self._across(stage, ahead, rows)
            for component in stage.components:
                self._component(component, ahead, rows)
            self._along(stage, lo, ahead, rows, out, begin=number == 0)
        self.last = rows

    def _across(self, stage: Stage, ahead: int, rows: int) -> None:
        step = rows if len(self.spaces) == 1 else 8

        def task(place: int, desk: Floats, work: Floats) -> None:
            del desk, work
            first = place * step
            run_sessions(stage.across, stage.across_values, self.arena, self.stocks, ahead, first, min(first + step, rows))

        self._share_out(task, -(-rows // step))

    def _along(self, stage: Stage, lo: int, ahead: int, rows: int, out: NDArray[np.float32], *, begin: bool) -> None:
        program = self.program

        def task(tile: int, desk: Floats, work: Floats) -> None:
            arena, first = self.arena[tile], tile * STOCKS
            if begin:
                shift(program.kept, self.last, arena)
                for values, at in self.columns:
                    load(values, lo, rows, first, arena, at)
            if len(stage.along):
                mine = out[:, :, first : first + STOCKS]
                run_tile(stage.along, stage.along_values, arena, desk, work, len(program.constants), ahead, rows, mine)

        self._share_out(task, len(self.arena))

    def _component(self, component: Component, ahead: int, rows: int) -> None:
        before = component.window - 1
        series = np.column_stack([self.arena[0, at - before : at + rows, 0] for at in component.series])
        for row in range(max(0, ahead - component.after), rows):
            self.arena[:, component.out + row] = first_component(series[row : row + component.window])

    def _share_out(self, task: Callable[[int, Floats, Floats], None], count: int) -> None:
        """Tasks to threads, each as it gets free."""
        places = iter(range(count))

        def worker(space: tuple[Floats, Floats]) -> None:
            for place in places:
                task(place, *space)

        if self.pool is None:
            worker(self.spaces[0])
        else:
            list(self.pool.map(worker, self.spaces))

    def kept(self, at: int, rows: int) -> Floats:
        """Values [rows, N] that stayed in the arena."""
        return self.arena[:, at : at + rows].swapaxes(0, 1).reshape(rows, -1)[:, : self.stocks]


def first_component(seen: Floats) -> float:
    """First principal component of market series [window, K] at the last session; see operators.  Null without half of the sessions."""
    known = seen[np.isfinite(seen).all(axis=1)]
    if len(known) < (len(seen) + 1) // 2 or not np.isfinite(seen[-1]).all():
        return np.nan
    mean, spread = known.mean(axis=0), known.std(axis=0)
    if (spread <= 1e-12 * np.abs(known).max(axis=0)).any():
        return np.nan
    z_SK = (known - mean) / spread
    _, vectors = np.linalg.eigh(z_SK.T @ z_SK)
    loading = vectors[:, -1] * (1.0 if vectors[0, -1] >= 0 else -1.0)
    return float(z_SK[-1] @ loading)
