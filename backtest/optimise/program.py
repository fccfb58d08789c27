"""A problem as the sparse matrices that the solver reads, and back.

Variables: w of the stocks that may be traded, u = what is bought of those that are held (of the others it is w), y = active exposures
to the risk factors, and, where limits may give way, how far each does.  With y the variance is a diagonal and a small block, so a
rebalance costs what the factors cost, not stocks squared.
"""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from backtest.optimise.limits import Relaxation
from backtest.optimise.problem import EMPTY, Problem
from data.panel import Floats

# V variables, N stocks, F of them free, H of these held, K risk factors


class Program(NamedTuple):
    """Minimise aversion x (1/2 x' P x + centre' x) + cost' x, with A x = b, low <= G x <= high, least <= x <= most."""

    P: sp.csc_matrix
    centre_V: Floats
    cost_V: Floats
    A: sp.csc_matrix
    b: Floats
    G: sp.csc_matrix
    low: Floats
    high: Floats
    least_V: Floats
    most_V: Floats
    free_N: NDArray[np.bool_]
    slacks: tuple[str, ...]  # of the last variables: which limit each lets give way
    units: Floats  # of each

    def weights(self, x_V: Floats, problem: Problem) -> Floats:
        """The weights [N] of a solution: within their own bounds and not below 0, whatever the solver rounds."""
        weights_N = problem.held_N.copy()
        free = int(self.free_N.sum())
        weights_N[self.free_N] = np.where(x_V[:free] < EMPTY, 0.0, x_V[:free])
        return weights_N

    def given(self, x_V: Floats) -> dict[str, float]:
        """How far each limit gives way, in its own measure."""
        found = x_V[len(x_V) - len(self.slacks) :]
        return {name: float(max(value, 0.0)) for name, value in zip(self.slacks, found, strict=True)}


def program(problem: Problem, opened: Collection[str] = ()) -> Program:
    """The matrices of a problem.  opened: groups of limits that may give way; then the cost is how far they do, and nothing else."""
    free_N = ~problem.fixed_N
    held_H = problem.held_N[free_N] > EMPTY
    free, held, factors = int(free_N.sum()), int(held_H.sum()), problem.risk.X_NK.shape[1]
    stuck_N = np.where(free_N, 0.0, problem.held_N)
    X_FK, own_F, index_F = problem.risk.X_NK[free_N], problem.risk.specific_N[free_N], problem.index_N[free_N]
    slacks, units = _slacks(problem, opened)
    width = free + held + factors + len(slacks)
    P = sp.block_diag(
        [sp.diags_array(own_F), sp.csc_matrix((held, held)), sp.csc_matrix(problem.risk.F_KK), sp.csc_matrix((len(slacks), len(slacks)))],
        format="csc",
    )
    centre_V = np.concatenate([-own_F * index_F, np.zeros(width - free)])
    A = sp.hstack([sp.csc_matrix(X_FK.T), sp.csc_matrix((factors, held)), -sp.identity(factors), sp.csc_matrix((factors, len(slacks)))], format="csc")
    b = problem.risk.X_NK.T @ (problem.index_N - stuck_N)
    G, low, high = _inequalities(problem, free_N, held_H, slacks)
    named = "names" in opened
    least_F = np.zeros(free) if named else problem.low_N[free_N]
    most_F = np.full(free, 1.0) if named else problem.high_N[free_N]
    unbounded_K = np.full(factors, np.inf)
    return Program(
        P,
        centre_V,
        _cost(problem, free_N, held_H, factors, units),
        A,
        b,
        G,
        low,
        high,
        np.concatenate([least_F, np.zeros(held), -unbounded_K, np.zeros(len(slacks))]),
        np.concatenate([most_F, np.full(held, np.inf), unbounded_K, np.full(len(slacks), np.inf)]),
        free_N,
        slacks,
        units,
    )


def widened(problem: Problem, given: dict[str, float], margin: float = 1e-4) -> tuple[Problem, list[Relaxation]]:
    """(the problem with limits as wide as they have to be, and a little more that leaves the solver room; what was given way of)."""
    found, bands = [], list(problem.bands)
    for place, band in enumerate(bands):
        low, high = (given.get(f"{side}{band.group}:{band.name}", 0.0) for side in ("<", ">"))
        if low > margin * band.unit:
            bands[place] = bands[place]._replace(low=band.low - low - margin * band.unit)
            found.append(Relaxation(f"{band.group}:{band.name}", band.low, bands[place].low))
        if high > margin * band.unit:
            bands[place] = bands[place]._replace(high=band.high + high + margin * band.unit)
            found.append(Relaxation(f"{band.group}:{band.name}", band.high, bands[place].high))
    low_N, high_N, turnover, free_N = problem.low_N, problem.high_N, problem.turnover, ~problem.fixed_N
    if given.get("names", 0.0) > margin * 0.01:
        gap = given["names"] * (1 + margin)
        low_N, high_N = np.where(free_N, np.maximum(low_N - gap, 0.0), low_N), np.where(free_N, np.minimum(high_N + gap, 1.0), high_N)
        found.append(Relaxation("names", 0.0, gap))
    if given.get("turnover", 0.0) > margin * turnover:
        found.append(Relaxation("turnover", turnover, turnover + given["turnover"] * (1 + margin) + margin * turnover))
        turnover = found[-1].given
    return problem._replace(bands=tuple(bands), low_N=low_N, high_N=high_N, turnover=turnover), found


def _slacks(problem: Problem, opened: Collection[str]) -> tuple[tuple[str, ...], Floats]:
    """(names of the slacks, their units): two for each row, < for its lower end and > for its upper one, one for turnover, one for names."""
    found = [(f"{side}{band.group}:{band.name}", band.unit) for band in problem.bands if band.group in opened for side in ("<", ">")]
    if "turnover" in opened:
        found.append(("turnover", problem.turnover))
    if "names" in opened:
        found.append(("names", 0.01))
    return tuple(name for name, _ in found), np.array([unit for _, unit in found])


def _cost(problem: Problem, free_N: NDArray[np.bool_], held_H: NDArray[np.bool_], factors: int, units: Floats) -> Floats:
    """What is minimised beside risk: costs less what is expected; or, where limits may give way, how far they do."""
    if len(units):
        return np.concatenate([np.zeros(len(held_H) + int(held_H.sum()) + factors), 1 / units])
    buy_F, sell_F = problem.buy_N[free_N], problem.sell_N[free_N]
    # sold = u - w + held, bought = u; of what isn't held, bought = w
    weight_F = -problem.alpha_N[free_N] + np.where(held_H, -sell_F, buy_F)
    return np.concatenate([weight_F, (buy_F + sell_F)[held_H], np.zeros(factors)])


def _inequalities(
    problem: Problem, free_N: NDArray[np.bool_], held_H: NDArray[np.bool_], slacks: tuple[str, ...]
) -> tuple[sp.csc_matrix, Floats, Floats]:
    """Rows: bands, turnover, what is bought of each held stock, and names where they may give way."""
    free, held, factors = len(held_H), int(held_H.sum()), problem.risk.X_NK.shape[1]
    column = {name: place for place, name in enumerate(slacks)}
    stuck_N = np.where(free_N, 0.0, problem.held_N)
    C_MF = np.stack([band.row_N[free_N] for band in problem.bands])
    base_M = np.array([band.row_N @ stuck_N for band in problem.bands])
    slack_MS = np.zeros((len(problem.bands), len(slacks)))
    for m, band in enumerate(problem.bands):
        if f"<{band.group}:{band.name}" in column:
            slack_MS[m, column[f"<{band.group}:{band.name}"]] = 1
            slack_MS[m, column[f">{band.group}:{band.name}"]] = -1
    blank = sp.csc_matrix((len(problem.bands), held + factors))
    parts = [sp.hstack([sp.csc_matrix(C_MF), blank, sp.csc_matrix(slack_MS)])]
    low, high = [np.array([band.low for band in problem.bands]) - base_M], [np.array([band.high for band in problem.bands]) - base_M]
    # Half of bought + sold = bought - (invested - held) / 2; bought = sum of u, and of w that isn't held.
    turning = np.concatenate([np.where(held_H, -0.5, 0.5), np.ones(held), np.zeros(factors + len(slacks))])
    if "turnover" in column:
        turning[free + held + factors + column["turnover"]] = -1
    parts.append(sp.csc_matrix(turning[None]))
    low.append(np.array([-np.inf]))
    high.append(np.array([problem.turnover - problem.held_N[free_N].sum() / 2]))
    pick = sp.identity(free, format="csr")[held_H]
    parts.append(sp.hstack([-pick, sp.identity(held), sp.csc_matrix((held, factors + len(slacks)))]))
    low.append(-problem.held_N[free_N][held_H])
    high.append(np.full(held, np.inf))
    if "names" in column:
        one = np.zeros((free, len(slacks)))
        one[:, column["names"]] = 1
        between = sp.csc_matrix((free, held + factors))
        parts += [sp.hstack([sp.identity(free), between, sp.csc_matrix(sign * one)]) for sign in (1, -1)]
        low += [problem.low_N[free_N], np.full(free, -np.inf)]
        high += [np.full(free, np.inf), problem.high_N[free_N]]
    return sp.csc_matrix(sp.vstack(parts)), np.concatenate(low), np.concatenate(high)
