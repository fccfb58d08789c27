"""The solution of a problem, its tracking error kept by the price of risk; PIQP does the quadratic work (Schwan et al. 2023)."""

import math
from typing import Any, NamedTuple

import numpy as np

from backtest.optimise.problem import Problem
from backtest.optimise.program import Program, program
from data.panel import Floats

TOLERANCE = 1e-9  # of the solver, absolute and relative
GAP = 1e-4  # what the book may be worth less than the best one, a year, at most: a basis point
INSIDE = 1e-6  # a binding tracking error is aimed at so far below its limit, as a part of it
STRIDE = 8.0  # from one price to the next, at most
STEEP, NUDGE = 6.0, 1.05  # a price that is a little off: the power of the error that it is moved by, and a bit more, so that the limit lies between
STEEPEST = 1e8  # of the aversion: beyond it only risk counts
ROUNDS = 40


class SolverFailed(Exception):
    """The solver came to no answer: neither weights nor the proof that there are none."""


class Solution(NamedTuple):
    """weights_N, and the price of risk at which they are best: the problem's own, or the one that keeps the tracking error."""

    weights_N: Floats
    aversion: float
    solves: int


class Solved(NamedTuple):
    """A program's answer, x_V None where it has none."""

    x_V: Floats | None
    aversion: float
    solves: int


class Point(NamedTuple):
    """What is best at one price of risk.

    beyond: half of its variance less half of the limit's.  bound: the most that the best book within the limit can be worth, negated.
    """

    price: float
    x_V: Floats
    error: float
    beyond: float
    bound: float


def solve(problem: Problem, price: float = 0.0) -> Solution | None:
    """The best weights; None where no weights meet all limits.  price: of risk, to look at first.  Raises SolverFailed."""
    ready = program(problem)
    found = minimise(ready, problem, price)
    if found.x_V is None:
        return None
    return Solution(ready.weights(found.x_V, problem), found.aversion, found.solves)


def minimise(ready: Program, problem: Problem, price: float = 0.0) -> Solved:
    """The program's least value with the tracking error within its limit, to GAP; `price` of risk is where the search begins.

    The weights that are best under a limit on the variance are those that are best at some price of it, and the tracking error falls
    as the price rises: so the limit is kept by looking for the price, one quadratic program a step.  What lies between a book beyond the
    limit and one within it meets all other limits too, and every price says how much the best book can be worth at most (the Lagrangian's
    bound): so two prices on both sides that are close enough to each other are an answer.
    """
    look, price = _Look(ready, problem), max(price, problem.aversion)
    low: Point | None = None  # beyond the limit
    high: Point | None = None  # within it
    streak = 0
    for count in range(1, ROUNDS):
        point = look(price)
        if point is None:
            return Solved(None, price, count)
        if point.error <= problem.tracking_error:
            high, streak = point, min(streak, 0) - 1
            if price == problem.aversion:
                return Solved(point.x_V, price, count)
        else:
            low, streak = point, max(streak, 0) + 1
        if high is not None:
            x_V = high.x_V if low is None else look.between(low, high)
            if look.value(x_V) - max(one.bound for one in (low, high) if one is not None) <= GAP:
                return Solved(x_V, _following(low, high, problem.tracking_error, problem.aversion, 0), count)
        elif price >= STEEPEST:
            return Solved(None, price, count)
        price = _following(low, high, problem.tracking_error, problem.aversion, streak)
    return Solved(None if high is None else high.x_V, price, ROUNDS)


def _following(low: Point | None, high: Point | None, limit: float, least: float, streak: int) -> float:
    """The next price: steps until the limit lies between two prices, then a straight line between the logarithms of price and error.

    streak: how many answers lay beyond the limit, one after the other; negative: within it.  An end that has stayed counts ever less, so
    that the line doesn't lean on it for long (the Illinois rule).
    """
    if low is None:
        assert high is not None
        return max(least, high.price * max((high.error / limit) ** STEEP, 1 / STRIDE) / NUDGE)
    if high is None:
        near = STRIDE if low.price == least else min((low.error / limit) ** STEEP, STRIDE)
        return min(STEEPEST, low.price * max(near * NUDGE, STRIDE ** (streak - 1)))  # ever longer, since perhaps no price keeps the limit
    above, below = math.log(low.error / limit), math.log(limit / max(high.error, 1e-12))
    above, below = above / 2 ** max(-streak - 1, 0), below / 2 ** max(streak - 1, 0)
    return low.price * math.exp(min(max(above / max(above + below, 1e-12), 0.05), 0.95) * math.log(high.price / low.price))


class _Look:
    """A program at any price of risk, and books between two of its answers."""

    def __init__(self, ready: Program, problem: Problem) -> None:
        self.ready, self.problem, self.machine, self.found = ready, problem, _Machine(ready), False

    def __call__(self, price: float) -> Point | None:
        """What is best at a price; None where the other limits can't be met.  Raises SolverFailed."""
        x_V = self.machine(price)
        if x_V is None:
            if self.found:
                raise SolverFailed(f"a program that has a solution at one price of risk has none at {price:.3g}")
            return None
        self.found = True
        error = self.problem.deviation(self.ready.weights(x_V, self.problem))
        beyond = (error**2 - self.problem.tracking_error**2) / 2
        return Point(price, x_V, error, beyond, self.value(x_V) + (price - self.problem.aversion) * beyond)

    def value(self, x_V: Floats) -> float:
        """What is minimised, at the problem's own aversion."""
        half = x_V @ (self.ready.P @ x_V) / 2 + self.ready.centre_V @ x_V
        return float(self.problem.aversion * half + self.ready.cost_V @ x_V)

    def between(self, low: Point, high: Point) -> Floats:
        """The point of the line between two answers whose error is the limit, less what rounding needs; `high` where that lies below."""
        step_V = low.x_V - high.x_V
        room = -high.beyond - INSIDE * self.problem.tracking_error**2
        bent, slope = float(step_V @ (self.ready.P @ step_V)) / 2, float(step_V @ (self.ready.P @ high.x_V + self.ready.centre_V))
        if room <= 0 or bent <= 0:
            return high.x_V
        share = 2 * room / (slope + math.sqrt(max(slope**2 + 4 * bent * room, 0.0)))  # the positive root, written so that nothing cancels
        return np.asarray(high.x_V + min(share, 1.0) * step_V)


class _Machine:
    """A program set up once, solved at any price of risk: dividing all by the price leaves the matrices as they are."""

    def __init__(self, ready: Program) -> None:
        import piqp

        self.ready, self.solver, self.status = ready, piqp.SparseSolver(), piqp.Status
        self.solver.settings.eps_abs = self.solver.settings.eps_rel = TOLERANCE
        self.solver.settings.max_iter = 200
        self.began = False

    def __call__(self, price: float) -> Floats | None:
        """The solution [V]; None where there is none.  Raises SolverFailed."""
        ready, solver = self.ready, self.solver
        linear_V = ready.centre_V + ready.cost_V / price
        if self.began:
            solver.update(c=linear_V)
        else:
            solver.setup(ready.P, linear_V, ready.A, ready.b, ready.G, ready.low, ready.high, ready.least_V, ready.most_V)
            self.began = True
        status: Any = solver.solve()
        if status == self.status.PIQP_PRIMAL_INFEASIBLE:
            return None
        if status != self.status.PIQP_SOLVED:
            raise SolverFailed(f"piqp says {status}")
        return np.array(solver.result.x)
