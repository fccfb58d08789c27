"""Where no book meets all limits: which ones conflict, by how much, and the book that breaks them least, in a stated order."""

from typing import NamedTuple

import numpy as np

from backtest.optimise.limits import Group, Relaxation
from backtest.optimise.problem import Problem
from backtest.optimise.program import program, widened
from backtest.optimise.solver import Solution, SolverFailed, minimise, solve
from data.panel import Floats

MARGIN = 2e-3  # that a limit on the tracking error gets beyond what can be reached, as a part of it
PHASE_ONE = 1e-3  # price of risk where only breaches count


class Decision(NamedTuple):
    """weights_N to aim at, or those held where even a relaxed problem has no answer; what gave way; the problem that they solve."""

    weights_N: Floats
    relaxed: tuple[Relaxation, ...]
    problem: Problem
    solves: int
    price: float = 0.0  # of risk, that the weights are best at


def decide(problem: Problem, ladder: tuple[Group, ...], price: float = 0.0) -> Decision:
    """The best weights, limits giving way only where they must.

    Groups of the ladder are opened one after the other until a book exists; then those opened give way by as little as possible, added
    up in units of each limit, and the problem is solved again with what was given.  Where the solver comes to no answer, or nothing on
    the ladder helps, the book is left as it is, and that is recorded as the constraint 'solver' or 'ladder'.  price: of risk, to look at
    first: the last evening's saves most of the search.
    """
    if problem.fixed_N.all():
        return Decision(problem.held_N, (), problem, 0)
    try:
        found = solve(problem, price)
        if found is not None:
            return Decision(found.weights_N, (), problem, found.solves, found.aversion)
        for count in range(1, len(ladder) + 1):
            eased = ease(problem, ladder[:count])
            if eased is None:
                continue
            wider, given = eased
            found = solve(wider, price)
            if found is not None:
                return Decision(found.weights_N, tuple(given), wider, found.solves, found.aversion)
        return _held(problem, "ladder")
    except SolverFailed as error:
        return _held(problem, f"solver: {error}")


def ease(problem: Problem, opened: tuple[Group, ...]) -> tuple[Problem, list[Relaxation]] | None:
    """(the problem with the opened limits as wide as they must be, what they gave); None where that isn't enough."""
    free_error = "tracking_error" in opened
    searched = problem._replace(aversion=PHASE_ONE, tracking_error=np.inf if free_error else problem.tracking_error)
    ready = program(searched, opened)
    found = minimise(ready, searched)
    if found.x_V is None:
        return None
    wider, given = widened(problem, ready.given(found.x_V))
    if not free_error or not np.isfinite(problem.tracking_error):
        return wider, given
    least = least_error(wider)
    if least is not None and least > problem.tracking_error:
        wider = wider._replace(tracking_error=least * (1 + MARGIN))
        given.append(Relaxation("tracking_error", problem.tracking_error, wider.tracking_error))
    return wider, given


def least_error(problem: Problem) -> float | None:
    """The smallest tracking error that the other limits allow, a year; None where they allow no book at all."""
    nothing = np.zeros_like(problem.alpha_N)
    calm = problem._replace(alpha_N=nothing, buy_N=nothing, sell_N=nothing, tracking_error=np.inf, aversion=1.0)
    found: Solution | None = solve(calm)
    return None if found is None else problem.deviation(found.weights_N)


def _held(problem: Problem, why: str) -> Decision:
    return Decision(problem.held_N, (Relaxation(why, float("nan"), float("nan")),), problem, 0)
