"""Which orders a strategy wants, from the scores of one session and the book.  Compiled; simulation and live orders both call it."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from backtest import costs, fees, fills, parcels, quotes, strategies
from backtest.costs import BUY, SELL, Rates
from backtest.fees import affordable, outlay, proceeds, tariff
from backtest.fills import BELOW_LOT, FILLED, NO_CASH, SUSPENDED, Book, sellable
from backtest.quotes import Tape, cents, quote, whole_lots
from backtest.strategies import DROPOUT, TARGETS, Policy
from data.panel import Floats
from factors.cached import cached

# N stocks
EQUAL_PART = -1  # value of a buy that gets the same part of the cash as the others
BY_SCORE, BY_SYMBOL, BY_SIZE, PRO_RATA = range(4)
QUEUES = ("score", "symbol", "largest", "pro_rata")  # the order in which buys get the cash


class Plan(NamedTuple):
    """Orders in the order in which they are placed: sells worst first, buys best first, who therefore get the cash first."""

    count_2: NDArray[np.int64]  # sells, buys
    sells_N: NDArray[np.int64]  # stocks
    sell_shares_N: NDArray[np.int64]
    buys_N: NDArray[np.int64]
    buy_value_N: NDArray[np.int64]  # cents wanted
    buy_shares_N: NDArray[np.int64]
    buy_reason_N: NDArray[np.int64]


def blank_plan(stocks: int) -> Plan:
    """A plan with room for every stock on either side."""
    return Plan(np.zeros(2, dtype=np.int64), *(np.zeros(stocks + 1, dtype=np.int64) for _ in range(6)))


@njit(nogil=True)
def has_opinion(score_N: Floats) -> bool:
    """Whether the scores tell at least two stocks apart; if not, nothing is traded."""
    first = np.nan
    for score in score_N:
        if np.isfinite(score):
            if np.isnan(first):
                first = score
            elif score != first:
                return True
    return False


@njit(nogil=True)
def before(a: int, b: int, score_N: Floats) -> bool:
    """Whether stock a ranks before stock b: by score, then by symbol; a stock without a score comes last."""
    left, right = score_N[a], score_N[b]
    if np.isfinite(left) and np.isfinite(right) and left != right:
        return bool(left > right)
    if np.isfinite(left) != np.isfinite(right):
        return bool(np.isfinite(left))
    return a < b


@njit(nogil=True)
def best(score_N: Floats, skip_N: NDArray[np.int64], m: int, out_N: NDArray[np.int64]) -> int:
    """Write the m best scored stocks with skip_N == 0 into out_N, best first; return how many there are.

    One pass with insertion into a sorted list: m is what is missing, so few stocks ever enter it, and sorting all would be much slower.
    """
    found, least = 0, -np.inf
    top = np.empty(m + 1)
    for n in range(len(score_N) if m > 0 else 0):
        score = score_N[n]
        if not score > least or score == np.inf or skip_N[n] != 0:  # NaN fails the first test
            continue
        place = found
        while place > 0 and score > top[place - 1]:
            top[place], out_N[place] = top[place - 1], out_N[place - 1]
            place -= 1
        top[place], out_N[place] = score, n
        found = min(found + 1, m)
        if found == m:
            least = top[m - 1]
    return found


@njit(nogil=True)
def ranked(score_N: Floats, stocks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Stocks given in the order of the axes, best first: ties by symbol, those without a score last."""
    key = np.empty(len(stocks))
    for i in range(len(stocks)):
        score = score_N[stocks[i]]
        key[i] = -score if np.isfinite(score) else np.inf
    return stocks[np.argsort(key, kind="mergesort")]


@njit(nogil=True)
def better(score_N: Floats, n: int) -> int:
    """How many stocks rank before one that has a score."""
    score, count = score_N[n], 0
    for i in range(len(score_N)):
        if score < score_N[i] < np.inf or (score_N[i] == score and i < n):
            count += 1
    return count


@njit(nogil=True)
def within(score_N: Floats, held_H: NDArray[np.int64], m: int) -> int:
    """How many of the stocks held, best first, are among the m best of all.

    Found by halving: ranking a few of them is enough, and nothing but what is held has to be sorted.
    """
    low, high = 0, len(held_H)
    while low < high:
        middle = (low + high) // 2
        if np.isfinite(score_N[held_H[middle]]) and better(score_N, held_H[middle]) < m:
            low = middle + 1
        else:
            high = middle
    return low


@njit(nogil=True)
def dropout(policy: Policy, score_N: Floats, book: Book, plan: Plan) -> None:
    """Plan what TopkDropout wants: out with holdings among the last `drop` of held and new, in with as many of the new."""
    held = ranked(score_N, np.flatnonzero(book.shares_N))
    new = best(score_N, book.shares_N, max(0, policy.drop + policy.k - len(held)), plan.buys_N)
    i, j, sold = len(held) - 1, new - 1, 0
    for _ in range(min(policy.drop, len(held) + new)):  # walk the joint ranking from its end
        if i < 0 or (j >= 0 and before(held[i], plan.buys_N[j], score_N)):
            j -= 1
        else:
            plan.sells_N[sold] = held[i]
            plan.sell_shares_N[sold] = book.shares_N[held[i]]
            sold += 1
            i -= 1
    bought = max(0, min(new, sold + policy.k - len(held)))
    plan.buy_value_N[:bought] = EQUAL_PART
    plan.count_2[0], plan.count_2[1] = sold, bought


@njit(nogil=True)
def buffered(policy: Policy, score_N: Floats, book: Book, price_N: Floats, plan: Plan) -> None:
    """Plan what TopkBuffer wants: holdings beyond the buffer out, the best in, each brought to its equal weight."""
    held = ranked(score_N, np.flatnonzero(book.shares_N))
    kept = min(policy.k, within(score_N, held, policy.buffer))
    new = best(score_N, book.shares_N, policy.k - kept, plan.buys_N)  # within the buffer too: it holds at least k
    wanted_N = np.zeros(len(score_N), dtype=np.bool_)
    wanted_N[held[:kept]], wanted_N[plan.buys_N[:new]] = True, True
    equity, sold, bought = book.cash_1[0], 0, 0
    for i in range(len(held) - 1, -1, -1):
        n = held[i]
        equity += cents(book.shares_N[n], price_N[n])
        if i >= kept:
            plan.sells_N[sold], plan.sell_shares_N[sold] = n, book.shares_N[n]
            sold += 1
    target = int(equity * policy.invested / policy.k)
    for n in ranked(score_N, np.flatnonzero(wanted_N)):
        value = target - cents(book.shares_N[n], price_N[n])
        if book.shares_N[n] > 0 and abs(value) <= policy.band * target:
            continue
        if value > 0:
            plan.buys_N[bought], plan.buy_value_N[bought] = n, value
            bought += 1
        elif value < 0:
            plan.sells_N[sold], plan.sell_shares_N[sold] = n, int(-value / (price_N[n] * 100))
            sold += 1
    plan.count_2[0], plan.count_2[1] = sold, bought


@njit(nogil=True)
def aimed(policy: Policy, weight_N: Floats, book: Book, price_N: Floats, plan: Plan) -> None:
    """Plan what moves the book to target weights of its equity: sells in the order of the axes, buys by falling weight, then by symbol."""
    equity, sold, bought = book.cash_1[0], 0, 0
    for n in range(len(weight_N)):
        equity += cents(book.shares_N[n], price_N[n])
    for n in range(len(weight_N)):
        held, target = book.shares_N[n], int(equity * weight_N[n])
        if held == 0 and target == 0:
            continue
        value = target - cents(held, price_N[n])
        if target > 0 and held > 0 and abs(value) <= policy.band * target:
            continue
        if value > 0:
            plan.buys_N[bought], plan.buy_value_N[bought] = n, value
            bought += 1
        elif held > 0:
            plan.sells_N[sold] = n
            plan.sell_shares_N[sold] = held if target == 0 else int(-value / (price_N[n] * 100))
            sold += 1
    plan.count_2[SELL], plan.count_2[BUY] = sold, bought
    reorder(plan, np.argsort(-weight_N[plan.buys_N[:bought]], kind="mergesort"))


@njit(nogil=True)
def reorder(plan: Plan, order_B: NDArray[np.int64]) -> None:
    """Put the planned buys into another order."""
    count = len(order_B)
    plan.buys_N[:count], plan.buy_value_N[:count] = plan.buys_N[:count][order_B], plan.buy_value_N[:count][order_B]


@njit(nogil=True)
def choose(policy: Policy, signal_N: Floats, book: Book, price_N: Floats, plan: Plan) -> None:
    """Plan the sells with their shares and the buys with their value; price_N is what a share is thought to cost.

    signal_N: scores, or target weights of a policy of targets, whose first is NaN where nothing is wished.
    """
    plan.count_2[:] = 0
    if policy.kind == TARGETS:
        if not np.isnan(signal_N[0]):
            aimed(policy, signal_N, book, price_N, plan)
    elif has_opinion(signal_N):
        if policy.kind == DROPOUT:
            dropout(policy, signal_N, book, plan)
        else:
            buffered(policy, signal_N, book, price_N, plan)


@njit(nogil=True)
def queue(plan: Plan, queueing: int) -> None:
    """Put the buys in the order in which they get the cash; as planned, the best comes first."""
    count = plan.count_2[BUY]
    if queueing == BY_SYMBOL:
        reorder(plan, np.argsort(plan.buys_N[:count], kind="mergesort"))
    elif queueing == BY_SIZE:
        reorder(plan, np.argsort(-plan.buy_value_N[:count], kind="mergesort"))


@njit(nogil=True)
def expected_cash(plan: Plan, book: Book, price_N: Floats, tape: Tape, rates: Rates, s: int) -> int:
    """Cents at hand once the planned sells are done at price_N; a stock suspended the day before is thought to stay so."""
    cash = book.cash_1[0]
    for i in range(plan.count_2[SELL]):
        n = plan.sells_N[i]
        if tape.was_trading_DN[s, n]:
            q = quote(tape, s, n)
            shares = sellable(q, plan.sell_shares_N[i], book.shares_N[n])
            cash += proceeds(q, tariff(rates, s, tape.exchange_N[n], SELL), shares, price_N[n])
    return int(cash)


@njit(nogil=True)
def size(policy: Policy, plan: Plan, price_N: Floats, tape: Tape, rates: Rates, s: int, cash: int, queueing: int) -> None:
    """Give each planned buy its shares: whole lots of its value at price_N as long as the cash lasts, or of its part of the cash pro rata."""
    bought, left = plan.count_2[BUY], max(cash, 0)
    part = int(left * policy.invested / max(bought, 1))
    for i in range(bought):
        if plan.buy_value_N[i] == EQUAL_PART:
            plan.buy_value_N[i] = part
    total = plan.buy_value_N[:bought].sum()
    for i in range(bought):
        n = plan.buys_N[i]
        price, value = price_N[n], plan.buy_value_N[i]
        plan.buy_shares_N[i], plan.buy_reason_N[i] = 0, SUSPENDED
        if not price > 0:
            continue
        q, t = quote(tape, s, n), tariff(rates, s, tape.exchange_N[n], BUY)
        wanted = whole_lots(q, int(value / (price * 100)))
        budget = int(max(cash, 0) * (value / total)) if queueing == PRO_RATA and total > cash else left
        shares = affordable(q, t, wanted, price, min(budget, left))
        plan.buy_shares_N[i] = shares
        plan.buy_reason_N[i] = FILLED if shares > 0 else (BELOW_LOT if wanted == 0 else NO_CASH)
        left -= outlay(q, t, shares, price)


@cached(costs, fees, fills, parcels, quotes, strategies)
def decide(policy: Policy, score_N: Floats, book: Book, price_N: Floats, plan: Plan, tape: Tape, rates: Rates, queueing: int) -> None:
    """Plan the orders of the tape's first session whole, the evening before it."""
    choose(policy, score_N, book, price_N, plan)
    queue(plan, queueing)
    for i in range(plan.count_2[SELL]):
        n = plan.sells_N[i]
        plan.sell_shares_N[i] = sellable(quote(tape, 0, n), plan.sell_shares_N[i], book.shares_N[n])
    size(policy, plan, price_N, tape, rates, 0, expected_cash(plan, book, price_N, tape, rates, 0), queueing)
