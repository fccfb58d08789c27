"""What one order costs, to the cent, and how many shares a sum pays for.  Compiled; every fee is integer arithmetic but the impact."""

from typing import NamedTuple

import numpy as np
from numba import njit

from backtest.costs import RATE_UNIT, Rates
from backtest.quotes import Quote, cents, whole_lots

HALF = RATE_UNIT // 2


class Tariff(NamedTuple):
    """What one side of an order costs on one day and exchange, in 1 / RATE_UNIT of the amount; minimum in cents."""

    commission: int
    minimum: int
    stamp: int
    transfer: int
    per_share: int
    slippage: int


@njit(nogil=True)
def tariff(rates: Rates, s: int, exchange: int, side: int) -> Tariff:
    """The costs of one side on session s."""
    commission, stamp = rates.commission_S[side], rates.stamp_DS[s, side]
    return Tariff(commission, rates.minimum, stamp, rates.transfer_DE[s, exchange], rates.per_share_DE[s, exchange], rates.slippage)


@njit(nogil=True)
def charge(amount: int, units: int) -> int:
    """A rate in 1 / RATE_UNIT of an amount in cents, half-up to the cent."""
    return (amount * units + HALF) // RATE_UNIT


@njit(nogil=True)
def commission(q: Quote, t: Tariff, shares: int, amount: int) -> int:
    """Cents to the broker: the minimum holds for each of the orders that the exchange's largest size makes of it."""
    whole, rest = shares // q.largest, shares % q.largest
    if whole == 0:
        return max(charge(amount, t.commission), t.minimum)
    each = amount // shares * q.largest + amount % shares * q.largest // shares
    paid = whole * max(charge(each, t.commission), t.minimum)
    return paid + max(charge(amount - whole * each, t.commission), t.minimum) if rest > 0 else paid


@njit(nogil=True)
def fees(q: Quote, t: Tariff, shares: int, amount: int) -> tuple[int, int, int, int, int]:
    """(commission, stamp duty, transfer fee, slippage, impact) in cents of one order."""
    transfer = charge(amount, t.transfer)
    if t.per_share > 0:
        transfer += max(charge(int(np.rint(shares / q.scale)), t.per_share), 100)
    impact = int(np.floor(amount * q.impact * np.sqrt(shares) + 0.5)) if q.impact > 0 else 0
    return commission(q, t, shares, amount), charge(amount, t.stamp), transfer, charge(amount, t.slippage), impact


@njit(nogil=True)
def cost(q: Quote, t: Tariff, shares: int, amount: int) -> int:
    """All fees of one order together, in cents."""
    broker, stamp, transfer, slippage, impact = fees(q, t, shares, amount)
    return broker + stamp + transfer + slippage + impact


@njit(nogil=True)
def outlay(q: Quote, t: Tariff, shares: int, price: float) -> int:
    """Cents that a purchase takes with all fees."""
    amount = cents(shares, price)
    return amount + cost(q, t, shares, amount) if shares > 0 else 0


@njit(nogil=True)
def proceeds(q: Quote, t: Tariff, shares: int, price: float) -> int:
    """Cents that a sale brings after all fees."""
    amount = cents(shares, price)
    return amount - cost(q, t, shares, amount) if shares > 0 else 0


@njit(nogil=True)
def affordable(q: Quote, t: Tariff, wanted: int, price: float, cash: int) -> int:
    """The most shares up to `wanted`, in whole lots, that `cash` cents pay for with all fees; found by halving."""
    shares = whole_lots(q, wanted)
    if outlay(q, t, shares, price) <= cash:
        return shares
    low, high = q.lot_minimum - q.lot_step, min(shares, whole_lots(q, int((cash + 1) / (price * 100)) + q.lot_step) + q.lot_step)
    while high - low > q.lot_step:
        middle = low + (high - low) // q.lot_step // 2 * q.lot_step
        if outlay(q, t, middle, price) <= cash:
            low = middle
        else:
            high = middle
    return low if low >= q.lot_minimum else 0
