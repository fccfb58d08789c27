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
LEGS = 30
NAME = 0.01  # the unit of a single weight


class Lots(NamedTuple):
    """What an order may name, by stock: at least minimum_N shares and then step_N more at a time; a sale may also take all that is held."""

    minimum_N: Whole
    step_N: Whole


def whole(problem: Problem, weights_N: Floats, *, shares_N: Whole, price_N: Floats, equity: float, lots: Lots) -> tuple[Whole, list[Relaxation]]:
    """(shares to hold [N], limits that these break nevertheless).  What can't be traded stays; a target of 0 is sold whole.

    The breach of a book is the sum over its limits of what is beyond, each in its own unit.  As long as there is one, the lot, or the pair
    of lots, is moved that lowers it most.
    """
    worth_N = np.where(problem.fixed_N, 0.0, np.nan_to_num(price_N) / equity)
    exact_N = np.divide(weights_N, worth_N, out=shares_N.astype(np.float64), where=worth_N > 0)
    trade_N = nearest(np.where(worth_N > 0, exact_N - shares_N, 0.0), shares_N, lots)
    book_N, gauge = problem.held_N + trade_N * worth_N, Gauge(problem)
    stocks = np.tile(np.flatnonzero(worth_N > 0), 2)
    for _ in range(MOVES):
        up_N, down_N = neighbours(trade_N, shares_N, lots)
        moves = np.concatenate([one_N[worth_N > 0] for one_N in (up_N - trade_N, down_N - trade_N)])
        chosen = mending(gauge, book_N, moves * worth_N[stocks], stocks)
        if not chosen:
            break
        for move in chosen:
            trade_N[stocks[move]] += moves[move]
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


def mending(gauge: "Gauge", book_N: Floats, moves_C: Floats, stocks_C: Whole) -> list[int]:
    """The move that lowers the breach most; where none does, the best pair whose first leg is among the LEGS least harmful; else nothing."""
    breach, after_C = gauge(book_N, moves_C, stocks_C)
    if breach <= TOLERANCE or not len(after_C):
        return []
    best = int(np.argmin(after_C))
    if after_C[best] < breach - TOLERANCE:
        return [best]
    least, pair = breach - TOLERANCE, []
    for first in np.argsort(after_C, kind="stable")[:LEGS].tolist():
        moved_N = book_N.copy()
        moved_N[stocks_C[first]] += moves_C[first]
        then_C = np.where(stocks_C == stocks_C[first], np.inf, gauge(moved_N, moves_C, stocks_C)[1])
        second = int(np.argmin(then_C))
        if then_C[second] < least:
            least, pair = float(then_C[second]), [first, second]
    return pair


class Gauge:
    """Measures how far a book is beyond its limits, and how far it would be after each of many moves of one stock."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.C_MN = np.stack([band.row_N / band.unit for band in problem.bands])
        self.low_M1, self.high_M1 = (np.array([[getattr(band, end) / band.unit] for band in problem.bands]) for end in ("low", "high"))
        X_NK, F_KK = problem.risk.X_NK, problem.risk.F_KK
        self.own_N = ((X_NK @ F_KK) * X_NK).sum(axis=1) + problem.risk.specific_N

    def __call__(self, book_N: Floats, moves_C: Floats, stocks_C: Whole) -> tuple[float, Floats]:
        """(breach of the book, breach after each of C moves of the weight of one stock), in units of each limit, added up."""
        problem = self.problem
        active_N = book_N - problem.index_N
        variance, joint_C = problem.risk.variance(active_N), problem.risk.times(active_N)[stocks_C]
        names_N = self._name(book_N, problem.low_N, problem.high_N)
        before_C, after_C = book_N[stocks_C], book_N[stocks_C] + moves_C
        traded, held_C = problem.traded(book_N), problem.held_N[stocks_C]
        value_M1 = (self.C_MN @ book_N)[:, None]
        now = self._sum(value_M1, names_N.sum(keepdims=True), np.array([traded]), np.array([variance]))
        after = self._sum(
            value_M1 + self.C_MN[:, stocks_C] * moves_C,
            names_N.sum() - names_N[stocks_C] + self._name(after_C, problem.low_N[stocks_C], problem.high_N[stocks_C]),
            traded + (np.abs(after_C - held_C) - np.abs(before_C - held_C)) / 2,
            variance + 2 * moves_C * joint_C + moves_C**2 * self.own_N[stocks_C],
        )
        return float(now[0]), after

    @staticmethod
    def _name(weights_N: Floats, low_N: Floats, high_N: Floats) -> Floats:
        return np.asarray(np.maximum(np.maximum(weights_N - high_N, low_N - weights_N), 0.0) / NAME)

    def _sum(self, value_MC: Floats, names_C: Floats, traded_C: Floats, variance_C: Floats) -> Floats:
        beyond_C = np.maximum(np.maximum(value_MC - self.high_M1, self.low_M1 - value_MC), 0.0).sum(axis=0)
        deviation_C = np.sqrt(np.maximum(variance_C, 0.0))
        over_C = np.maximum(deviation_C / self.problem.tracking_error - 1, 0.0) + np.maximum(traded_C / self.problem.turnover - 1, 0.0)
        return np.asarray(beyond_C + names_C + over_C)
