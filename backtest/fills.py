"""What happens to one order in one session: lots, limits, T+1, fees, cash.  Compiled; money is whole cents, shares whole shares.

Prices are CNY.  A stock's day is first read into a `Quote` and a side's costs into a `Tariff`, so that all that follows works on
plain numbers: it reads better, and a compiled call is an order of magnitude cheaper than with the arrays passed along.
`reference.py` says the same in plain Python and the tests compare both.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from backtest.costs import BUY, RATE_UNIT, SELL, Rates
from data.panel import Floats

# S sessions that trade, N stocks, B boards, E exchanges
FILLED, SUSPENDED, LIMIT_UP, LIMIT_DOWN, NO_CASH, BELOW_LOT, T_PLUS_1 = range(7)
REASONS = ("filled", "suspended", "limit_up", "limit_down", "no_cash", "below_lot", "t+1")
DIVIDEND, BONUS, DELISTED = 2, 3, 4  # sides of the ledger beyond SELL and BUY
SIDES = ("sell", "buy", "dividend", "bonus", "delisted")
WHOLE = ("session", "stock", "side", "ordered", "shares", "amount", "commission", "stamp_duty", "transfer_fee", "slippage", "reason")
LEDGER = np.dtype([*((name, np.int64) for name in WHOLE), ("price", np.float64)])
HALF = RATE_UNIT // 2
TICK_SLACK = 0.005  # CNY: half a tick, so that 10.999999999 counts as 11.00
ADJUSTED_SLACK = 1e-4  # of the limit, where an adjusted price is far below the traded one


class Tape(NamedTuple):
    """The market by session, and the rules that hold in it."""

    deal_DN: Floats
    reference_DN: Floats
    last_DN: Floats
    limit_up_DN: Floats
    limit_down_DN: Floats
    scale_DN: Floats
    cash_DN: Floats
    ratio_DN: Floats
    trading_DN: NDArray[np.bool_]
    was_trading_DN: NDArray[np.bool_]  # on the session before: all that is known when orders are written
    lot_minimum_DB: NDArray[np.int64]
    lot_step_DB: NDArray[np.int64]
    board_N: NDArray[np.int64]
    exchange_N: NDArray[np.int64]
    delisted_N: NDArray[np.int64]


class Book(NamedTuple):
    """What the account holds: cash in cents, shares, and those bought this session, which can't be sold before the next."""

    cash_1: NDArray[np.int64]
    shares_N: NDArray[np.int64]
    locked_N: NDArray[np.int64]


class Quote(NamedTuple):
    """One stock on one day.  The price is the deal price; lots are in quoted shares."""

    price: float
    trading: bool
    limit_up: float
    limit_down: float
    lot_minimum: int
    lot_step: int
    scale: float


class Tariff(NamedTuple):
    """What one side of an order costs on one day and exchange, in 1 / RATE_UNIT of the amount; minimum in cents."""

    commission: int
    minimum: int
    stamp: int
    transfer: int
    per_share: int
    slippage: int


@njit(nogil=True)
def cents(shares: int, price: float) -> int:
    """Value of shares at a price in CNY, half-up to the cent."""
    return int(np.floor(shares * price * 100 + 0.5)) if shares != 0 else 0  # the price of what isn't there may be NaN


@njit(nogil=True)
def quote(tape: Tape, s: int, n: int) -> Quote:
    """Stock n on session s.  Lots are 100 and 100 shares, on STAR 200 and 1, on BSE 100 and 1, scaled where prices are adjusted."""
    b, scale = tape.board_N[n], tape.scale_DN[s, n]
    minimum, step = tape.lot_minimum_DB[s, b], tape.lot_step_DB[s, b]
    if scale != 1.0:
        minimum, step = max(1, int(np.rint(minimum * scale))), max(1, int(np.rint(step * scale)))
    return Quote(tape.deal_DN[s, n], tape.trading_DN[s, n], tape.limit_up_DN[s, n], tape.limit_down_DN[s, n], minimum, step, scale)


@njit(nogil=True)
def tariff(rates: Rates, s: int, exchange: int, side: int) -> Tariff:
    """The costs of one side on session s."""
    commission, stamp = rates.commission_S[side], rates.stamp_DS[s, side]
    return Tariff(commission, rates.minimum, stamp, rates.transfer_DE[s, exchange], rates.per_share_DE[s, exchange], rates.slippage)


@njit(nogil=True)
def whole_lots(q: Quote, wanted: int) -> int:
    """The most shares up to `wanted` that one order may name; 0 below the smallest."""
    return q.lot_minimum + (wanted - q.lot_minimum) // q.lot_step * q.lot_step if wanted >= q.lot_minimum else 0


@njit(nogil=True)
def charge(amount: int, units: int) -> int:
    """A rate in 1 / RATE_UNIT of an amount in cents, half-up to the cent."""
    return (amount * units + HALF) // RATE_UNIT


@njit(nogil=True)
def fees(q: Quote, t: Tariff, shares: int, amount: int) -> tuple[int, int, int, int]:
    """(commission, stamp duty, transfer fee, slippage) in cents of one order."""
    transfer = charge(amount, t.transfer)
    if t.per_share > 0:
        transfer += max(charge(int(np.rint(shares / q.scale)), t.per_share), 100)
    return max(charge(amount, t.commission), t.minimum), charge(amount, t.stamp), transfer, charge(amount, t.slippage)


@njit(nogil=True)
def cost(q: Quote, t: Tariff, shares: int, amount: int) -> int:
    """All fees of one order together, in cents."""
    commission, stamp, transfer, slippage = fees(q, t, shares, amount)
    return commission + stamp + transfer + slippage


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
def affordable(q: Quote, t: Tariff, wanted: int, price: float, cash: int) -> int:
    """The most shares up to `wanted`, in whole lots, that `cash` cents pay for with all fees."""
    shares = whole_lots(q, wanted)
    amount = cents(shares, price)
    if amount + cost(q, t, shares, amount) <= cash:
        return shares
    rate = (t.commission + t.stamp + t.transfer + t.slippage) / RATE_UNIT
    most = int((cash + 4) / (price * 100 * (1 + rate))) + 1  # 4: each of four fees may have been rounded down by half a cent
    shares = whole_lots(q, min(shares, most))
    while shares > 0:
        amount = cents(shares, price)
        if amount + cost(q, t, shares, amount) <= cash:
            break
        shares = shares - q.lot_step if shares - q.lot_step >= q.lot_minimum else 0
    return shares


@njit(nogil=True)
def proceeds(q: Quote, t: Tariff, shares: int, price: float) -> int:
    """Cents that a sale brings after all fees."""
    amount = cents(shares, price)
    return amount - cost(q, t, shares, amount) if shares > 0 else 0


@njit(nogil=True)
def sellable(q: Quote, wanted: int, free: int) -> int:
    """The shares of a sale: whole lots of what is wanted, or all that is free in one order, odd remainder included."""
    return free if wanted >= free else whole_lots(q, wanted)


@njit(nogil=True)
def write(row: np.void, s: int, n: int, side: int, ordered: int, shares: int, amount: int, reason: int, price: float) -> None:
    """Fill one row of the ledger, with no fees yet."""
    row["session"], row["stock"], row["side"], row["reason"] = s, n, side, reason
    row["ordered"], row["shares"], row["amount"], row["price"] = ordered, shares, amount, price
    row["commission"], row["stamp_duty"], row["transfer_fee"], row["slippage"] = 0, 0, 0, 0


@njit(nogil=True)
def settle(q: Quote, t: Tariff, row: np.void, s: int, n: int, side: int, ordered: int, shares: int, reason: int) -> int:
    """Write an order and what was filled of it at the deal price; return the cents that move into (+) or out of (-) the account."""
    amount = cents(shares, q.price)
    write(row, s, n, side, ordered, shares, amount, reason, q.price)
    if shares == 0:
        return 0
    commission, stamp, transfer, slippage = fees(q, t, shares, amount)
    row["commission"], row["stamp_duty"], row["transfer_fee"], row["slippage"] = commission, stamp, transfer, slippage
    paid = commission + stamp + transfer + slippage
    return -amount - paid if side == BUY else amount - paid


@njit(nogil=True)
def buy(q: Quote, t: Tariff, book: Book, row: np.void, s: int, n: int, ordered: int) -> None:
    """Buy what the market, the lot and the cash allow of `ordered` shares."""
    reason, shares = refusal(q, BUY), 0
    if reason == FILLED:
        shares = affordable(q, t, ordered, q.price, book.cash_1[0])
        if shares < ordered:
            reason = NO_CASH if shares < whole_lots(q, ordered) else BELOW_LOT
    book.cash_1[0] += settle(q, t, row, s, n, BUY, ordered, shares, reason)
    book.shares_N[n] += shares
    book.locked_N[n] += shares


@njit(nogil=True)
def sell(q: Quote, t: Tariff, book: Book, row: np.void, s: int, n: int, ordered: int) -> None:
    """Sell what the market, T+1 and the lot allow of `ordered` shares."""
    reason, shares = refusal(q, SELL), 0
    if reason == FILLED:
        free = book.shares_N[n] - book.locked_N[n]
        shares = sellable(q, ordered, free)
        if shares < ordered:
            reason = T_PLUS_1 if shares == free else BELOW_LOT
        if book.cash_1[0] + proceeds(q, t, shares, q.price) < 0:
            shares, reason = 0, NO_CASH  # a few shares may be worth less than the smallest commission
    book.cash_1[0] += settle(q, t, row, s, n, SELL, ordered, shares, reason)
    book.shares_N[n] -= shares
