"""The solution of a problem, its tracking error kept by the price of risk; PIQP does the quadratic work (Schwan et al. 2023)."""

import math
from typing import Any, NamedTuple

import numpy as np

from backtest.optimise.problem import Problem
from backtest.optimise.program import Program, program
from data.panel import Floats

TOLERANCE = 1e-9  # of the solver, absolute and relative
SNUG = 5e-3  # a binding tracking error lies at most so far below its limit, as a part of it
STRIDE = 8.0  # from one price to the next, until one keeps the limit
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


def solve(problem: Problem) -> Solution | None:
    """The best weights; None where no weights meet all limits.  Raises SolverFailed."""
    ready = program(problem)
    found = minimise(ready, problem)
    if found.x_V is None:
        return None
    return Solution(ready.weights(found.x_V, problem), found.aversion, found.solves)


def minimise(ready: Program, problem: Problem) -> Solved:
    """The program's least value with the tracking error within its limit.

    The weights that are best under a limit on the variance are those that are best at some price of it, and the tracking error falls
    as the price rises: so the limit is kept by looking for the price, one quadratic program a step on the same factorisation.
    """
    machine = _Machine(ready)
    low = problem.aversion
    x_V = machine(low)
    if x_V is None:
        return Solved(None, low, 1)
    error = _error(ready, x_V, problem)
    if error <= problem.tracking_error:
        return Solved(x_V, low, 1)
    high, best, worst = math.inf, None, error
    price = low * STRIDE
    for count in range(2, ROUNDS):
        x_V = machine(price)
        if x_V is None:
            raise SolverFailed(f"a program that has a solution at one price of risk has none at {price:.3g}")
        error = _error(ready, x_V, problem)
        if error <= problem.tracking_error:
            high, best, least = price, x_V, error
            if error >= (1 - SNUG) * problem.tracking_error:
                return Solved(best, high, count)
        else:
            low, worst = price, error
        if best is None:
            if price >= STEEPEST:
                return Solved(None, price, count)
            price = min(STEEPEST, price * STRIDE)
            continue
        if high / low < 1 + 1e-9:
            break
        # A straight line between the logarithms, aimed inside the snug range and kept off the ends.
        aim = math.log((1 - SNUG / 2) * problem.tracking_error)
        share = (math.log(worst) - aim) / max(math.log(worst) - math.log(max(least, 1e-12)), 1e-12)
        price = math.exp(math.log(low) + min(max(share, 0.05), 0.95) * math.log(high / low))
    return Solved(best, high, ROUNDS)


def _error(ready: Program, x_V: Floats, problem: Problem) -> float:
    return problem.deviation(ready.weights(x_V, problem))


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
