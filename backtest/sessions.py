"""One session after the other: rights, delistings, orders, closing value.  Compiled; stops where the ledger is full and goes on."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from backtest import choices, costs, fills, strategies
from backtest.choices import Plan, choose, expected_cash, size
from backtest.costs import BUY, SELL, Rates
from backtest.fills import BONUS, DELISTED, DIVIDEND, FILLED, Book, Tape, buy, cents, quote, sell, tariff, write
from backtest.strategies import Policy
from data.panel import Floats
from factors.cached import cached

# D sessions, N stocks


class Rulings(NamedTuple):
    """What the simulation was told beyond strategy and costs."""

    size_at_deal: bool  # size orders at the deal price; otherwise at the price known before the open
    delisted_worth: float  # of the last close


class Record(NamedTuple):
    """The account at each close: cents and shares."""

    nav_D: NDArray[np.int64]
    cash_D: NDArray[np.int64]
    shares_DN: NDArray[np.int64]


@njit(nogil=True)
def pay_rights(tape: Tape, book: Book, s: int, ledger: NDArray[np.void], used: int) -> int:
    """Credit cash and new shares of the session's ex-dates to what was held at the last close; a fraction of a share is lost."""
    for n in range(len(book.shares_N)):
        held = book.shares_N[n]
        if held == 0 or (tape.cash_DN[s, n] == 0 and tape.ratio_DN[s, n] == 0):
            continue
        paid, new = cents(held, tape.cash_DN[s, n]), int(np.floor(held * tape.ratio_DN[s, n] + 1e-9))
        if paid > 0:
            write(ledger[used], s, n, DIVIDEND, held, 0, paid, FILLED, tape.cash_DN[s, n])
            book.cash_1[0] += paid
            used += 1
        if new > 0:
            write(ledger[used], s, n, BONUS, held, new, 0, FILLED, tape.reference_DN[s, n])
            book.shares_N[n] += new
            used += 1
    return used


@njit(nogil=True)
def pay_delisted(tape: Tape, book: Book, s: int, worth: float, ledger: NDArray[np.void], used: int) -> int:
    """Turn holdings in stocks that have left the exchange into cash at `worth` of the last close."""
    for n in range(len(book.shares_N)):
        if book.shares_N[n] == 0 or s < tape.delisted_N[n] or tape.trading_DN[s, n]:
            continue
        price = tape.last_DN[s, n] * worth
        amount = cents(book.shares_N[n], price)
        write(ledger[used], s, n, DELISTED, book.shares_N[n], book.shares_N[n], amount, FILLED, price)
        book.cash_1[0] += amount
        book.shares_N[n] = 0
        used += 1
    return used


@njit(nogil=True)
def price_orders(tape: Tape, s: int, size_at_deal: bool, price_N: Floats) -> None:
    """The price each order is sized at."""
    for n in range(len(price_N)):
        dealt = size_at_deal and tape.trading_DN[s, n] and tape.deal_DN[s, n] > 0
        price_N[n] = tape.deal_DN[s, n] if dealt else tape.reference_DN[s, n]


@njit(nogil=True)
def trade(
    tape: Tape,
    rates: Rates,
    policy: Policy,
    size_at_deal: bool,
    score_N: Floats,
    book: Book,
    plan: Plan,
    price_N: Floats,
    s: int,
    ledger: NDArray[np.void],
    used: int,
) -> int:
    """Choose, sell, size, buy; every order leaves a row in the ledger."""
    price_orders(tape, s, size_at_deal, price_N)
    choose(policy, score_N, book, price_N, plan)
    expected = expected_cash(plan, book, price_N, tape, rates, s)
    for i in range(plan.count_2[SELL]):
        n = plan.sells_N[i]
        sell(quote(tape, s, n), tariff(rates, s, tape.exchange_N[n], SELL), book, ledger[used], s, n, plan.sell_shares_N[i])
        used += 1
    size(policy, plan, price_N, tape, rates, s, book.cash_1[0] if size_at_deal else expected)
    for i in range(plan.count_2[BUY]):
        n = plan.buys_N[i]
        if plan.buy_shares_N[i] > 0:
            buy(quote(tape, s, n), tariff(rates, s, tape.exchange_N[n], BUY), book, ledger[used], s, n, plan.buy_shares_N[i])
        else:
            write(ledger[used], s, n, BUY, 0, 0, 0, plan.buy_reason_N[i], price_N[n])
        used += 1
    return used


@cached(choices, costs, fills, strategies)
def run(
    tape: Tape,
    rates: Rates,
    policy: Policy,
    rulings: Rulings,
    scores_DN: Floats,
    due_D: NDArray[np.bool_],
    book: Book,
    plan: Plan,
    record: Record,
    ledger: NDArray[np.void],
    used: int,
    first: int,
) -> tuple[int, int]:
    """Run sessions from `first` on; return (next session, rows used): short of the end where the ledger may not hold another session."""
    sessions, stocks = tape.deal_DN.shape
    price_N = np.empty(stocks)
    for s in range(first, sessions):
        if len(ledger) - used < 5 * stocks:
            return s, used
        book.locked_N[:] = 0
        used = pay_rights(tape, book, s, ledger, used)
        used = pay_delisted(tape, book, s, rulings.delisted_worth, ledger, used)
        if due_D[s] or not book.shares_N.any():
            used = trade(tape, rates, policy, rulings.size_at_deal, scores_DN[s], book, plan, price_N, s, ledger, used)
        value = book.cash_1[0]
        for n in range(stocks):
            if book.shares_N[n] > 0:
                value += cents(book.shares_N[n], tape.last_DN[s, n])
        record.nav_D[s], record.cash_D[s] = value, book.cash_1[0]
        record.shares_DN[s] = book.shares_N
    return sessions, used
