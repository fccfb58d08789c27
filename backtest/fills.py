"""What happens to one order in one session: limits, T+1, lots, volume, cash.  Compiled; `reference.py` says the same in plain Python."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from backtest.costs import BUY, SELL
from backtest.fees import Tariff, affordable, fees, proceeds
from backtest.parcels import Ladder, Parcels, owed, release, take
from backtest.quotes import Quote, cents, whole_lots

# N stocks
FILLED, SUSPENDED, LIMIT_UP, LIMIT_DOWN, NO_CASH, BELOW_LOT, T_PLUS_1, VOLUME = range(8)
REASONS = ("filled", "suspended", "limit_up", "limit_down", "no_cash", "below_lot", "t+1", "volume")
DIVIDEND, BONUS, DELISTED = 2, 3, 4  # sides of the ledger beyond SELL and BUY
SIDES = ("sell", "buy", "dividend", "bonus", "delisted")
WHOLE = (
    "session", "stock", "side", "ordered", "shares", "amount",
    "commission", "stamp_duty", "transfer_fee", "slippage", "impact", "dividend_tax", "reason",
)  # fmt: skip
LEDGER = np.dtype([*((name, np.int64) for name in WHOLE), ("price", np.float64)])
TICK_SLACK = 0.005  # CNY: half a tick, so that 10.999999999 counts as 11.00
ADJUSTED_SLACK = 1e-4  # of the limit, where an adjusted price is far below the traded one


class Book(NamedTuple):
    """What the account holds: cash in cents, shares, and those bought this session, which can't be sold before the next."""

    cash_1: NDArray[np.int64]
    shares_N: NDArray[np.int64]
    locked_N: NDArray[np.int64]


@njit(nogil=True)
def refusal(q: Quote, side: int) -> int:
    """Why the market takes no order of this side at its deal price; FILLED where it does.  A limit of NaN is none."""
    if not q.trading or not q.price > 0:
        return SUSPENDED
    if side == BUY and q.price > q.limit_up - min(TICK_SLACK, q.limit_up * ADJUSTED_SLACK):
        return LIMIT_UP
    if side == SELL and q.price < q.limit_down + min(TICK_SLACK, q.limit_down * ADJUSTED_SLACK):
        return LIMIT_DOWN
    return FILLED


@njit(nogil=True)
def sellable(q: Quote, wanted: int, free: int) -> int:
    """The shares of a sale: whole lots of what is wanted, or all that is free in one order, odd remainder included."""
    return free if wanted >= free else whole_lots(q, wanted)


@njit(nogil=True)
def write(row: np.void, s: int, n: int, side: int, ordered: int, shares: int, amount: int, reason: int, price: float) -> None:
    """Fill one row of the ledger, with no costs yet."""
    row["session"], row["stock"], row["side"], row["reason"] = s, n, side, reason
    row["ordered"], row["shares"], row["amount"], row["price"] = ordered, shares, amount, price
    row["commission"], row["stamp_duty"], row["transfer_fee"] = 0, 0, 0
    row["slippage"], row["impact"], row["dividend_tax"] = 0, 0, 0


@njit(nogil=True)
def settle(q: Quote, t: Tariff, row: np.void, s: int, n: int, side: int, ordered: int, shares: int, reason: int) -> int:
    """Write an order and what was filled of it at the deal price; return the cents that move into (+) or out of (-) the account."""
    amount = cents(shares, q.price)
    write(row, s, n, side, ordered, shares, amount, reason, q.price)
    if shares == 0:
        return 0
    commission, stamp, transfer, slippage, impact = fees(q, t, shares, amount)
    row["commission"], row["stamp_duty"], row["transfer_fee"], row["slippage"], row["impact"] = commission, stamp, transfer, slippage, impact
    paid = commission + stamp + transfer + slippage + impact
    return -amount - paid if side == BUY else amount - paid


@njit(nogil=True)
def buy(q: Quote, t: Tariff, book: Book, parcels: Parcels, ledger: NDArray[np.void], used: int, s: int, n: int, ordered: int, budget: int) -> None:
    """Buy what the market, the lot, the day's volume and `budget` cents allow of `ordered` shares."""
    reason, shares = refusal(q, BUY), 0
    if reason == FILLED:
        wanted = min(ordered, q.cap)
        shares = affordable(q, t, wanted, q.price, budget)
        if shares < ordered:
            reason = VOLUME if wanted < ordered else BELOW_LOT
            if shares < whole_lots(q, wanted):
                reason = NO_CASH
    book.cash_1[0] += settle(q, t, ledger[used], s, n, BUY, ordered, shares, reason)
    book.shares_N[n] += shares
    book.locked_N[n] += shares
    take(parcels, n, used, shares)


@njit(nogil=True)
def sell(q: Quote, t: Tariff, book: Book, parcels: Parcels, law: Ladder, ledger: NDArray[np.void], used: int, s: int, n: int, ordered: int) -> None:
    """Sell what the market, T+1, the lot and the day's volume allow of `ordered` shares; the tax on their dividends is charged with it."""
    reason, shares, tax = refusal(q, SELL), 0, 0
    if reason == FILLED:
        free = book.shares_N[n] - book.locked_N[n]
        shares = sellable(q, min(ordered, q.cap), free)
        if shares < ordered:
            reason = VOLUME if q.cap < min(ordered, free) else T_PLUS_1 if shares == free else BELOW_LOT
        tax = owed(parcels, law, ledger, s, n, shares)
        if book.cash_1[0] + proceeds(q, t, shares, q.price) - tax < 0:
            shares, tax, reason = 0, 0, NO_CASH  # a few shares may be worth less than the smallest commission
    book.cash_1[0] += settle(q, t, ledger[used], s, n, SELL, ordered, shares, reason) - tax
    ledger[used]["dividend_tax"] = tax
    book.shares_N[n] -= shares
    release(parcels, n, shares)
