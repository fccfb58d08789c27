"""Scores become trades: the signal of session t is traded on t + 1 at the deal price, under the rules of that day."""

from dataclasses import dataclass
from datetime import date
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from backtest.choices import QUEUES, Plan, blank_plan
from backtest.costs import CostSettings, Rates, rates
from backtest.fills import LEDGER, Book
from backtest.market import Deal, Market
from backtest.parcels import Ladder, Parcels, blank_parcels, doubled, ladder, no_ladder
from backtest.quotes import NO_CAP, Tape
from backtest.result import Result
from backtest.sessions import Record, Rulings, follow, run
from backtest.strategies import Policy, Targets, TopkBuffer, TopkDropout, due, policy
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
    participation: the most of a stock's volume of the day that is filled, the rest of an order lapses; with deal "vwap" that is a slice
    of the day.  impact: coefficient of the square-root law (see impact.py; 2/3 is its usual value), a cost beside the price.
    buys: in which order the buys get the cash: the best score or largest target first, by symbol, the largest order first, or all
    cut in the same proportion.
    delisted: what a stock that leaves the exchange is worth on that day.
    dividend_tax: charge the ladder of the date at the sale, first in first out, and accrue it until then; companies and most
    products pay otherwise, so it is off.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    deal: Deal = "open"
    cash: float = Field(default=1e8, gt=0, le=1e12)  # CNY
    size_at: Literal["reference", "deal"] = "reference"
    limits: bool = True
    lots: bool = True
    participation: float | None = Field(default=None, gt=0, le=1)
    impact: float = Field(default=0.0, ge=0, le=10)
    buys: Literal["score", "symbol", "largest", "pro_rata"] = "score"
    delisted: Literal["last_close", "nothing"] = "last_close"
    dividend_tax: bool = False


@dataclass
class Course:
    """A simulation under way: the market's tape, the account, and what has been recorded of it."""

    tape: Tape
    rates: Rates
    policy: Policy
    rulings: Rulings
    ladder: Ladder
    signal_DN: Floats
    due_D: NDArray[np.bool_]
    book: Book
    parcels: Parcels
    plan: Plan
    record: Record
    ledger: NDArray[np.void]
    used: int = 0  # rows of the ledger

    @classmethod
    def of(
        cls,
        signal_DN: Floats,
        due_D: NDArray[np.bool_],
        market: Market,
        first: int,
        strategy: TopkDropout | TopkBuffer | Targets,
        costs: CostSettings,
        settings: SimulationSettings,
        rules: Rules,
    ) -> Self:
        """An account in cash before the sessions from `first` on, one a row of signal_DN."""
        sessions, stocks = signal_DN.shape
        days = market.axes.days[first : first + sessions]
        rows = ROOM * sessions + 5 * stocks
        law = no_ladder()
        if settings.dividend_tax:
            law = ladder(market.taxable_DN[first : first + sessions], days, market.axes.days[first - 1], rules)
        nav_D, cash_D, owed_D = np.zeros((3, sessions), np.int64)
        return cls(
            tape=tape_of(market, first, first + sessions, settings, rules),
            rates=rates(costs, days, rules),
            policy=policy(strategy),
            rulings=Rulings(settings.size_at == "deal", 1.0 if settings.delisted == "last_close" else 0.0, QUEUES.index(settings.buys)),
            ladder=law,
            signal_DN=signal_DN,
            due_D=due_D,
            book=Book(np.array([round(settings.cash * 100)]), np.zeros(stocks, np.int64), np.zeros(stocks, np.int64)),
            parcels=blank_parcels(stocks, rows if settings.dividend_tax else 0),
            plan=blank_plan(stocks),
            record=Record(nav_D, cash_D, owed_D, np.empty((sessions, stocks), np.int64)),  # every session writes its own
            ledger=np.empty(rows, dtype=LEDGER),
        )

    def forward(self, first: int, last: int) -> None:
        """Run sessions first..last - 1, with a ledger that grows."""
        done = first
        while done < last:
            done, self.used = run(
                self.tape, self.rates, self.policy, self.rulings, self.signal_DN, self.due_D, self.book, self.parcels, self.ladder,
                self.plan, self.record, self.ledger, self.used, done, last,
            )  # fmt: skip
            if done < last:
                self.ledger = np.concatenate([self.ledger, np.empty_like(self.ledger)])
                self.parcels = doubled(self.parcels)

    def follow(self, s: int) -> None:
        """Run session s by the orders in `plan`."""
        while len(self.ledger) - self.used < 5 * len(self.book.shares_N):
            self.ledger = np.concatenate([self.ledger, np.zeros_like(self.ledger)])
            self.parcels = doubled(self.parcels)
        self.used = follow(
            self.tape, self.rates, self.rulings, self.book, self.parcels, self.ladder, self.plan, self.record, self.ledger, self.used, s
        )

    def result(self, market: Market, first: int, strategy: BaseModel, costs: CostSettings, settings: SimulationSettings) -> Result:
        """What it leaves behind."""
        return Result(
            dates=market.axes.dates[first : first + len(self.due_D)],
            symbols=market.axes.symbols,
            capital=round(settings.cash * 100),
            nav_cents_D=self.record.nav_D,
            cash_cents_D=self.record.cash_D,
            owed_cents_D=self.record.owed_D,
            shares_DN=self.record.shares_DN,
            price_DN=self.tape.last_DN,
            ledger=self.ledger[: self.used],
            price_basis=market.price_basis,
            strategy=strategy,
            costs=costs,
            settings=settings,
        )


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
    In a session: rights and delistings, sells (worst name first), buys (in the order of settings.buys, until the cash ends).
    Raises KestrelError where the shapes differ or no session is left.
    """
    settings, rules = settings or SimulationSettings(), rules or exchange_rules()
    first, last = span(scores_DN.shape, market, start, end)
    scores = np.ascontiguousarray(scores_DN[first - 1 : last - 1], dtype=np.float64)
    looked = due(strategy, np.arange(first, last) + market.first_session)
    course = Course.of(scores, looked, market, first, strategy, costs, settings, rules)
    course.forward(0, last - first)
    return course.result(market, first, strategy, costs, settings)


def tape_of(market: Market, first: int, last: int, settings: SimulationSettings, rules: Rules) -> Tape:
    """Sessions first..last - 1 of the market as the compiled loop reads them."""
    part = slice(first, last)
    days = market.axes.days[part]
    none = np.full((last - first, market.axes.shape[1]), np.nan) if not settings.limits else np.empty((0, 0))
    starts_D, rights_R = market.rights
    return Tape(
        deal_DN=np.ascontiguousarray(market.deal_DN(settings.deal)[part]),
        reference_DN=market.reference_DN[part],
        last_DN=market.last_DN[part],
        limit_up_DN=market.limit_up_DN[part] if settings.limits else none,
        limit_down_DN=market.limit_down_DN[part] if settings.limits else none,
        scale_DN=market.scale_DN[part],
        cash_DN=market.cash_DN[part],
        ratio_DN=market.ratio_DN[part],
        volume_DN=market.traded_DN[part] if settings.participation else market.volume_DN[:0],
        depth_DN=market.depth_DN[part] if settings.impact else market.volume_DN[:0],
        trading_DN=market.trading_DN[part],
        was_trading_DN=market.trading_DN[first - 1 : last - 1],
        lot_minimum_DB=lots_DB("lot_minimum", days, rules, settings.lots),
        lot_step_DB=lots_DB("lot_step", days, rules, settings.lots),
        largest_DB=largest_DB(days, rules, settings.lots),
        board_N=market.board_N,
        exchange_N=market.exchange_N,
        delisted_N=market.delisted_N - first,
        rights_D=starts_D[first : last + 1],
        rights_R=np.ascontiguousarray(rights_R),  # one layout with and without dividends: a second one would be compiled for a minute
        impact=settings.impact,
        participation=settings.participation or 0.0,
    )


def lots_DB(name: str, days: NDArray[np.datetime64], rules: Rules, apply: bool) -> NDArray[np.int64]:
    """A lot rule by session and board; 1 where lots are switched off, 100 before a board had its rule."""
    if not apply:
        return np.ones((len(days), len(BOARDS)), dtype=np.int64)
    by_board = np.stack([rules.over(name, board, days) for board in BOARDS], axis=1)
    return np.nan_to_num(by_board, nan=100.0).astype(np.int64)


def largest_DB(days: NDArray[np.datetime64], rules: Rules, apply: bool) -> NDArray[np.int64]:
    """The largest order in shares by session and board; without end where lots are switched off or a board had no rule."""
    if not apply:
        return np.full((len(days), len(BOARDS)), NO_CAP)
    by_board = np.stack([rules.over("order_maximum", board, days) for board in BOARDS], axis=1)
    return np.where(np.isnan(by_board), NO_CAP, np.nan_to_num(by_board)).astype(np.int64)


def span(shape: tuple[int, ...], market: Market, start: date | None, end: date | None) -> tuple[int, int]:
    """(first, last + 1) of the sessions that trade; raises KestrelError where the signal's shape isn't the market's or none is left."""
    axes = market.axes
    if shape != axes.shape:
        raise KestrelError(f"scores have the shape {shape}, the market {axes.shape}. Lay both over the same axes (data.panel.to_panel).")
    first = max(1, axes.index(start) if start else 1)
    last = int(np.searchsorted(axes.days, np.datetime64(end), side="right")) if end else len(axes.dates)
    if last <= first:
        span = f"the market runs {axes.dates[0]}..{axes.dates[-1]}, and its first session only gives scores"
        raise KestrelError(f"No session to trade from {start} to {end}: {span}. Choose days inside.")
    return first, last
