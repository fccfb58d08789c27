"""The stocks of a simulated market: codes, boards, listing days, names, industries, sizes and lasting traits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.simulator.settings import SimulationSettings
from data.simulator.vocabulary import INDUSTRIES, company_names, industry_shares
from data.symbols import BOARDS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BOARD_SHARES = (0.58, 0.27, 0.11, 0.04)  # main, chinext, star, bse
BOARD_OPENS = ("1990-12-19", "2009-10-30", "2019-07-22", "2021-11-15")
CODES = {  # ranges of six digits by board; the main board lives on two exchanges
    "main": (("SH", 600000, 3999), ("SZ", 1, 2999)),
    "chinext": (("SZ", 300001, 1598),),
    "star": (("SH", 688001, 998),),
    "bse": (("BJ", 920001, 998),),
}
USUAL = 0.0197  # idiosyncratic volatility a session, jumps left out, of the median stock
LISTING_RATE = 0.03  # new stocks a year, of those listed
INDUSTRY_CHANGES = 0.01  # stocks a year
YOUNG, MATURE = 244, 732  # sessions after which the founders' shares unlock: one and three years


@dataclass(frozen=True)
class Universe:
    """Every stock that is ever listed, sorted by symbol.  Arrays are [N]; sessions count from 0, before the market's first they are negative."""

    symbols: tuple[str, ...]
    names: tuple[str, ...]
    boards: Ints  # place in BOARDS
    industries: Ints  # place in INDUSTRIES at the start
    changes: Ints  # [C, 3] session, stock, new industry
    listed_at: Ints
    list_dates: NDArray[np.datetime64]
    cents: Ints  # price at the first session, or the issue price
    shares: Floats  # total shares at that time
    floating: Floats  # fraction that floats once every lock-up is over
    beta: Floats
    volatility: Floats  # idiosyncratic, a day
    activity: Floats  # natural log of the usual daily turnover
    cheapness: Floats  # lasting exposure to the value style, standard normal
    premium: Floats  # what a new listing is worth above its issue price

    def __len__(self) -> int:
        return len(self.symbols)

    def float_ratio(self, session: int) -> Floats:
        """The fraction of each stock's shares that floats at a session."""
        age = session - self.listed_at
        return np.where(age < YOUNG, np.minimum(0.25, self.floating), np.where(age < MATURE, 0.5 * (0.25 + self.floating), self.floating))


def universe(settings: SimulationSettings, days: NDArray[np.datetime64], rng: np.random.Generator) -> Universe:
    """Draw the stocks of a market over the given sessions.  days: [D]."""
    count = settings.stocks
    boards = np.sort(rng.choice(len(BOARDS), size=count, p=BOARD_SHARES))
    symbols = _codes(boards, rng)
    order = np.argsort(np.array(symbols))
    boards, symbols = boards[order], [symbols[place] for place in order]
    listed_at = _listings(boards, days, settings.years, rng)
    industries = rng.choice(len(INDUSTRIES), size=count, p=industry_shares())
    size = rng.standard_normal(count)
    cap = np.exp(np.log(7e9) + 0.95 * size) * np.where(listed_at > 0, 0.6, 1.0)
    cents = np.rint(100 * np.clip(np.exp(np.log(15.0) + 0.5 * rng.standard_normal(count)), 4.0, 150.0)).astype(np.int64)
    turnover = np.log(0.0090) + 0.62 * rng.standard_normal(count) - 0.25 * size
    return Universe(
        symbols=tuple(symbols),
        names=tuple(company_names(industries, rng)),
        boards=boards,
        industries=industries,
        changes=_changes(industries, listed_at, len(days), settings.years, rng),
        listed_at=listed_at,
        list_dates=_list_dates(listed_at, boards, days),
        cents=cents,
        shares=np.maximum(np.floor(cap / (cents / 100) / 10_000) * 10_000, 10_000_000.0),
        floating=rng.uniform(0.35, 1.0, count),
        beta=np.clip(1.0 + 0.2 * rng.standard_normal(count), 0.3, 1.8),
        volatility=USUAL * np.exp(0.25 * rng.standard_normal(count) - 0.06 * size) * np.where(boards >= 1, 1.15, 1.0),
        activity=turnover,
        cheapness=rng.standard_normal(count),
        premium=np.clip(np.expm1(0.4 + 0.35 * rng.standard_normal(count)), -0.2, 3.0),
    )


def _codes(boards: Ints, rng: np.random.Generator) -> list[str]:
    """A different code for each stock, from its board's ranges."""
    symbols: list[str] = []
    for place, board in enumerate(BOARDS):
        ranges = CODES[board]
        count = int((boards == place).sum())
        for part, (exchange, first, size) in enumerate(ranges):
            share = count // len(ranges) if part else count - count // len(ranges) * (len(ranges) - 1)
            digits = first + rng.choice(size, size=share, replace=False)
            symbols += [f"{number:06d}.{exchange}" for number in digits]
    return symbols


def _listings(boards: Ints, days: NDArray[np.datetime64], years: int, rng: np.random.Generator) -> Ints:
    """The session each stock lists at; negative: as many sessions before the first one.  Boards that open later list later."""
    sessions = len(days)
    opens = np.searchsorted(days, np.array(BOARD_OPENS, dtype="datetime64[D]"))[boards]
    late = opens > 0
    before = np.busday_count(np.array(BOARD_OPENS, dtype="datetime64[D]"), days[0])[boards]
    listed_at = -1 - np.minimum(rng.integers(0, 4000, len(boards)), np.maximum(before - 1, 0) * 9 // 10)
    fresh = rng.random(len(boards)) < 1 - (1 + LISTING_RATE) ** -years
    anywhere = opens + np.floor(rng.random(len(boards)) * np.maximum(sessions - opens, 1)).astype(np.int64)
    at_opening = rng.random(len(boards)) < 0.25
    return np.where(late, np.where(at_opening, opens, np.maximum(anywhere, opens)), np.where(fresh, np.maximum(anywhere, 1), listed_at))


def _list_dates(listed_at: Ints, boards: Ints, days: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """Listing days: sessions where the market was simulated, weekdays before."""
    inside = days[np.clip(listed_at, 0, len(days) - 1)]
    earlier = np.busday_offset(days[0], np.minimum(listed_at, 0), roll="backward")
    return np.where(listed_at < 0, np.maximum(earlier, np.array(BOARD_OPENS, dtype="datetime64[D]")[boards]), inside)


def _changes(industries: Ints, listed_at: Ints, sessions: int, years: int, rng: np.random.Generator) -> Ints:
    """Moves to another industry, [C, 3] (session, stock, industry) by session; at most one a stock, after its listing."""
    moves = rng.random(len(industries)) < INDUSTRY_CHANGES * years
    session = 1 + np.floor(rng.random(len(industries)) * (sessions - 1)).astype(np.int64)
    to = (industries + 1 + rng.integers(0, len(INDUSTRIES) - 1, len(industries))) % len(INDUSTRIES)
    stocks = np.flatnonzero(moves & (session > listed_at) & (session < sessions))
    found = np.stack([session[stocks], stocks, to[stocks]], axis=1)
    return found[np.argsort(found[:, 0], kind="stable")]
