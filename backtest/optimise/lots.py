"""Weights as whole lots that still keep the limits: round every trade to its nearest lot, then move single lots while that mends a breach."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtest.optimise.limits import Relaxation
from backtest.optimise.problem import Problem
from data.panel import Floats

# N stocks, M bands
Whole = NDArray[np.int64]
MOVES = 400  # of one lot each, at most
TOLERANCE = 1e-7  # of a limit, in its unit
NAME = 0.01  # the unit of a single weight


class Lots(NamedTuple):
    """What an order may name, by stock: at least minimum_N shares and then step_N more at a time; a sale may also take all that is held."""

    minimum_N: Whole
    step_N: Whole


def whole(problem: Problem, weights_N: Floats, *, shares_N: Whole, price_N: Floats, equity: float, lots: Lots) -> tuple[Whole, list[Relaxation]]:
    """(shares to hold [N], limits that these break nevertheless).  What can't be traded stays; a target of 0 is sold whole.

    The breach of a book is the sum over its limits of what is beyond, each in its own unit.  As long as there is one, the lot is moved that
    lowers it most, the first of the axes among equals.
    """
    worth_N = np.where(problem.fixed_N, 0.0, np.nan_to_num(price_N) / equity)
    exact_N = np.divide(weights_N, worth_N, out=shares_N.astype(np.float64), where=worth_N > 0)
    trade_N = nearest(np.where(worth_N > 0, exact_N - shares_N, 0.0), shares_N, lots)
    book_N = problem.held_N + trade_N * worth_N
    for _ in range(MOVES):
        breach, _ = breaching(problem, book_N, np.zeros(1), np.zeros(1, dtype=np.int64))
        if breach <= TOLERANCE:
            break
        moves = np.concatenate([one_N - trade_N for one_N in neighbours(trade_N, shares_N, lots)])
        stocks = np.tile(np.arange(len(trade_N)), 2)
        _, after = breaching(problem, book_N, moves * worth_N[stocks], stocks)
        best = int(np.argmin(after))
        if after[best] >= breach - TOLERANCE:
            break
        trade_N[stocks[best]] += moves[best]
        book_N = problem.held_N + trade_N * worth_N
    return shares_N + trade_N, problem.breaches(book_N, TOLERANCE)


def nearest(wanted_N: Floats, shares_N: Whole, lots: Lots) -> Whole:
    """The trade nearest to what is wanted that orders may name: buys positive, sells negative, at most what is held."""
    size_N = np.abs(wanted_N)
    steps_N = np.rint((size_N - lots.minimum_N) / lots.step_N)
    least_N = np.where(size_N >= lots.minimum_N / 2, lots.minimum_N, 0)
    rounded_N = np.where(steps_N >= 0, lots.minimum_N + steps_N * lots.step_N, least_N).astype(np.int64)
    sold_N = np.where((-wanted_N >= shares_N - 0.5) | (rounded_N > shares_N), shares_N, rounded_N)
    return np.where(wanted_N >= 0, rounded_N, -sold_N)


def neighbours(trade_N: Whole, shares_N: Whole, lots: Lots) -> tuple[Whole, Whole]:
    """(the next larger trade, the next smaller one) that orders may name; the same where there is none."""
    least_N, step_N = lots.minimum_N, lots.step_N
    sold_N = -trade_N
    odd_N = (shares_N - least_N) // step_N * step_N + least_N  # the most that isn't all
    odd_N = np.where(shares_N <= least_N, 0, np.where(odd_N == shares_N, odd_N - step_N, odd_N))
    less_N = np.where(sold_N == shares_N, np.maximum(odd_N, 0), np.where(sold_N - step_N >= least_N, sold_N - step_N, 0))
    more_N = np.where(sold_N == 0, least_N, sold_N + step_N)
    up_N = np.where(trade_N > 0, trade_N + step_N, np.where(trade_N == 0, least_N, -np.where(less_N < least_N, 0, less_N)))
    down_N = np.where(trade_N > 0, np.where(trade_N - step_N >= least_N, trade_N - step_N, 0), -np.minimum(more_N, shares_N))
    return up_N, down_N


def breaching(problem: Problem, book_N: Floats, moves_C: Floats, stocks_C: Whole) -> tuple[float, Floats]:
    """(breach of the book, breach after each of C moves of one stock's weight by itself), in units of each limit, added up."""
    C_MN = np.stack([band.row_N for band in problem.bands])
    low_M, high_M, unit_M = (np.array([getattr(band, name) for band in problem.bands]) for name in ("low", "high", "unit"))
    active_N = book_N - problem.index_N
    joint_N, variance = problem.risk.times(active_N), problem.risk.variance(active_N)
    own_N = np.einsum("nk,kl,nl->n", problem.risk.X_NK, problem.risk.F_KK, problem.risk.X_NK) + problem.risk.specific_N
    excess_N = np.maximum(book_N - problem.high_N, problem.low_N - book_N)
    names, traded = np.maximum(excess_N, 0).sum(), np.abs(book_N - problem.held_N)

    def of(value_MC: Floats, name_C: Floats, traded_C: Floats, variance_C: Floats) -> Floats:
        beyond_MC = np.maximum(value_MC - high_M[:, None], low_M[:, None] - value_MC)
        deviation_C = np.sqrt(np.maximum(variance_C, 0))
        over_C = np.maximum(deviation_C / problem.tracking_error - 1, 0) + np.maximum(traded_C / problem.turnover - 1, 0)
        return np.asarray((np.maximum(beyond_MC, 0) / unit_M[:, None]).sum(axis=0) + name_C / NAME + over_C)

    value_M1, after_C = (C_MN @ book_N)[:, None], book_N[stocks_C] + moves_C
    moved_C = np.maximum(np.maximum(after_C - problem.high_N[stocks_C], problem.low_N[stocks_C] - after_C), 0)
    now = of(value_M1, np.array([names]), np.array([traded.sum() / 2]), np.array([variance]))
    after = of(
        value_M1 + C_MN[:, stocks_C] * moves_C,
        names - np.maximum(excess_N[stocks_C], 0) + moved_C,
        (traded.sum() - traded[stocks_C] + np.abs(after_C - problem.held_N[stocks_C])) / 2,
        variance + 2 * moves_C * joint_N[stocks_C] + moves_C**2 * own_N[stocks_C],
    )
    return float(now[0]), after
