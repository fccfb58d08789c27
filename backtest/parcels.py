"""Shares by the day they were bought, first in first out, and the dividend tax that each parcel owes when it is sold.  Compiled.

A parcel is the ledger's row that brought its shares, so the ledger's row is its name.  The tax on a dividend depends on how long the
shares will have been held when they are sold: up to a month, up to a year, longer, by the rates in force on the record date (the
session before the ex-date).  Until the sale, what selling everything at the close would cost is accrued and lowers the equity.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from data.panel import Floats
from data.rules import Rules

# D sessions, N stocks, R ledger rows, K rungs of the ladder
RUNGS = ("to_one_month", "to_one_year", "beyond")
TAX_UNIT = 1_000_000  # tax a share is kept in millionths of a cent


class Ladder(NamedTuple):
    """The dividend tax by session; all empty where none is charged."""

    taxable_DN: Floats  # CNY a share
    rate_DK: Floats
    month_D: NDArray[np.int64]  # the last session on which a share bought on session d is held for no more than a month
    year_D: NDArray[np.int64]


class Parcels(NamedTuple):
    """Queues of parcels, one a stock; -1 ends a queue."""

    first_N: NDArray[np.int64]
    last_N: NDArray[np.int64]
    next_R: NDArray[np.int64]
    left_R: NDArray[np.int64]  # shares
    owed_RK: NDArray[np.int64]  # tax a share by rung, 1 / TAX_UNIT cents
    owing_N: NDArray[np.bool_]  # whether any parcel of the stock may owe something


def ladder(taxable_DN: Floats, days: NDArray[np.datetime64], before: np.datetime64, rules: Rules) -> Ladder:
    """The ladder over `days` [D]; `before` is the session before the first."""
    records = np.concatenate([[before], days[:-1]])
    rate_DK = np.stack([rules.over("dividend_tax", rung, records) for rung in RUNGS], axis=1)
    month_D, year_D = (np.searchsorted(days, _anniversaries(days, months), side="right") - 1 for months in (1, 12))
    return Ladder(taxable_DN, np.nan_to_num(rate_DK), month_D, year_D)


def no_ladder() -> Ladder:
    """No dividend tax."""
    none = np.zeros(0, np.int64)
    return Ladder(np.zeros((0, 0)), np.zeros((0, len(RUNGS))), none, none)


def blank_parcels(stocks: int, rows: int) -> Parcels:
    """Empty queues with room for as many parcels as the ledger has rows."""
    first_N, last_N, next_R = np.full(stocks, -1, np.int64), np.full(stocks, -1, np.int64), np.full(rows, -1, np.int64)
    return Parcels(first_N, last_N, next_R, np.zeros(rows, np.int64), np.zeros((rows, len(RUNGS)), np.int64), np.zeros(stocks, np.bool_))


def doubled(parcels: Parcels) -> Parcels:
    """The same queues with twice the room."""
    more = blank_parcels(0, len(parcels.next_R))
    return parcels._replace(
        next_R=np.concatenate([parcels.next_R, more.next_R]),
        left_R=np.concatenate([parcels.left_R, more.left_R]),
        owed_RK=np.concatenate([parcels.owed_RK, more.owed_RK]),
    )


def _anniversaries(days: NDArray[np.datetime64], months: int) -> NDArray[np.datetime64]:
    """The same day of the month so many months later, or the month's last where it has none."""
    month = days.astype("datetime64[M]")
    later = (month + months).astype("datetime64[D]") + (days - month.astype("datetime64[D]"))
    return np.minimum(later, (month + months + 1).astype("datetime64[D]") - 1)


@njit(nogil=True)
def take(parcels: Parcels, n: int, row: int, shares: int) -> None:
    """Put the shares that ledger row `row` brought at the end of the stock's queue."""
    if len(parcels.left_R) == 0 or shares == 0:
        return
    parcels.left_R[row] = shares
    if parcels.first_N[n] < 0:
        parcels.first_N[n] = row
    if row < 0:
        parcels.owing_N[n] = False
    else:
        parcels.next_R[parcels.last_N[n]] = row
    parcels.last_N[n] = row


@njit(nogil=True)
def entitle(parcels: Parcels, law: Ladder, s: int, n: int) -> None:
    """Note on every parcel of the stock what the dividend of session s will cost it, rung by rung."""
    row = parcels.first_N[n]
    parcels.owing_N[n] = True
    while row >= 0:
        for k in range(law.rate_DK.shape[1]):
            parcels.owed_RK[row, k] += int(np.rint(law.taxable_DN[s, n] * law.rate_DK[s, k] * 100 * TAX_UNIT))
        row = parcels.next_R[row]


@njit(nogil=True)
def rung(law: Ladder, bought: int, s: int) -> int:
    """The rung on which a share bought on one session and sold on session s stands."""
    if s <= law.month_D[bought]:
        return 0
    return 1 if s <= law.year_D[bought] else 2


@njit(nogil=True)
def owed(parcels: Parcels, law: Ladder, ledger: NDArray[np.void], s: int, n: int, shares: int) -> int:
    """Cents of tax on selling the oldest `shares` of a stock on session s, half-up."""
    if not parcels.owing_N[n]:
        return 0
    total, left, row = 0, shares, parcels.first_N[n]
    while row >= 0 and left > 0:
        part = min(left, parcels.left_R[row])
        total += part * parcels.owed_RK[row, rung(law, ledger[row]["session"], s)]
        left -= part
        row = parcels.next_R[row]
    return (total + TAX_UNIT // 2) // TAX_UNIT


@njit(nogil=True)
def release(parcels: Parcels, n: int, shares: int) -> None:
    """Take the oldest `shares` of a stock out of its queue."""
    if len(parcels.left_R) == 0:
        return
    left, row = shares, parcels.first_N[n]
    while row >= 0 and left > 0:
        part = min(left, parcels.left_R[row])
        parcels.left_R[row] -= part
        left -= part
        if parcels.left_R[row] == 0:
            row = parcels.next_R[row]
    parcels.first_N[n] = row
    if row < 0:
        parcels.owing_N[n] = False
