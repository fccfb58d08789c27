"""Expressions become a program: every distinct node once, in stages, each with a place for its values.

A stage is what can be done without looking across stocks, stock by stock; between two stages lie the operators that look across the
stocks of a session.  A delay is no step: who reads it reads its operand's earlier rows.  A value is computed from the first session on
that someone needs it, and keeps as many earlier rows as its readers reach back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from factors.elementwise import BINARY, UNARY
from factors.expressions import Expr
from factors.folds import FOLDS, room
from factors.machine import AFTER, EMIT, FIELDS, NEED, OP, OPS, OUT, WINDOW, Code, Floats, X, Y, Z
from factors.sections import SECTIONS

FOREVER = 1 << 30


@dataclass(frozen=True)
class Component:
    """A first principal component: where its market-wide series and its own values are, over how many sessions, and from when on."""

    series: tuple[int, ...]
    out: int
    window: int
    after: int


@dataclass(frozen=True)
class Stage:
    """Instructions across stocks, then those along sessions; each with its number, if it has one."""

    across: Code
    across_values: Floats
    components: tuple[Component, ...]
    along: Code
    along_values: Floats


@dataclass(frozen=True)
class Program:
    """What it takes to compute some expressions in blocks of at most `block` sessions."""

    block: int
    lookback: int  # earlier sessions that the first value reads
    columns: tuple[tuple[str, int], ...]  # of the panel, and the rows they are loaded to
    stages: tuple[Stage, ...]
    outputs: tuple[int, ...]  # rows of the expressions' values, where they are kept
    kept: Code  # [K, 2]: where a value begins, how many earlier rows it keeps
    rows: int  # of the arena
    constants: Floats
    desk: int  # rows of a desk
    work: int  # numbers


@lru_cache(maxsize=16)
def compiled(expressions: tuple[Expr, ...], block: int, *, keep: bool) -> Program:
    """The program of these expressions; `keep`: their values stay in the arena, else they are emitted as they are found."""
    return _Compiler(expressions, block, keep).program()


@dataclass
class _Node:
    """A distinct operator of the program with what its readers ask of it."""

    expr: Expr
    stage: int
    after: int = 0  # sessions before the first one wanted
    before: int = 0  # rows kept above the block
    last: int = -1  # time at which it is read last; a stage's time is twice its number, what looks across comes just before
    arena: bool = False
    at: int = 0
    readers: int = 0
    places: list[int] = field(default_factory=list)  # of the outputs that it is

    @property
    def across(self) -> bool:
        return self.expr.op in SECTIONS or self.expr.op == "first_component"

    @property
    def born(self) -> int:
        return -1 if self.expr.op == "column" else 2 * self.stage - self.across


class _Compiler:
    def __init__(self, expressions: Sequence[Expr], block: int, keep: bool) -> None:
        self.block, self.keep = block, keep
        self.nodes: dict[Expr, _Node] = {}
        self.constants: dict[float, int] = {}
        self.outputs = [_resolved(expr) for expr in expressions]
        for expr, _ in self.outputs:
            self._find(expr)
        self._ask()

    def _find(self, expr: Expr) -> int:
        """Nodes in the order of their computation; returns the stage of this one."""
        if expr.op == "constant":
            self.constants.setdefault(float(expr.params[0]), len(self.constants))
            return 0
        if expr not in self.nodes:
            stage = max((self._find(arg) for arg, _ in _arguments(expr)), default=0)
            across = expr.op in SECTIONS or expr.op == "first_component"
            self.nodes[expr] = _Node(expr, stage + across)
        return self.nodes[expr].stage

    def _ask(self) -> None:
        """From the outputs backwards, what each node's readers need of it."""
        for place, (expr, lag) in enumerate(self.outputs):
            node = self.nodes[expr]
            node.places.append(place)
            self._read(node, 0, lag, FOREVER if self.keep else 2 * node.stage)
        for reader in reversed(self.nodes.values()):
            for expr, lag in _arguments(reader.expr):
                if expr.op != "constant":
                    node = self.nodes[expr]
                    node.arena |= reader.across or reader.stage > node.stage
                    self._read(node, reader.after, lag + _reach(reader.expr), reader.born)
        for node in self.nodes.values():
            node.arena |= node.across or node.before > 0 or node.expr.op == "column" or (self.keep and bool(node.places))

    def _read(self, node: _Node, after: int, reach: int, time: int) -> None:
        node.after, node.before = max(node.after, after + reach), max(node.before, reach)
        node.last, node.readers = max(node.last, time), node.readers + 1

    def program(self) -> Program:
        """Places for all values, then the instructions."""
        rows = self._settle()
        desk = _Desk(len(self.constants), self.block)
        last = max((node.stage for node in self.nodes.values()), default=0)
        stages = tuple(self._stage(number, desk) for number in range(last + 1))
        kept = [(node.at, node.before) for node in self.nodes.values() if node.before]
        return Program(
            self.block,
            max((node.after for node in self.nodes.values()), default=0),
            tuple((str(node.expr.params[0]), node.at) for node in self.nodes.values() if node.expr.op == "column"),
            stages,
            tuple(self.nodes[expr].at - lag for expr, lag in self.outputs) if self.keep else (),
            np.array(kept, dtype=np.int64).reshape(-1, 2),
            rows | 1,  # an odd number, lest the tiles' rows fall on the same lines of a cache
            np.array(list(self.constants), dtype=np.float64),
            desk.rows,
            max([room(int(node.expr.params[0]), self.block) for node in self.nodes.values() if node.expr.op in FOLDS], default=1),
        )

    def _settle(self) -> int:
        """Rows of the arena; a value that keeps none above the block leaves its place to another after its last reader's time."""
        rows = 0
        free: list[tuple[int, int]] = []  # when the last reader is done, and the place
        for node in sorted((node for node in self.nodes.values() if node.arena), key=lambda node: node.born):
            ready = [place for place in free if place[0] < node.born]
            if not node.before and ready:
                free.remove(ready[0])
                node.at = ready[0][1]
            else:
                node.at = rows + node.before
                rows = node.at + self.block
            if not node.before:
                free.append((node.last, node.at))
        return rows

    def _stage(self, number: int, desk: "_Desk") -> Stage:
        across, along, components = _Listing(), _Listing(), []
        for node in self.nodes.values():
            if node.stage != number or node.expr.op == "column":
                self._emit(node, along, number)
                continue
            operands = [self._operand(arg, lag) for arg, lag in _arguments(node.expr)]
            if node.expr.op == "first_component":
                components.append(Component(tuple(operands), node.at, int(node.expr.params[0]), node.after))
            elif node.across:
                value = float(node.expr.params[0]) if node.expr.params else 0.0
                across.add(SECTIONS.index(node.expr.op), node.at, node.after, operands, 1, 0, value)
            else:
                if not node.arena:
                    node.at = desk.take()
                along.add(OPS[node.expr.op], node.at, node.after, operands, *_parameters(node.expr))
                for arg, _ in _arguments(node.expr):
                    self._let_go(arg, desk)
            self._emit(node, along, number)
            if node.places and not self.keep:
                node.readers -= len(node.places) - 1
                self._let_go(node.expr, desk)
        return Stage(*across.arrays(), tuple(components), *along.arrays())

    def _emit(self, node: _Node, along: "_Listing", number: int) -> None:
        if node.stage == number and not self.keep:
            for place in node.places:
                along.add(EMIT, place, 0, [node.at - self.outputs[place][1] if node.arena else node.at], 1, 0, 0.0)

    def _operand(self, expr: Expr, lag: int) -> int:
        if expr.op == "constant":
            return -1 - self.constants[float(expr.params[0])]
        return self.nodes[expr].at - lag

    def _let_go(self, expr: Expr, desk: "_Desk") -> None:
        if expr.op != "constant" and not self.nodes[expr].arena:
            self.nodes[expr].readers -= 1
            if self.nodes[expr].readers == 0:
                desk.free.append(self.nodes[expr].at)


class _Desk:
    """Places on a thread's desk: constants first, then slots of a block's rows each, used again and again."""

    def __init__(self, constants: int, block: int) -> None:
        self.rows, self.block = constants, block
        self.free: list[int] = []

    def take(self) -> int:
        """A slot, as an operand."""
        if self.free:
            return self.free.pop()
        self.rows += self.block
        return -1 - (self.rows - self.block)


class _Listing:
    """Instructions as they are added."""

    def __init__(self) -> None:
        self.code: list[list[int]] = []
        self.values: list[float] = []

    def add(self, op: int, out: int, after: int, operands: Iterable[int], window: int, need: int, value: float) -> None:
        """One instruction; operands that it doesn't have repeat its first."""
        given = list(operands)
        line = [0] * FIELDS
        line[OP], line[OUT], line[AFTER], line[WINDOW], line[NEED] = op, out, after, window, need
        line[X], line[Y], line[Z] = (*given, *[given[0]] * (3 - len(given)))
        self.code.append(line)
        self.values.append(value)

    def arrays(self) -> tuple[Code, Floats]:
        """[I, fields] and [I]"""
        return np.array(self.code, dtype=np.int64).reshape(-1, FIELDS), np.array(self.values, dtype=np.float64)


def _resolved(expr: Expr) -> tuple[Expr, int]:
    """What is read, and how many sessions ago; a constant becomes a row of its own."""
    lag = 0
    while expr.op == "delay":
        lag += int(expr.params[0])
        expr = expr.args[0]
    return (Expr("copy", (expr,)) if expr.op == "constant" else expr), lag


def _arguments(expr: Expr) -> list[tuple[Expr, int]]:
    """The operands with their delays; elementwise operators take constants as they are."""
    plain = expr.op in UNARY or expr.op in BINARY or expr.op == "select"
    return [(arg, 0) if plain and arg.op == "constant" else _resolved(arg) for arg in expr.args]


def _reach(expr: Expr) -> int:
    """Earlier sessions that the operator itself reads."""
    return int(expr.params[0]) - 1 if expr.op in FOLDS or expr.op.startswith("ts_") or expr.op == "first_component" else 0


def _parameters(expr: Expr) -> tuple[int, int, float]:
    """(window, fewest values, number) of an instruction along sessions."""
    if expr.op == "fill":
        return 1, 0, float(expr.params[0])
    if not expr.params:
        return 1, 0, 0.0
    return int(expr.params[0]), int(expr.params[1]), float(expr.params[2]) if len(expr.params) > 2 else 0.0
