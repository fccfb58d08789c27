"""000905.SH: who is in it, with what weight, and its level as price and with dividends.

Rebuilding it: with w the weights of the session before (the members table, its row of that date),
    price return  = sum of w x (close x (1 + bonus + transfer) / previous close - 1), bonus and transfer of that ex-date
    total return  = sum of w x (close / pre_close - 1), which is the return of close x adj
A price index falls with every cash dividend, the total return one doesn't.  Weights are those after the session's close, so a
review's new members stand in the row of its Friday and earn from the next session.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from data.errors import KestrelError
from data.simulator.actions import UNIT
from data.simulator.market import Tape
from data.simulator.settings import SimulationSettings
from data.simulator.universe import Universe
from data.symbols import BOARDS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

INDEX = "000905.SH"
BASE_PRICE, BASE_TOTAL = 6000.0, 6600.0
YEAR = 244  # sessions over which caps and amounts are averaged
SEASONED = 60  # sessions a stock must have been listed at a review
KEEP, ENTER, CHANGES = 1.2, 0.8, 0.1  # buffer 600 / 400 of 500, at most 50 changes a review


@dataclass(frozen=True)
class Index:
    """Levels [D] of 000905.SH, and its members: stocks and weights [D, M] at each close, stocks sorted."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    close_tr: Floats
    stocks: Ints
    weights: Floats


def review_days(days: NDArray[np.datetime64]) -> list[int]:
    """The sessions after whose close a review takes effect: the second Friday of June and December, or the last session before it."""
    first, last = days[0].astype(object), days[-1].astype(object)
    fridays = []
    for year in range(first.year, last.year + 1):
        for month in (6, 12):
            start = date(year, month, 1)
            fridays.append(start + timedelta(days=(4 - start.weekday()) % 7 + 7))
    return [int(np.searchsorted(days, np.datetime64(day), side="right")) - 1 for day in fridays if first <= day <= last]


def inclusion(floating: Floats) -> Floats:
    """The share of a company that counts: its float up to 15 % rounded up to the next 1 %, then in steps up to 80 %, above that all."""
    percent = floating * 100
    steps = np.array([20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 100.0])
    return np.where(percent <= 15, np.maximum(np.ceil(percent), 1.0), steps[np.minimum(np.searchsorted(steps, percent), 7)]) / 100


def index(settings: SimulationSettings, stocks: Universe, tape: Tape, days: NDArray[np.datetime64], rng: np.random.Generator) -> Index:
    """Review, weigh and price the index over the whole tape."""
    sessions = len(days)
    grown = _grown(tape)
    reviews = {0, *review_days(days)}
    members = np.zeros(0, dtype=np.int64)
    units = np.zeros(len(stocks))  # shares that count
    held, weights = np.zeros((sessions, settings.members), dtype=np.int64), np.zeros((sessions, settings.members))
    moves = np.zeros((3, sessions))  # returns since the last close: at the open, at the close, total
    for session in range(sessions):
        if session > 0:
            factor = 1.0 + grown[session][members] if session in grown else np.ones(len(members))
            moves[:, session] = _moves(tape, session, members, weights[session - 1], factor)
            units[members] *= factor
        leaving = tape.last[members] == session
        if session in reviews:
            members = np.sort(_review(settings, stocks, tape, session, members))
            units = _units(tape, session)
        elif leaving.any():
            fresh = _candidates(settings, stocks, tape, session)
            fresh = fresh[~np.isin(fresh, members)][: leaving.sum()]
            members = np.sort(np.concatenate([members[~leaving], fresh]))
            units[fresh] = _units(tape, session)[fresh]
        worth = units[members] * tape.cents["close"][session][members]
        held[session], weights[session] = members, worth / worth.sum()
    levels = BASE_PRICE * np.cumprod(1 + moves[1]), BASE_TOTAL * np.cumprod(1 + moves[2])
    return _with_range(moves, *levels, held, weights, rng)


def _grown(tape: Tape) -> dict[int, Floats]:
    """New shares per share, [N], by the sessions on which there are any."""
    found: dict[int, Floats] = {}
    for action in tape.actions:
        if action.bonus + action.transfer:
            found.setdefault(action.session, np.zeros(tape.shape[1]))[action.stock] = (action.bonus + action.transfer) / UNIT
    return found


def _moves(tape: Tape, session: int, members: Ints, weights: Floats, factor: Floats) -> Floats:
    """The index's return since the last close: price at the open, price at the close, total at the close.  -> [3]"""
    before = tape.cents["close"][session - 1][members]
    opening, close, reference = (tape.cents[name][session][members] for name in ("open", "close", "pre_close"))
    return np.array([weights @ (opening * factor / before - 1), weights @ (close * factor / before - 1), weights @ (close / reference - 1)])


def _units(tape: Tape, session: int) -> Floats:
    """Shares that count of every stock, [N]."""
    return tape.total[session] * inclusion(tape.floating[session] / tape.total[session])


def _candidates(settings: SimulationSettings, stocks: Universe, tape: Tape, session: int) -> Ints:
    """Stocks that may be members, largest average cap first: neither ST, new, leaving, of the BSE, among the largest nor illiquid.

    At most the least liquid fifth is dropped, in a small market no more than half of those the index can spare; where it can't spare
    the largest, they may be members too.
    """
    past = slice(max(session - YEAR + 1, 0), session + 1)
    listed = tape.listed[past]
    there = np.maximum(listed.sum(axis=0), 1)
    cap = (tape.total[past] * tape.cents["close"][past] * listed).sum(axis=0) / there
    amount = (tape.amount[past] * listed).sum(axis=0) / there
    may = listed[-1] & ~tape.st[session] & (tape.last > session) & (session - stocks.listed_at >= SEASONED)
    may &= stocks.boards != BOARDS.index("bse")
    order = np.argsort(np.where(may, -cap, np.inf), kind="stable")[: may.sum()]
    order = order[max(min(settings.larger, len(order) - settings.members), 0) :]
    spare = len(order) - settings.members
    if spare < 0:
        raise KestrelError(
            f"Only {len(order)} of {settings.stocks} stocks can be members of an index of {settings.members}. Simulate more stocks or fewer members."
        )
    drop = min(len(order) // 5, spare // 2)
    illiquid = order[np.argsort(amount[order], kind="stable")[:drop]]
    return order[~np.isin(order, illiquid)]


def _review(settings: SimulationSettings, stocks: Universe, tape: Tape, session: int, members: Ints) -> Ints:
    """The members after a review: the largest candidates, changed slowly.

    New ones within 0.8 of the size come first, old ones within 1.2 stay, then the largest; at most a tenth changes, and old
    members that can't stay (ST, leaving) go on top of that.
    """
    ranked = _candidates(settings, stocks, tape, session)
    size = settings.members
    if not len(members):
        return ranked[:size]
    place, old = np.arange(len(ranked)), np.isin(ranked, members)
    turn = np.where(~old & (place < ENTER * size), 0, np.where(old & (place < KEEP * size), 1, 2))
    order = np.lexsort((place, turn))
    fresh, kept = (ranked[order[:size]][old[order[:size]] == was] for was in (False, True))
    able = ranked[old]
    most = max(int(CHANGES * size), size - len(able))
    back = able[~np.isin(able, kept)][: max(len(fresh) - most, 0)]
    return np.concatenate([fresh[:most], kept, back])


def _with_range(moves: Floats, close: Floats, close_tr: Floats, held: Ints, weights: Floats, rng: np.random.Generator) -> Index:
    """Add open, high and low: the open is the members', the range is drawn around open and close."""
    before = np.concatenate([[BASE_PRICE], close[:-1]])
    opening = before * (1 + moves[0])
    reach = np.abs(rng.standard_normal((2, len(close)))) * 0.004
    high = np.maximum(opening, close) * (1 + reach[0])
    low = np.minimum(opening, close) * (1 - reach[1])
    return Index(opening, high, low, close, close_tr, held, weights)
