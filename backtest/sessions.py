"""One session after the other: rights, delistings, orders, closing value.  Compiled; stops where the ledger is full and goes on."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from backtest import choices, costs, fees, fills, parcels, quotes, strategies
from backtest.choices import PRO_RATA, Plan, choose, expected_cash, queue, size
from backtest.costs import BUY, SELL, Rates
from backtest.fees import outlay, tariff
from backtest.fills import BONUS, DELISTED, DIVIDEND, FILLED, Book, buy, refusal, sell, write
from backtest.parcels import Ladder, Parcels, entitle, owed, release, take
from backtest.quotes import Tape, cents, quote
from backtest.strategies import Policy
from data.panel import Floats
from factors.cached import cached

# D sessions, N stocks, H of them held
Held = NDArray[np.int64]  # which, in the order of the axes


class Rulings(NamedTuple):
    """What the simulation was told beyond strategy and costs."""

    size_at_deal: bool  # size orders at the deal price; otherwise at the price known before the open
    delisted_worth: float  # of the last close
    queueing: int  # position in choices.QUEUES


class Record(NamedTuple):
    """The account at each close: cents and shares."""

    nav_D: NDArray[np.int64]
    cash_D: NDArray[np.int64]
    owed_D: NDArray[np.int64]  # dividend tax accrued, not yet charged
    shares_DN: NDArray[np.int64]


@njit(nogil=True)
def pay_rights(tape: Tape, book: Book, queues: Parcels, law: Ladder, s: int, ledger: NDArray[np.void], used: int) -> int:
    """Credit cash and new shares of the session's ex-dates to what was held at the last close; a fraction of a share is lost."""
    for n in tape.rights_R[tape.rights_D[s] : tape.rights_D[s + 1]]:
        held = book.shares_N[n]
        if held == 0:
            continue
        paid, new = cents(held, tape.cash_DN[s, n]), int(np.floor(held * tape.ratio_DN[s, n] + 1e-9))
        if len(law.month_D) > 0:
            entitle(queues, law, s, n)
        if paid > 0:
            write(ledger[used], s, n, DIVIDEND, held, 0, paid, FILLED, tape.cash_DN[s, n])
            book.cash_1[0] += paid
            used += 1
        if new > 0:
            write(ledger[used], s, n, BONUS, held, new, 0, FILLED, tape.reference_DN[s, n])
            book.shares_N[n] += new
            take(queues, n, used, new)
            used += 1
    return used


@njit(nogil=True)
def pay_delisted(
    tape: Tape, book: Book, held_H: Held, queues: Parcels, law: Ladder, s: int, worth: float, ledger: NDArray[np.void], used: int
) -> int:
    """Turn holdings in stocks that have left the exchange into cash at `worth` of the last close, less the tax on their dividends."""
    for n in held_H:
        held = book.shares_N[n]
        if s < tape.delisted_N[n] or tape.trading_DN[s, n]:
            continue
        price = tape.last_DN[s, n] * worth
        amount = cents(held, price)
        tax = min(owed(queues, law, ledger, s, n, held), amount)  # what is written off pays no tax
        write(ledger[used], s, n, DELISTED, held, held, amount, FILLED, price)
        ledger[used]["dividend_tax"] = tax
        book.cash_1[0] += amount - tax
        book.shares_N[n] = 0
        release(queues, n, held)
        used += 1
    return used


@njit(nogil=True)
def sizing_prices(tape: Tape, s: int, size_at_deal: bool) -> Floats:
    """The price each order of the session is sized at [N]."""
    price_N = tape.reference_DN[s]
    return np.where(tape.trading_DN[s] & (tape.deal_DN[s] > 0), tape.deal_DN[s], price_N) if size_at_deal else price_N


@njit(nogil=True)
def needed(plan: Plan, tape: Tape, rates: Rates, s: int) -> int:
    """Cents that all planned buys take at their deal prices, those that the market refuses left out."""
    total = 0
    for i in range(plan.count_2[BUY]):
        n = plan.buys_N[i]
        q = quote(tape, s, n)
        if refusal(q, BUY) == FILLED:
            total += outlay(q, tariff(rates, s, tape.exchange_N[n], BUY), min(plan.buy_shares_N[i], q.cap), q.price)
    return total


@njit(nogil=True)
def sell_all(tape: Tape, rates: Rates, book: Book, queues: Parcels, law: Ladder, plan: Plan, s: int, ledger: NDArray[np.void], used: int) -> int:
    """Place the plan's sells; every order leaves a row in the ledger."""
    for i in range(plan.count_2[SELL]):
        n = plan.sells_N[i]
        sell(quote(tape, s, n), tariff(rates, s, tape.exchange_N[n], SELL), book, queues, law, ledger, used, s, n, plan.sell_shares_N[i])
        used += 1
    return used


@njit(nogil=True)
def buy_all(
    tape: Tape, rates: Rates, queueing: int, book: Book, queues: Parcels, plan: Plan, price_N: Floats, s: int, ledger: NDArray[np.void], used: int
) -> int:
    """Place the plan's buys, in its order as long as the cash lasts, or all cut pro rata; every order leaves a row in the ledger."""
    cash = book.cash_1[0]
    need = needed(plan, tape, rates, s) if queueing == PRO_RATA else 0
    for i in range(plan.count_2[BUY]):
        n, wanted = plan.buys_N[i], plan.buy_shares_N[i]
        if wanted > 0:
            q, t, budget = quote(tape, s, n), tariff(rates, s, tape.exchange_N[n], BUY), book.cash_1[0]
            if need > cash:
                budget = min(budget, int(cash * (outlay(q, t, min(wanted, q.cap), q.price) / need)))
            buy(q, t, book, queues, ledger, used, s, n, wanted, budget)
        else:
            write(ledger[used], s, n, BUY, 0, 0, 0, plan.buy_reason_N[i], price_N[n])
        used += 1
    return used


@njit(nogil=True)
def trade(
    tape: Tape,
    rates: Rates,
    policy: Policy,
    rulings: Rulings,
    signal_N: Floats,
    book: Book,
    queues: Parcels,
    law: Ladder,
    plan: Plan,
    s: int,
    ledger: NDArray[np.void],
    used: int,
) -> int:
    """Choose, sell, size, buy; every order leaves a row in the ledger."""
    price_N = sizing_prices(tape, s, rulings.size_at_deal)
    choose(policy, signal_N, book, price_N, plan)
    queue(plan, rulings.queueing)
    expected = expected_cash(plan, book, price_N, tape, rates, s)
    used = sell_all(tape, rates, book, queues, law, plan, s, ledger, used)
    cash = book.cash_1[0]
    size(policy, plan, price_N, tape, rates, s, cash if rulings.size_at_deal else expected, rulings.queueing)
    return buy_all(tape, rates, rulings.queueing, book, queues, plan, price_N, s, ledger, used)


@njit(nogil=True)
def close(tape: Tape, book: Book, held_H: Held, queues: Parcels, law: Ladder, record: Record, s: int, ledger: NDArray[np.void]) -> None:
    """Value the account at the close: cash, and shares at what they are worth, less the tax that selling them would bring."""
    value, tax = book.cash_1[0], 0
    for n in held_H:
        value += cents(book.shares_N[n], tape.last_DN[s, n])
        tax += owed(queues, law, ledger, s, n, book.shares_N[n])
    record.nav_D[s], record.cash_D[s], record.owed_D[s] = value - tax, book.cash_1[0], tax
    record.shares_DN[s] = book.shares_N


@cached(choices, costs, fees, fills, parcels, quotes, strategies)
def run(
    tape: Tape,
    rates: Rates,
    policy: Policy,
    rulings: Rulings,
    signal_DN: Floats,
    due_D: NDArray[np.bool_],
    book: Book,
    queues: Parcels,
    law: Ladder,
    plan: Plan,
    record: Record,
    ledger: NDArray[np.void],
    used: int,
    first: int,
    last: int,
) -> tuple[int, int]:
    """Run sessions first..last - 1; return (next session, rows used): short of the end where the ledger may not hold another session."""
    stocks = len(book.shares_N)
    held_H = np.flatnonzero(book.shares_N)  # looked for again where something happened: most sessions touch what is held alone
    for s in range(first, last):
        if len(ledger) - used < 5 * stocks:
            return s, used
        book.locked_N[:] = 0
        before = pay_rights(tape, book, queues, law, s, ledger, used)
        used = pay_delisted(tape, book, held_H, queues, law, s, rulings.delisted_worth, ledger, before)
        if used > before:
            held_H = np.flatnonzero(book.shares_N)
        if due_D[s] or len(held_H) == 0:
            used = trade(tape, rates, policy, rulings, signal_DN[s], book, queues, law, plan, s, ledger, used)
            held_H = np.flatnonzero(book.shares_N)
        close(tape, book, held_H, queues, law, record, s, ledger)
    return last, used


@cached(choices, costs, fees, fills, parcels, quotes, strategies)
def follow(
    tape: Tape,
    rates: Rates,
    rulings: Rulings,
    book: Book,
    queues: Parcels,
    law: Ladder,
    plan: Plan,
    record: Record,
    ledger: NDArray[np.void],
    used: int,
    s: int,
) -> int:
    """Run one session whose orders were written the evening before, by anybody; return the rows used.  The ledger must have room for it."""
    book.locked_N[:] = 0
    used = pay_rights(tape, book, queues, law, s, ledger, used)
    used = pay_delisted(tape, book, np.flatnonzero(book.shares_N), queues, law, s, rulings.delisted_worth, ledger, used)
    used = sell_all(tape, rates, book, queues, law, plan, s, ledger, used)
    used = buy_all(tape, rates, rulings.queueing, book, queues, plan, tape.reference_DN[s], s, ledger, used)
    close(tape, book, np.flatnonzero(book.shares_N), queues, law, record, s, ledger)
    return used
