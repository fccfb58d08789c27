"""Minute bars of single sessions, drawn to fit the session's bar: first open, last close, extremes, sums of volume and amount.

Dims: K stocks that trade, M minutes of a session.  Prices in cents.
"""

from datetime import date

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from data.simulator.market import Tape
from data.simulator.universe import Universe

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

M = 240
AUCTION = 3  # minutes from 14:57 to 15:00, whose trades all happen at the end
SH_AUCTION = date(2018, 8, 20)  # Shanghai's closing call begins; before, it traded on
AUCTION_SHARE = 0.02  # of a session's volume
LOT = 100


def minute_ends(day: np.datetime64) -> NDArray[np.datetime64]:
    """09:31 … 11:30 and 13:01 … 15:00 of a day, [M]."""
    minutes = np.concatenate([np.arange(571, 691), np.arange(781, 901)])
    return np.asarray(day.astype("datetime64[us]") + minutes.astype("timedelta64[m]"))


def minute_bars(tape: Tape, sessions: Ints, days: NDArray[np.datetime64], stocks: Universe, rng: np.random.Generator) -> pl.DataFrame:
    """The minute_bars table of some sessions (positions, ascending): every minute of every stock that trades."""
    symbols = pl.Series("symbol", stocks.symbols, dtype=pl.String)
    frames = []
    for session in sessions.tolist():
        trading = np.flatnonzero(tape.trading[session])
        prices, volume, amount = _session(tape, session, trading, _calls(days[session], stocks)[trading], rng)
        ends = pl.Series(minute_ends(days[session])).dt.replace_time_zone("Asia/Shanghai")
        columns = {name: prices[:, place].T.ravel() / 100 for place, name in enumerate(("open", "high", "low", "close"))}
        frames.append(
            pl.DataFrame(
                {
                    "time": ends.gather(np.repeat(np.arange(M), len(trading))),
                    "symbol": symbols.gather(np.tile(trading, M)),
                    **columns,
                    "volume": volume.T.ravel(),
                    "amount": amount.T.ravel() / 100,
                }
            )
        )
    return pl.concat(frames)


def _calls(day: np.datetime64, stocks: Universe) -> Flags:
    """Which stocks close in a call auction that day, [N]."""
    shanghai = np.array([symbol.endswith(".SH") for symbol in stocks.symbols])
    return ~shanghai | (day >= np.datetime64(SH_AUCTION))


def profile(call: bool) -> Floats:
    """The usual share of a session's volume in each minute, [M]: busy after the open, quiet at noon, livelier before the close."""
    minute = np.arange(M)
    shares = 1 + 3.5 * np.exp(-minute / 12) + 0.8 * np.exp(-np.abs(minute - 120) / 6) * (minute >= 120) + 1.2 * np.exp((minute - M) / 25)
    if call:
        shares[-AUCTION:] = 0.0
        shares[-1] = AUCTION_SHARE / (1 - AUCTION_SHARE) * shares.sum()
    return np.asarray(shares / shares.sum())


def _session(tape: Tape, session: int, trading: Ints, calls: Flags, rng: np.random.Generator) -> tuple[Ints, Floats, Floats]:
    """(open, high, low, close [K, 4, M], volume [K, M] in shares, amount [K, M] in cents) of one session."""
    bars = np.stack([tape.cents[name][session][trading] for name in ("open", "high", "low", "close")], axis=1).astype(np.int64)
    steps = rng.standard_normal((len(trading), M))
    wicks = rng.exponential(0.3, (len(trading), 2, M))
    usual = np.where(calls[:, None], profile(True), profile(False)) * rng.gamma(2.0, 0.5, (len(trading), M))
    prices = np.empty((len(trading), 4, M), dtype=np.int64)
    volume, amount = np.empty((len(trading), M)), np.empty((len(trading), M))
    whole, paid = tape.volume[session][trading], tape.amount[session][trading].astype(np.float64)
    for place in range(len(trading)):
        walk(bars[place], steps[place], wicks[place], usual[place] > 0, prices[place])
        trade(bars[place], whole[place], paid[place], usual[place], prices[place], volume[place], amount[place])
    return prices, volume, amount


@njit(cache=True, nogil=True)
def walk(bar: Ints, steps: Floats, wicks: Floats, trades: Flags, prices: Ints) -> None:
    """Lay a path from the open to the close whose extremes are the session's.  bar: [4]; wicks: [2, M] -> prices [4, M]

    A Brownian bridge around the line from open to close, scaled to the session's range, cut at its extremes; the minutes that come
    nearest to them touch them.  A minute that doesn't trade rests at the price before.
    """
    opening, high, low, close = bar[0], bar[1], bar[2], bar[3]
    sums = np.cumsum(steps)
    share = np.arange(1, len(steps) + 1) / len(steps)
    bridge = sums - share * sums[-1]
    scale = np.log(high / low) / max(max(bridge.max(), 0.0) - min(bridge.min(), 0.0), 1e-12)
    last, top, bottom = opening, 0, 0
    for m in range(len(steps)):
        price = np.rint(opening * np.exp(np.log(close / opening) * share[m] + scale * bridge[m]))
        now = last
        if m == len(steps) - 1:
            now = close
        elif trades[m]:
            now = np.int64(min(max(price, low), high))
        reach = scale * opening * (trades[m] and m < len(steps) - 1)
        prices[0, m], prices[3, m] = last, now
        if not trades[m - 1] and m > 0:
            prices[0, m] = now  # the closing call has one price
        prices[1, m] = min(max(prices[0, m], now) + np.int64(reach * wicks[0, m]), high)
        prices[2, m] = max(min(prices[0, m], now) - np.int64(reach * wicks[1, m]), low)
        top = m if prices[1, m] > prices[1, top] else top
        bottom = m if prices[2, m] < prices[2, bottom] else bottom
        last = now
    prices[1, top], prices[2, bottom] = high, low


@njit(cache=True, nogil=True)
def trade(bar: Ints, whole: float, paid: float, usual: Floats, prices: Ints, volume: Floats, amount: Floats) -> None:
    """Share out a session's volume and amount.  usual: [M] >= 0 -> volume [M] in shares, amount [M] in cents; prices may widen.

    Minutes dearer (cheaper) than the session's average price get more than usual until the average is met; what the lots leave over
    moves each minute's average price, within its range if that suffices and within the session's if not.
    """
    average = (prices[0] + prices[1] + prices[2] + prices[3]) / 4
    weights = tilted(usual / usual.sum(), average, paid / whole)
    lots, given, upto = np.rint(whole / LOT), 0.0, 0.0
    sums = np.cumsum(weights)
    for m in range(len(weights)):
        upto = lots if m == len(weights) - 1 else min(np.floor(sums[m] / sums[-1] * lots), lots)
        volume[m], given = LOT * (upto - given), upto
    dearer = paid > (volume * average).sum()
    average = leant(average, volume, paid, (prices[1] if dearer else prices[2]).astype(np.float64))
    average = leant(average, volume, paid, np.full(len(weights), float(bar[1] if dearer else bar[2])))
    for m in range(len(weights)):
        amount[m] = volume[m] * average[m]
        if volume[m] > 0:
            prices[1, m] = max(prices[1, m], np.int64(np.ceil(average[m] - 1e-6)))
            prices[2, m] = min(prices[2, m], np.int64(np.floor(average[m] + 1e-6)))


@njit(cache=True, nogil=True)
def tilted(weights: Floats, average: Floats, wanted: float) -> Floats:
    """Weights whose mean of `average` is `wanted`, as far as it lies within: a mixture with the minutes on the far side of it.  [M]"""
    gap = wanted - (weights * average).sum()
    side = weights * ((average - wanted) * gap >= 0)
    if gap == 0 or side.sum() == 0:
        return weights
    side = side / side.sum()
    away = (side * average).sum() - (weights * average).sum()
    return weights + (side - weights) * (min(gap / away, 1.0) if away * gap > 0 else 0.0)


@njit(cache=True, nogil=True)
def leant(average: Floats, volume: Floats, paid: float, bounds: Floats) -> Floats:
    """Average prices moved towards their bounds, all by the same share of the way, until the sum is what was paid.  [M]"""
    gap = paid - (volume * average).sum()
    room = (volume * (bounds - average)).sum()
    return average + (bounds - average) * min(gap / room, 1.0) if room * gap > 0 else average
