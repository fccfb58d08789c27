"""Scores become trades: the signal of session t is traded on t + 1 at the deal price, under the rules of that day."""

from datetime import date
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from backtest.choices import blank_plan
from backtest.costs import CostSettings, Rates, rates
from backtest.fills import LEDGER, Book, Tape
from backtest.market import Deal, Market
from backtest.result import Result
from backtest.sessions import Record, Rulings, run
from backtest.strategies import TopkBuffer, TopkDropout, due, policy
from data.errors import KestrelError
from data.panel import Floats
from data.rules import Rules, exchange_rules
from data.symbols import BOARDS

# D sessions, N stocks, B boards
ROOM = 64  # ledger rows a session to start with; it doubles when full


class SimulationSettings(BaseModel):
    """How orders meet the market.

    size_at "reference": orders are sized at the price known before the open, as `orders.next_orders` writes them; "deal": at the
    price they are filled at, which nobody knows beforehand but most published backtests assume.
    delisted: what a stock that leaves the exchange is worth on that day.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    deal: Deal = "open"
    cash: float = Field(default=1e8, gt=0, le=1e12)  # CNY
    size_at: Literal["reference", "deal"] = "reference"
    limits: bool = True
    lots: bool = True
    delisted: Literal["last_close", "nothing"] = "last_close"


def simulate(
    scores_DN: Floats,
    market: Market,
    *,
    strategy: TopkDropout | TopkBuffer,
    costs: CostSettings,
    settings: SimulationSettings | None = None,
    start: date | None = None,
    end: date | None = None,
    rules: Rules | None = None,
) -> Result:
    """Trade the scores in sessions start..end (all of the panel by default) and account for every cent.

    scores_DN: [D, N] over market.axes, known at the close of their session, higher is better, NaN = not a candidate.  The first
    session that trades needs scores of the one before, so it is the second of the panel at the earliest.
    In a session: rights and delistings, sells (worst name first), buys (best first, so the cash goes to the best until it ends).
    Raises KestrelError where the shapes differ or no session is left.
    """
    settings = settings or SimulationSettings()
    rules = rules or exchange_rules()
    first, last = _range(scores_DN, market, start, end)
    days = market.axes.days[first:last]
    tape = tape_of(market, first, last, settings, rules)
    book = Book(np.array([round(settings.cash * 100)]), np.zeros(market.axes.shape[1], np.int64), np.zeros(market.axes.shape[1], np.int64))
    sessions = np.arange(first, last) + market.first_session
    scores = np.ascontiguousarray(scores_DN[first - 1 : last - 1], dtype=np.float64)
    rulings = Rulings(settings.size_at == "deal", 1.0 if settings.delisted == "last_close" else 0.0)
    record, ledger = _run(tape, rates(costs, days, rules), strategy, rulings, scores, due(strategy, sessions), book)
    return Result(
        dates=market.axes.dates[first:last],
        symbols=market.axes.symbols,
        capital=round(settings.cash * 100),
        nav_cents_D=record.nav_D,
        cash_cents_D=record.cash_D,
        shares_DN=record.shares_DN,
        price_DN=tape.last_DN,
        ledger=ledger,
        price_basis=market.price_basis,
        strategy=strategy,
        costs=costs,
        settings=settings,
    )


def tape_of(market: Market, first: int, last: int, settings: SimulationSettings, rules: Rules) -> Tape:
    """Sessions first..last of the market as the compiled loop reads them."""
    part = slice(first, last)
    days = market.axes.days[part]
    none = np.full((last - first, market.axes.shape[1]), np.nan) if not settings.limits else np.empty((0, 0))
    return Tape(
        deal_DN=np.ascontiguousarray(market.deal_DN(settings.deal)[part]),
        reference_DN=market.reference_DN[part],
        last_DN=market.last_DN[part],
        limit_up_DN=market.limit_up_DN[part] if settings.limits else none,
        limit_down_DN=market.limit_down_DN[part] if settings.limits else none,
        scale_DN=market.scale_DN[part],
        cash_DN=market.cash_DN[part],
        ratio_DN=market.ratio_DN[part],
        trading_DN=market.trading_DN[part],
        was_trading_DN=market.trading_DN[first - 1 : last - 1],
        lot_minimum_DB=lots_DB("lot_minimum", days, rules, settings.lots),
        lot_step_DB=lots_DB("lot_step", days, rules, settings.lots),
        board_N=market.board_N,
        exchange_N=market.exchange_N,
        delisted_N=market.delisted_N - first,
    )


def lots_DB(name: str, days: NDArray[np.datetime64], rules: Rules, apply: bool) -> NDArray[np.int64]:
    """A lot rule by session and board; 1 where lots are switched off, 100 before a board had its rule."""
    if not apply:
        return np.ones((len(days), len(BOARDS)), dtype=np.int64)
    by_board = np.stack([rules.over(name, board, days) for board in BOARDS], axis=1)
    return np.nan_to_num(by_board, nan=100.0).astype(np.int64)


def _range(scores_DN: Floats, market: Market, start: date | None, end: date | None) -> tuple[int, int]:
    """(first, last + 1) of the sessions that trade."""
    axes = market.axes
    if scores_DN.shape != axes.shape:
        raise KestrelError(f"scores have the shape {scores_DN.shape}, the market {axes.shape}. Lay both over the same axes (data.panel.to_panel).")
    first = max(1, axes.index(start) if start else 1)
    last = int(np.searchsorted(axes.days, np.datetime64(end), side="right")) if end else len(axes.dates)
    if last <= first:
        span = f"the market runs {axes.dates[0]}..{axes.dates[-1]}, and its first session only gives scores"
        raise KestrelError(f"No session to trade from {start} to {end}: {span}. Choose days inside.")
    return first, last


def _run(
    tape: Tape,
    rate: Rates,
    strategy: TopkDropout | TopkBuffer,
    rulings: Rulings,
    scores: Floats,
    due_D: NDArray[np.bool_],
    book: Book,
) -> tuple[Record, NDArray[np.void]]:
    """Run all sessions with a ledger that grows."""
    sessions, stocks = scores.shape
    record = Record(np.zeros(sessions, np.int64), np.zeros(sessions, np.int64), np.zeros((sessions, stocks), np.int64))
    ledger = np.zeros(ROOM * sessions + 5 * stocks, dtype=LEDGER)
    done, used, plan, rules = 0, 0, blank_plan(stocks), policy(strategy)
    while True:
        done, used = run(tape, rate, rules, rulings, scores, due_D, book, plan, record, ledger, used, done)
        if done == sessions:
            return record, ledger[:used]
        ledger = np.concatenate([ledger, np.zeros_like(ledger)])
