"""Target weights become trades: given beforehand, or asked of a weigher on every evening, who knows that evening's book."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtest.costs import CostSettings
from backtest.market import Market
from backtest.result import Result
from backtest.simulation import Course, SimulationSettings, span
from backtest.strategies import Targets
from data.errors import KestrelError
from data.panel import Floats
from data.rules import Rules, exchange_rules

# D sessions, N stocks
SLACK = 1e-9  # that weights may sum to above 1: solvers round


class Evening(NamedTuple):
    """What is known when the orders of the next session are written."""

    session: int  # position on market.axes: everything up to and with its close is known, the orders trade at session + 1
    weights_N: Floats  # held, of equity, at price_N; 0 where nothing is held
    shares_N: NDArray[np.int64]
    price_N: Floats  # CNY, what a share is worth at this close; NaN before the first
    cash: float  # CNY
    equity: float  # CNY


Weigher = Callable[[Evening], Floats | None]  # target weights of equity [N], >= 0, summing to at most 1; None: leave the book alone


def simulate_targets(
    weigher: Weigher,
    market: Market,
    *,
    costs: CostSettings,
    settings: SimulationSettings | None = None,
    targets: Targets | None = None,
    start: date | None = None,
    end: date | None = None,
    rules: Rules | None = None,
) -> Result:
    """Trade the weigher's targets in sessions start..end (all of the panel by default) and account for every cent.

    Weights are of the equity at the price that orders are sized at.  In a session: rights and delistings, sells, then buys by
    falling weight (settings.buys), so the cash goes to the largest targets until it ends.  A stock without a price isn't bought.
    Raises KestrelError where weights have another shape, are negative, not finite or sum to more than 1, and where no session is left.
    """
    settings, rules, targets = settings or SimulationSettings(), rules or exchange_rules(), targets or Targets()
    first, last = span(market.axes.shape, market, start, end)
    wishes_DN = np.full((last - first, market.axes.shape[1]), np.nan)
    course = Course.of(wishes_DN, np.ones(last - first, np.bool_), market, first, targets, costs, settings, rules)
    for s in range(last - first):
        wish_N = weigher(evening(course, market, first, s))
        if wish_N is not None:
            if np.shape(wish_N) != market.axes.shape[1:]:
                found = f"The weights of {market.axes.dates[first + s - 1]} have the shape {np.shape(wish_N)}"
                raise KestrelError(f"{found}; the market has {market.axes.shape[1]} stocks. Give one weight a stock.")
            wishes_DN[s] = wish_N
            refuse_weights(wishes_DN[s : s + 1], market.axes.dates[first + s - 1 :])
        course.forward(s, s + 1)
    return course.result(market, first, targets, costs, settings)


def simulate_weights(
    weights_DN: Floats,
    market: Market,
    *,
    costs: CostSettings,
    settings: SimulationSettings | None = None,
    targets: Targets | None = None,
    start: date | None = None,
    end: date | None = None,
    rules: Rules | None = None,
) -> Result:
    """Trade target weights that are known beforehand, as `simulate_targets` does, in one compiled pass.

    weights_DN: [D, N] over market.axes, known at the close of their session; a row of NaN leaves the book alone.
    Raises KestrelError as `simulate_targets` does.
    """
    settings, rules, targets = settings or SimulationSettings(), rules or exchange_rules(), targets or Targets()
    first, last = span(weights_DN.shape, market, start, end)
    wishes_DN = np.ascontiguousarray(weights_DN[first - 1 : last - 1], dtype=np.float64)
    due_D = np.asarray(~np.isnan(wishes_DN).all(axis=1))
    refuse_weights(wishes_DN[due_D], [market.axes.dates[first + s - 1] for s in np.flatnonzero(due_D)])
    course = Course.of(wishes_DN, due_D, market, first, targets, costs, settings, rules)
    course.forward(0, last - first)
    return course.result(market, first, targets, costs, settings)


def evening(course: Course, market: Market, first: int, s: int) -> Evening:
    """The book before session s of the course, valued at the close before."""
    owed = int(course.record.owed_D[s - 1]) if s else 0
    return evening_of(first + s - 1, course.book.shares_N.copy(), int(course.book.cash_1[0]), market, owed=owed)


def evening_of(session: int, shares_N: NDArray[np.int64], cash: int, market: Market, *, owed: int = 0) -> Evening:
    """A book at the close of a session.  cash and owed (dividend tax that has accrued): cents."""
    price_N = market.last_DN[session]
    value_N = np.where(shares_N > 0, np.floor(shares_N * np.nan_to_num(price_N) * 100 + 0.5), 0.0)
    equity = cash + value_N.sum() - owed
    return Evening(session, value_N / equity, shares_N, price_N, cash / 100, equity / 100)


def refuse_weights(weights_DN: Floats, days: Sequence[date]) -> None:
    """Refuse weights that no account without credit can hold."""
    wrong_D = ~np.isfinite(weights_DN).all(axis=1) | (weights_DN < 0).any(axis=1) | (weights_DN.sum(axis=1) > 1 + SLACK)
    if wrong_D.any():
        d = int(np.argmax(wrong_D))
        found = f"lie in {np.min(weights_DN[d]):.6g}..{np.max(weights_DN[d]):.6g} and sum to {np.sum(weights_DN[d]):.6g}"
        raise KestrelError(f"The weights of {days[d]} {found}: an account without credit holds weights from 0 to 1 that sum to at most 1.")
