"""The solvers that could serve a rebalance, on the same problems: CPU time, broken limits, and what the best book is worth.

Run: OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 python -P benchmarks/optimiser.py [--stocks 500 1800]     Prints a table.
Needs clarabel, osqp and scipy beside piqp.  Problems are random, of 42 factors; nothing is measured twice in a process that has it cached but the
factorisation that a solver keeps itself ("again": the same matrices with another objective).  Times are CPU milliseconds, the best of a few.
"""

import argparse
import time
from collections.abc import Callable
from typing import NamedTuple

import clarabel
import numpy as np
import osqp
import piqp
import scipy.sparse as sp

from backtest.optimise.ladder import decide
from backtest.optimise.limits import Limits
from backtest.optimise.problem import Problem, problem
from backtest.optimise.program import Program, program
from backtest.optimise.solver import minimise
from backtest.risk.model import Risk
from data.panel import Floats

GROUPS, STYLES, REPEATS = 35, 6, 3
FREE = Limits(tracking_error=None, turnover=0.3)


class Run(NamedTuple):
    """An answer, the milliseconds that it took, and those of another one with the same matrices; NaN where a solver starts afresh."""

    x_V: Floats
    first: float
    again: float


def drawn(stocks: int, limits: Limits) -> Problem:
    """A random problem: a lognormal index, 150 names held, industries, styles."""
    rng = np.random.default_rng(stocks)
    group_N, z_NS = rng.integers(0, GROUPS, stocks), np.clip(rng.normal(size=(stocks, STYLES)), -3, 3)
    X_NK = np.column_stack([np.ones(stocks), group_N[:, None] == np.arange(GROUPS), z_NS])
    mix = rng.normal(size=(X_NK.shape[1], 3 * X_NK.shape[1]))
    deviation_K = np.concatenate([[0.22], np.full(GROUPS, 0.1), np.full(STYLES, 0.04)]) / np.sqrt((mix**2).sum(axis=1))
    own_N = rng.uniform(0.25, 0.5, stocks) ** 2
    index_N = rng.lognormal(0, 0.5, stocks)
    held_N = index_N * rng.lognormal(0, 0.4, stocks) * (rng.permutation(stocks) < 150 * stocks / 500)
    posed, _ = problem(
        0.05 * np.sqrt(own_N * 24) * rng.normal(size=stocks),
        Risk(("",) * X_NK.shape[1], X_NK, (mix @ mix.T) * np.outer(deviation_K, deviation_K), own_N),
        index_N / index_N.sum(),
        0.985 * held_N / held_N.sum(),
        limits=limits,
        costs=(np.full(stocks, 0.017), np.full(stocks, 0.041)),
        tradable_N=rng.random(stocks) < 0.97,
        buyable_N=np.ones(stocks, dtype=bool),
        styles={f"style {s}": z_NS[:, s] for s in range(STYLES)},
        group_N=group_N,
        groups=tuple(f"industry {g}" for g in range(GROUPS)),
        aversion=5.0,
        symbols=tuple(str(n) for n in range(stocks)),
    )
    return posed


def milliseconds(work: Callable[[], None]) -> float:
    """CPU time of the work."""
    began = time.process_time()
    work()
    return 1e3 * (time.process_time() - began)


def by_piqp(ready: Program, posed: Problem) -> Run:
    """PIQP through its own interface, at the tolerance that Kestrel uses."""
    solver, c_V = piqp.SparseSolver(), ready.centre_V + ready.cost_V / posed.aversion
    solver.settings.eps_abs = solver.settings.eps_rel = 1e-9

    def first() -> None:
        solver.setup(ready.P, c_V, ready.A, ready.b, ready.G, ready.low, ready.high, ready.least_V, ready.most_V)
        solver.solve()

    def again() -> None:
        solver.update(c=0.9 * c_V)
        solver.solve()

    took = milliseconds(first)
    return Run(np.array(solver.result.x), took, milliseconds(again))


def by_osqp(ready: Program, posed: Problem, tolerance: float) -> Run:
    """OSQP, which starts again where it ended."""
    solver, c_V = osqp.OSQP(), ready.centre_V + ready.cost_V / posed.aversion
    upper = sp.csc_matrix(sp.triu(ready.P))
    rows = sp.vstack([ready.A, ready.G, sp.identity(len(c_V))], format="csc")
    low, high = np.concatenate([ready.b, ready.low, ready.least_V]), np.concatenate([ready.b, ready.high, ready.most_V])
    found: list[Floats] = []

    def first() -> None:
        solver.setup(upper, c_V, rows, low, high, verbose=False, eps_abs=tolerance, eps_rel=tolerance, max_iter=20_000)
        found.append(solver.solve(raise_error=False).x)

    def again() -> None:
        solver.update(q=0.9 * c_V)
        solver.solve(raise_error=False)

    took = milliseconds(first)
    return Run(np.asarray(found[0]), took, milliseconds(again))


def by_clarabel(ready: Program, posed: Problem) -> Run:
    """Clarabel, with a cone for the tracking error where there is a limit on it."""
    c_V = ready.centre_V + ready.cost_V / posed.aversion
    eye = sp.identity(len(c_V), format="csr")
    sides = [(ready.G, ready.high, 1), (ready.G, ready.low, -1), (eye, ready.most_V, 1), (eye, ready.least_V, -1)]
    parts = [(sign * sp.csr_matrix(rows)[np.isfinite(end)], sign * end[np.isfinite(end)]) for rows, end, sign in sides]
    rows, ends = [ready.A, *(part for part, _ in parts)], [ready.b, *(end for _, end in parts)]
    cones = [clarabel.ZeroConeT(len(ready.b)), clarabel.NonnegativeConeT(sum(len(end) for _, end in parts))]
    if np.isfinite(posed.tracking_error):
        free, factors = int(ready.free_N.sum()), len(ready.b)
        own_F, index_F = np.sqrt(posed.risk.specific_N[ready.free_N]), posed.index_N[ready.free_N]
        stuck = float(posed.risk.specific_N[~ready.free_N] @ (posed.held_N - posed.index_N)[~ready.free_N] ** 2)
        between = sp.csr_matrix((free, len(c_V) - free))
        root_KK = sp.csr_matrix(np.linalg.cholesky(posed.risk.F_KK).T)
        rows += [sp.csr_matrix((1, len(c_V))), sp.hstack([-sp.diags_array(own_F), between])]
        rows.append(sp.hstack([sp.csr_matrix((factors, len(c_V) - factors)), -root_KK]))
        ends += [np.array([np.sqrt(posed.tracking_error**2 - stuck)]), -own_F * index_F, np.zeros(factors)]
        cones.append(clarabel.SecondOrderConeT(1 + free + factors))
    settings = clarabel.DefaultSettings()
    settings.verbose, settings.max_threads = False, 1
    stacked, right, upper = sp.vstack(rows, format="csc"), np.concatenate(ends), sp.triu(ready.P, format="csc")
    found: list[Floats] = []
    took = milliseconds(lambda: found.append(np.array(clarabel.DefaultSolver(upper, c_V, stacked, right, cones, settings).solve().x)))
    return Run(found[0], took, float("nan"))


def told(name: str, posed: Problem, ready: Program, solve: Callable[[Program, Problem], Run]) -> None:
    """Print a solver's best run."""
    runs = [solve(ready, posed) for _ in range(REPEATS)]
    weights_N = ready.weights(runs[0].x_V, posed)
    value = posed.aversion * (0.5 * runs[0].x_V @ (ready.P @ runs[0].x_V) + ready.centre_V @ runs[0].x_V) + ready.cost_V @ runs[0].x_V
    broken = ready.A @ runs[0].x_V - ready.b, ready.G @ runs[0].x_V - ready.high, ready.low - ready.G @ runs[0].x_V
    worst = max(np.abs(broken[0]).max(), broken[1].max(), broken[2].max())
    first, again = min(run.first for run in runs), min(run.again for run in runs)
    print(f"  {name:28}{first:8.1f}{again:8.1f}{worst:10.0e}{value:14.8f}{posed.deviation(weights_N):9.4f}{posed.traded(weights_N):9.4f}")


def ours(ready: Program, posed: Problem) -> Run:
    """As Kestrel solves it: PIQP, and for a limit on the tracking error the price of risk that keeps it."""
    found: list[Floats] = []
    took = milliseconds(lambda: found.append(np.asarray(minimise(ready, posed).x_V)))
    return Run(found[0], took, float("nan"))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--stocks", type=int, nargs="+", default=[500, 1800])
    for stocks in parser.parse_args().stocks:
        loose = drawn(stocks, FREE)
        tight = loose._replace(tracking_error=0.75 * loose.deviation(decide(loose, FREE.ladder).weights_N))
        for title, posed in (("without a limit on the tracking error", loose), ("with one that binds", tight)):
            took = min(milliseconds(lambda p=posed: program(p) and None) for _ in range(REPEATS))  # type: ignore[misc]
            ready = program(posed)
            print(f"{stocks} stocks, {title}; {ready.P.shape[0]} variables, matrices made in {took:.1f} ms")
            print(f"  {'':28}{'ms':>8}{'again':>8}{'broken':>10}{'objective':>14}{'error':>9}{'turnover':>9}")
            if np.isinf(posed.tracking_error):
                told("piqp", posed, ready, by_piqp)
                told("osqp 1e-4", posed, ready, lambda r, p: by_osqp(r, p, 1e-4))
                told("osqp 1e-6", posed, ready, lambda r, p: by_osqp(r, p, 1e-6))
            told("clarabel", posed, ready, by_clarabel)
            told("kestrel (piqp, price of risk)", posed, ready, ours)


if __name__ == "__main__":
    main()
