"""What the ledger says of each stock and session: money of the book, of its fills and of what was ordered in vain."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtest.costs import BUY, SELL
from backtest.fills import SIDES
from backtest.result import COSTS, Result
from data.panel import Floats

# D sessions, N stocks, K kinds of cost; money is cents
DIVIDEND, BONUS = SIDES.index("dividend"), SIDES.index("bonus")


class Flows(NamedTuple):
    """The account's money, split.  Integers are exact; floats are shares times a reference price, not rounded.

    moved_DN: what each holding's price made, fills at the close before.  held_DN: the value it was made on, at the close before.
    timing_2D: what fills at the deal price instead made, sells and buys.  missed_DN: signed value of what was ordered and not filled, from
    its session until orders are next written.  after_D: what the fills made from the deal price to the close.
    """

    nav_before_D: NDArray[np.int64]
    change_D: NDArray[np.int64]
    costs_KD: NDArray[np.int64]
    dividends_D: NDArray[np.int64]
    moved_DN: Floats
    held_DN: Floats
    timing_2D: Floats
    missed_DN: Floats
    after_D: Floats


def flows(result: Result, reference_DN: Floats, returns_DN: Floats) -> Flows:
    """Split the account's money.  A stock without a reference price is timed against its own fill.

    Raises AssertionError where the ledger doesn't explain the change in equity to the cent: then cents have been lost, not attributed.
    """
    ledger, (sessions, stocks) = result.ledger, result.shares_DN.shape
    side, amount = ledger["side"], ledger["amount"]
    cell = ledger["session"] * stocks + ledger["stock"]
    nav_before_D = np.concatenate([[result.capital], result.nav_cents_D[:-1]])
    value_DN = np.floor(result.shares_DN * np.nan_to_num(result.price_DN) * 100 + 0.5)  # as fills.cents does
    before_DN = np.vstack([np.zeros((1, stocks)), value_DN[:-1]])
    dividends_D = _by_session(amount, ledger["session"], side == DIVIDEND, sessions)
    costs_KD = np.stack([np.rint(result.costs_D[name] * 100) for name in COSTS])

    dealt = (side <= BUY) & (ledger["shares"] > 0)
    at = ledger["session"], ledger["stock"]
    reference = np.nan_to_num(np.where(reference_DN[at] > 0, reference_DN[at], ledger["price"])) * 100
    sign = np.where(side == BUY, 1.0, -1.0)
    traded = np.where(dealt, sign * ledger["shares"] * reference, 0.0)
    spent = np.where(dealt, sign * amount, 0.0)
    received = np.where((side > BUY) & (side != DIVIDEND) & (side != BONUS), amount, 0)  # paid out for delisted shares
    timing_2D = np.stack([_by_session(traded - spent, ledger["session"], side == one, sessions) for one in (SELL, BUY)])
    traded_DN = np.bincount(cell, traded, sessions * stocks).reshape(sessions, stocks)
    moved_DN = value_DN - before_DN - traded_DN + np.bincount(cell, received, sessions * stocks).reshape(sessions, stocks)
    change_D = result.nav_cents_D - nav_before_D
    explained_D = np.rint(moved_DN.sum(axis=1) + timing_2D.sum(axis=0)) + dividends_D - costs_KD.sum(axis=0)
    wrong = np.flatnonzero(explained_D != change_D)
    assert not len(wrong), f"the ledger explains {explained_D[wrong[0]]:.0f} of {change_D[wrong[0]]} cents on {result.dates[wrong[0]]}"

    closing = np.nan_to_num(result.price_DN[at]) * 100 * sign * ledger["shares"]
    missed = np.where(side <= BUY, sign * (ledger["ordered"] - ledger["shares"]) * reference, 0.0)
    missed_DN: Floats = np.bincount(cell, missed, sessions * stocks).reshape(sessions, stocks).astype(np.float64)
    return Flows(
        nav_before_D,
        change_D,
        costs_KD.astype(np.int64),
        dividends_D.astype(np.int64),
        moved_DN,
        before_DN + traded_DN,
        timing_2D,
        _carried(missed_DN, returns_DN, np.bincount(ledger["session"][side <= BUY], minlength=sessions) > 0),
        _by_session(np.where(dealt, closing - spent, 0.0), ledger["session"], dealt, sessions),
    )


def _by_session(values: NDArray[np.generic], session: NDArray[np.int64], chosen: NDArray[np.bool_], sessions: int) -> Floats:
    return np.bincount(session[chosen], weights=values[chosen], minlength=sessions).astype(np.float64)


def _carried(missed_DN: Floats, returns_DN: Floats, ordered_D: NDArray[np.bool_]) -> Floats:
    """What was missed stays missed, moved by prices, until the strategy writes orders again."""
    for d in range(1, len(missed_DN)):
        if not ordered_D[d]:
            missed_DN[d] = missed_DN[d - 1] * (1 + np.nan_to_num(returns_DN[d - 1]))
    return missed_DN
