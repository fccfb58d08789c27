"""Target weights become trades: a weigher is asked on every evening, knows that evening's book, and its weights are traded on the next session."""

from collections.abc import Callable
from datetime import date
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from backtest import choices, costs, fills, sessions, strategies
from backtest.choices import Plan, blank_plan, expected_cash, size
from backtest.costs import BUY, SELL, CostSettings, Rates, rates
from backtest.fills import LEDGER, Book, Tape, buy, cents, quote, sell, tariff, write
from backtest.market import Market
from backtest.result import Result
from backtest.sessions import Record, Rulings, pay_delisted, pay_rights, price_orders
from backtest.simulation import ROOM, SimulationSettings, _range, tape_of
from backtest.strategies import Policy
from data.errors import KestrelError
from data.panel import Floats
from data.rules import Rules, exchange_rules
from factors.cached import cached

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


class Targets(BaseModel):
    """How target weights are traded: a position less than `band` of its target away from it is left alone, and one without a target is sold."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    band: float = Field(default=0.05, ge=0, le=1)


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
    falling weight, so the cash goes to the largest targets until it ends.  A stock without a price can't be bought.
    Raises KestrelError where weights have another shape, are negative, not finite or sum to more than 1, and where no session is left.
    """
    settings, rules, targets = settings or SimulationSettings(), rules or exchange_rules(), targets or Targets()
    first, last = _range(np.empty(market.axes.shape, np.bool_), market, start, end)
    tape, rate = tape_of(market, first, last, settings, rules), rates(costs, market.axes.days[first:last], rules)
    stocks = market.axes.shape[1]
    book = Book(np.array([round(settings.cash * 100)]), np.zeros(stocks, np.int64), np.zeros(stocks, np.int64))
    record = Record(np.zeros(last - first, np.int64), np.zeros(last - first, np.int64), np.zeros((last - first, stocks), np.int64))
    ledger, used, plan = np.zeros(ROOM * (last - first) + 5 * stocks, dtype=LEDGER), 0, blank_plan(stocks)
    rulings = Rulings(settings.size_at == "deal", 1.0 if settings.delisted == "last_close" else 0.0)
    policy = Policy(0, 0, 0, 0, targets.band, 1.0)
    for s in range(last - first):
        if len(ledger) - used < 5 * stocks:
            ledger = np.concatenate([ledger, np.zeros_like(ledger)])
        wanted = weigher(evening(market, first + s - 1, book))
        weight_N = np.full(stocks, np.nan) if wanted is None else _checked(wanted, stocks, market.axes.dates[first + s - 1])
        used = step(tape, rate, policy, rulings, weight_N, book, plan, record, ledger, used, s)
    return Result(
        dates=market.axes.dates[first:last],
        symbols=market.axes.symbols,
        capital=round(settings.cash * 100),
        nav_cents_D=record.nav_D,
        cash_cents_D=record.cash_D,
        shares_DN=record.shares_DN,
        price_DN=tape.last_DN,
        ledger=ledger[:used],
        price_basis=market.price_basis,
        strategy=targets,
        costs=costs,
        settings=settings,
    )


def evening(market: Market, session: int, book: Book) -> Evening:
    """The book as it is valued at a session's close."""
    price_N = market.last_DN[session]
    value_N = np.where(book.shares_N > 0, np.floor(book.shares_N * np.nan_to_num(price_N) * 100 + 0.5), 0.0)
    equity = book.cash_1[0] + value_N.sum()
    return Evening(session, value_N / equity, book.shares_N.copy(), price_N, book.cash_1[0] / 100, equity / 100)


def _checked(weight_N: Floats, stocks: int, day: date) -> Floats:
    """The weights, if they can be held."""
    if np.shape(weight_N) != (stocks,):
        raise KestrelError(f"The weights of {day} have the shape {np.shape(weight_N)}; the market has {stocks} stocks. Give one weight a stock.")
    if not np.isfinite(weight_N).all() or (weight_N < 0).any() or weight_N.sum() > 1 + SLACK:
        found = f"lie in {np.min(weight_N):.6g}..{np.max(weight_N):.6g} and sum to {np.sum(weight_N):.6g}"
        raise KestrelError(f"The weights of {day} {found}: an account without credit holds weights from 0 to 1 that sum to at most 1.")
    return np.ascontiguousarray(weight_N, dtype=np.float64)


@njit(nogil=True)
def aim(policy: Policy, weight_N: Floats, book: Book, price_N: Floats, plan: Plan) -> None:
    """Plan what moves the book to the weights: sells in the order of the axes, buys by falling weight."""
    equity, sold, bought = book.cash_1[0], 0, 0
    for n in np.flatnonzero(book.shares_N):
        equity += cents(book.shares_N[n], price_N[n])
    for n in np.argsort(-weight_N, kind="mergesort"):
        target, held = int(equity * weight_N[n]), cents(book.shares_N[n], price_N[n])
        if target == held or (weight_N[n] > 0 and abs(target - held) <= policy.band * target):
            continue
        if target > held:
            plan.buys_N[bought], plan.buy_value_N[bought] = n, target - held
            bought += 1
        else:
            whole = weight_N[n] == 0
            plan.sells_N[sold], plan.sell_shares_N[sold] = n, book.shares_N[n] if whole else int((held - target) / (price_N[n] * 100))
            sold += 1
    plan.count_2[0], plan.count_2[1] = sold, bought


@cached(choices, costs, fills, sessions, strategies)
def step(
    tape: Tape,
    rates: Rates,
    policy: Policy,
    rulings: Rulings,
    weight_N: Floats,
    book: Book,
    plan: Plan,
    record: Record,
    ledger: NDArray[np.void],
    used: int,
    s: int,
) -> int:
    """One session with targets (NaN: none); return the ledger rows used."""
    book.locked_N[:] = 0
    used = pay_rights(tape, book, s, ledger, used)
    used = pay_delisted(tape, book, s, rulings.delisted_worth, ledger, used)
    price_N = np.empty(len(weight_N))
    price_orders(tape, s, rulings.size_at_deal, price_N)
    plan.count_2[:] = 0
    if not np.isnan(weight_N[0]):
        aim(policy, weight_N, book, price_N, plan)
    expected = expected_cash(plan, book, price_N, tape, rates, s)
    for i in range(plan.count_2[SELL]):
        n = plan.sells_N[i]
        sell(quote(tape, s, n), tariff(rates, s, tape.exchange_N[n], SELL), book, ledger[used], s, n, plan.sell_shares_N[i])
        used += 1
    size(policy, plan, price_N, tape, rates, s, book.cash_1[0] if rulings.size_at_deal else expected)
    for i in range(plan.count_2[BUY]):
        n = plan.buys_N[i]
        if plan.buy_shares_N[i] > 0:
            buy(quote(tape, s, n), tariff(rates, s, tape.exchange_N[n], BUY), book, ledger[used], s, n, plan.buy_shares_N[i])
        else:
            write(ledger[used], s, n, BUY, 0, 0, 0, plan.buy_reason_N[i], price_N[n])
        used += 1
    value = book.cash_1[0]
    for n in np.flatnonzero(book.shares_N):
        value += cents(book.shares_N[n], tape.last_DN[s, n])
    record.nav_D[s], record.cash_D[s] = value, book.cash_1[0]
    record.shares_DN[s] = book.shares_N
    return used
