"""Dividends and splits: decided when the annual report is known, paid on an ex-date some weeks later on which the stock trades."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
UNIT = 10_000  # cash in 1e-4 CNY a share, new shares per 10,000

NEVER = np.iinfo(np.int64).max
CASH_STEP = 10  # plans are written per ten shares to the cent: 0.001 CNY a share
SPLITS = (2000, 3000, 4000, 4500, 5000, 8000, 10_000)


@dataclass(frozen=True)
class ExRights:
    """What one stock got on one session; cash, bonus and transfer in units of 1/10,000."""

    session: int
    stock: int
    cash: int
    bonus: int
    transfer: int
    announced: np.datetime64


def reference_cents(cents: Ints, cash: Ints, shares: Ints) -> Ints:
    """The ex-rights reference price: (close - cash) / (1 + new shares), half-up to the cent, at least one cent.

    cents: the last close.  cash: 1e-4 CNY a share.  shares: new shares per 10,000.  Integers throughout: exact.
    """
    top = (cents * 100 - cash) * UNIT
    bottom = (UNIT + shares) * 100
    return np.maximum((2 * top + bottom) // (2 * bottom), 1)


class Actions:
    """Plans that are announced and not yet paid.  [N] each."""

    def __init__(self, stocks: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self.due = np.full(stocks, NEVER)
        self.cash = np.zeros(stocks, dtype=np.int64)
        self.bonus = np.zeros(stocks, dtype=np.int64)
        self.transfer = np.zeros(stocks, dtype=np.int64)
        self.announced = np.zeros(stocks, dtype="datetime64[D]")
        self.payout = self.rng.uniform(0.1, 0.5, stocks)
        self.done: list[ExRights] = []

    def plan(
        self, session: int, stocks: Ints, profits: Floats, announced: NDArray[np.datetime64], cents: Ints, shares: Floats, listed: NDArray[np.bool_]
    ) -> None:
        """Decide on the dividends of stocks whose annual report became known.  profits: CNY; cents, shares and listed: [N]."""
        for stock, profit, day in zip(stocks, profits, announced, strict=True):
            wait, split, size, kind, extra = self.rng.random(5)
            cash = self.payout[stock] * (0.7 + 0.6 * extra) * profit / shares[stock] * UNIT
            cash = int(min(max(cash, 0.0), 0.06 * cents[stock] * 100)) // CASH_STEP * CASH_STEP
            grown = SPLITS[int(size * len(SPLITS))] if profit > 0 and split < (0.2 if cents[stock] > 2000 else 0.02) else 0
            if not listed[stock] or cash + grown == 0 or self.due[stock] != NEVER:
                continue
            self.due[stock] = session + 20 + int(40 * wait)
            self.cash[stock], self.announced[stock] = cash, day
            self.bonus[stock] = grown if kind < 0.2 else 0
            self.transfer[stock] = grown - self.bonus[stock]

    def pay(self, session: int, trading: NDArray[np.bool_], cents: Ints) -> tuple[Ints, Ints]:
        """(reference prices in cents, new shares per 10,000) of a session, [N]: the last close and 0 where nothing is paid."""
        reference, grown = cents.copy(), np.zeros_like(cents)
        paid = np.flatnonzero((self.due <= session) & trading)
        grown[paid] = self.bonus[paid] + self.transfer[paid]
        reference[paid] = reference_cents(cents[paid], self.cash[paid], grown[paid])
        self.done += [ExRights(session, int(n), int(self.cash[n]), int(self.bonus[n]), int(self.transfer[n]), self.announced[n]) for n in paid]
        self.due[paid] = NEVER
        return reference, grown
