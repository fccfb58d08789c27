"""The market as the compiled loop reads it: a tape of all sessions, and of one stock on one day a quote.

Prices are CNY, shares whole shares, money whole cents.  A stock's day is first read into a `Quote`, so that all that follows works
on plain numbers: it reads better, and a compiled call is an order of magnitude cheaper than with the arrays passed along.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from data.panel import Floats

# D sessions, N stocks, B boards
NO_CAP = 1 << 60  # shares: more than any order


class Tape(NamedTuple):
    """The market by session, and the rules that hold in it."""

    deal_DN: Floats
    reference_DN: Floats
    last_DN: Floats
    limit_up_DN: Floats
    limit_down_DN: Floats
    scale_DN: Floats
    cash_DN: Floats
    ratio_DN: Floats
    volume_DN: Floats
    depth_DN: Floats  # impact of one share, by impact.depth; [0, N] where impact costs nothing
    trading_DN: NDArray[np.bool_]
    was_trading_DN: NDArray[np.bool_]  # on the session before: all that is known when orders are written
    lot_minimum_DB: NDArray[np.int64]
    lot_step_DB: NDArray[np.int64]
    largest_DB: NDArray[np.int64]  # shares of one order
    board_N: NDArray[np.int64]
    exchange_N: NDArray[np.int64]
    delisted_N: NDArray[np.int64]
    rights_D: NDArray[np.int64]  # the stocks whose ex-date is session s: rights_R[rights_D[s] : rights_D[s + 1]]
    rights_R: NDArray[np.int64]
    impact: float  # coefficient of depth_DN
    participation: float  # of a day's volume, the most that is filled; 0: no cap


class Quote(NamedTuple):
    """One stock on one day.  The price is the deal price; lots are in quoted shares."""

    price: float
    trading: bool
    limit_up: float
    limit_down: float
    lot_minimum: int
    lot_step: int
    largest: int
    scale: float
    cap: int  # the most shares that the day's volume fills
    impact: float  # fraction of the amount for an order of one share; it grows with the square root of the shares


@njit(nogil=True)
def cents(shares: int, price: float) -> int:
    """Value of shares at a price in CNY, half-up to the cent."""
    return int(np.floor(shares * price * 100 + 0.5)) if shares != 0 else 0  # the price of what isn't there may be NaN


@njit(nogil=True)
def quote(tape: Tape, s: int, n: int) -> Quote:
    """Stock n on session s.  Lots are 100 and 100 shares, on STAR 200 and 1, on BSE 100 and 1, scaled where prices are adjusted."""
    b, scale = tape.board_N[n], tape.scale_DN[s, n]
    minimum, step, largest = tape.lot_minimum_DB[s, b], tape.lot_step_DB[s, b], tape.largest_DB[s, b]
    if scale != 1.0:
        minimum, step, largest = max(1, int(np.rint(minimum * scale))), max(1, int(np.rint(step * scale))), max(1, int(np.rint(largest * scale)))
    cap, impact = NO_CAP, 0.0
    if tape.participation > 0:
        cap = int(np.nan_to_num(tape.volume_DN[s, n]) * tape.participation)
    if tape.impact > 0:
        impact = tape.impact * tape.depth_DN[s, n]
    deal, up, down = tape.deal_DN[s, n], tape.limit_up_DN[s, n], tape.limit_down_DN[s, n]
    return Quote(deal, tape.trading_DN[s, n], up, down, minimum, step, largest, scale, cap, impact)


@njit(nogil=True)
def whole_lots(q: Quote, wanted: int) -> int:
    """The most shares up to `wanted` that one order may name; 0 below the smallest."""
    return q.lot_minimum + (wanted - q.lot_minimum) // q.lot_step * q.lot_step if wanted >= q.lot_minimum else 0
