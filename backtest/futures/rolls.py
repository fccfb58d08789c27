"""When a dominant series changed its contract, found from the basis, since its vendor doesn't say."""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from data.contracts import expiry
from data.panel import Floats

# D sessions
BEFORE, AFTER = 3, 1  # sessions about the expiry in which dominance passes on
TYPICAL = 20  # sessions that say how much a basis usually moves
QUANTILE = 0.9


@dataclass(frozen=True)
class Rolls:
    """rolled_D: the session's price is another contract's than the one before.

    jump_D: the basis's move on it in index points, of which nobody can say what a holder had; 0 elsewhere.  bound_D: how far the
    move of a position that was really rolled may have been from the index's, in points.
    """

    rolled_D: NDArray[np.bool_]
    jump_D: Floats
    bound_D: Floats

    @classmethod
    def none(cls, sessions: int) -> "Rolls":
        """Contracts that are told apart by name never change."""
        return cls(np.zeros(sessions, dtype=bool), np.zeros(sessions), np.zeros(sessions))


def inferred(settle_D: Floats, index_D: Floats, days: NDArray[np.datetime64], known: NDArray[np.datetime64]) -> Rolls:
    """One roll about every expiry: where the basis falls most within [expiry - 3, expiry + 1] sessions.

    The next contract of a market in discount lies lower, and nothing else lowers the basis every month in that week.  The week is read
    as a whole, so a roll may be known up to four sessions late: it mends the record and decides nothing.  A week that the series starts
    in is left out, one that it ends in counts as far as it goes.
    bound: the larger of |basis| the evening before (the old contract was about to give all of it up) and the 90 % quantile of the
    basis's daily moves over the last 20 sessions that weren't rolls.
    """
    basis_D = settle_D - index_D
    move_D = np.diff(basis_D, prepend=basis_D[0])
    rolled_D = np.zeros(len(days), dtype=bool)
    bound_D = np.zeros(len(days))
    start = int(np.searchsorted(known, days[0]))
    for last in _expiries(days, known):
        place = int(np.searchsorted(known, np.datetime64(last))) - start
        first, stop = place - BEFORE, min(place + AFTER + 1, len(days))
        if first < 1 or first >= stop:
            continue
        roll = first + int(np.argmin(move_D[first:stop]))
        usual = np.abs(move_D[1:roll][~rolled_D[1:roll]][-TYPICAL:])
        rolled_D[roll] = True
        bound_D[roll] = max(abs(basis_D[roll - 1]), float(np.quantile(usual, QUANTILE)) if len(usual) else 0.0)
    return Rolls(rolled_D, np.where(rolled_D, move_D, 0.0), bound_D)


def _expiries(days: NDArray[np.datetime64], known: NDArray[np.datetime64]) -> list[date]:
    """The last days of the monthly contracts that the calendar knows, from the first session's month to the last one's."""
    start, end = days[0].item(), days[-1].item()
    months = range(start.year * 12 + start.month - 1, end.year * 12 + end.month)
    ends = [expiry(month // 12, month % 12 + 1, known) for month in months]
    return [last for last in ends if start <= last <= known[-1].item()]
