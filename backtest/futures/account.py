"""The margin account: contracts traded, settled every session, margined and delivered.  Whole contracts, whole cents."""

from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtest.futures.curve import Curve
from backtest.futures.terms import Terms, charge, reserve
from data.errors import KestrelError

# D sessions, C contracts
FILLED, NOT_QUOTED, LIMIT_UP, LIMIT_DOWN, OPENING_CAP = "filled", "not_quoted", "limit_up", "limit_down", "opening_cap"
HEDGE, ROLL, CUT, EXPIRY = "hedge", "roll", "cut", "expiry"
SLACK = 0.01  # index points, so that 5399.999999 counts as 5400; a tick is 0.2


class Trade(NamedTuple):
    """One order.  contracts: signed, what was filled of `ordered`; money in cents; price in index points."""

    session: int
    contract: int
    why: str
    ordered: int
    contracts: int
    price: float
    amount: int
    fee: int
    slippage: int
    reason: str


class Settled(NamedTuple):
    """A session's money in cents.  exposed is the part of pnl that the index made, roll that of the roll trades."""

    pnl: int
    exposed: int
    roll: int
    fees: int
    interest: int


class Account:
    """Cash and positions of one margin account; `position_C` is negative where the account is short."""

    def __init__(self, curve: Curve, terms: Terms, cash: int) -> None:
        self.curve, self.terms, self.cash = curve, terms, cash
        self.position_C = [0] * len(curve.contracts)
        self.opened_C = [0] * len(curve.contracts)  # contracts opened this session and still held
        self.trades: list[Trade] = []
        self.worth = _Worth.of(curve, terms.multiplier)

    @property
    def shorts_C(self) -> list[int]:
        """Contracts short, by contract."""
        return [max(-position, 0) for position in self.position_C]

    def refusal(self, d: int, c: int, quantity: int) -> str:
        """Why an order of this sign isn't filled at the deal price of session d; FILLED where it is."""
        price = self.curve.deal_DC[d, c]
        if not np.isfinite(price):
            return NOT_QUOTED
        if quantity > 0 and price >= self.curve.limit_up_DC[d, c] - SLACK:
            return LIMIT_UP
        if quantity < 0 and price <= self.curve.limit_down_DC[d, c] + SLACK:
            return LIMIT_DOWN
        return FILLED

    def trade(self, d: int, c: int, quantity: int, why: str, *, ordered: int | None = None, reason: str = FILLED) -> None:
        """Fill `quantity` contracts (signed) at the deal price; 0 leaves a row with the reason.  Fees leave the cash at once.

        What closes a position closes contracts of the same session first, which pay their own fee.
        """
        value, held = self.worth.deal_DC[d][c], self.position_C[c]
        closing = min(abs(quantity), abs(held)) if held * quantity < 0 else 0
        today = min(closing, self.opened_C[c])
        fee = charge(today * value, self.terms.fee_close_today[d]) + charge((abs(quantity) - today) * value, self.terms.fee[d])
        slippage = charge(abs(quantity) * value, self.terms.slippage)
        self.opened_C[c] += abs(quantity) - closing - today
        self.position_C[c] += quantity
        self.cash -= fee + slippage
        price, wanted = float(self.curve.deal_DC[d, c]), quantity if ordered is None else ordered
        self.trades.append(Trade(d, c, why, wanted, quantity, price, abs(quantity) * value, fee, slippage, reason))

    def settle(self, d: int, before: Sequence[int], interest: int) -> Settled:
        """Credit the interest, mark everything to the session's settlement, and deliver what expires.

        before: positions at the last settlement.  The index part counts held contracts from close to close of the index and
        traded ones from the index at the deal; roll pairs net to nothing in it.
        """
        worth = self.worth
        self._check_quoted(d, before)
        today = list(takewhile(lambda trade: trade.session == d, reversed(self.trades)))
        held = sum(n * (worth.settle_DC[d][c] - worth.before_DC[d][c]) for c, n in enumerate(before) if n)
        rolled, hedged = (
            sum(t.contracts * (worth.settle_DC[d][t.contract] - worth.deal_DC[d][t.contract]) for t in today if (t.why == ROLL) is roll)
            for roll in (True, False)
        )
        exposed = sum(before) * (worth.index_D[d] - worth.index_before_D[d])
        exposed += sum(t.contracts for t in today) * (worth.index_D[d] - worth.index_deal_D[d])
        fees = sum(t.fee + t.slippage for t in today) + self._deliver(d)
        self.cash += held + rolled + hedged + interest
        self.opened_C = [0] * len(before)
        return Settled(held + rolled + hedged, exposed, rolled, fees, interest)

    def margin(self, d: int) -> int:
        """What the exchange and the broker hold back at the settlement of session d, in cents."""
        return sum(reserve(abs(n) * self.worth.settle_DC[d][c], self.terms.margin[d]) for c, n in enumerate(self.position_C) if n)

    def _check_quoted(self, d: int, before: Sequence[int]) -> None:
        for c, n in enumerate(before):
            if n and not np.isfinite(self.curve.before_DC[d, c] * self.curve.settle_DC[d, c]):
                found = f"futures_bars has no {self.curve.contracts[c]} on {self.curve.dates[d]}, where {abs(n)} contracts of it are held"
                raise KestrelError(f"{found}. Import the missing session.")

    def _deliver(self, d: int) -> int:
        """Close what expires at the final settlement; return the fee, which has left the cash."""
        paid = 0
        for c, n in enumerate(self.position_C):
            if n and self.curve.left_DC[d, c] == 0:
                amount = abs(n) * self.worth.settle_DC[d][c]
                fee = charge(amount, self.terms.fee_delivery[d])
                self.position_C[c] = 0
                self.cash -= fee
                paid += fee
                self.trades.append(Trade(d, c, EXPIRY, -n, -n, float(self.curve.settle_DC[d, c]), amount, fee, 0, FILLED))
        return paid


class _Worth(NamedTuple):
    """Points as cents a contract; 0 where there is no quote."""

    settle_DC: list[list[int]]
    deal_DC: list[list[int]]
    before_DC: list[list[int]]
    index_D: list[int]
    index_before_D: list[int]
    index_deal_D: list[int]

    @classmethod
    def of(cls, curve: Curve, multiplier: int) -> "_Worth":
        def cents(points: NDArray[np.float64]) -> NDArray[np.int64]:
            return np.rint(np.nan_to_num(points) * multiplier * 100).astype(np.int64)

        tables = (cents(found).tolist() for found in (curve.settle_DC, curve.deal_DC, curve.before_DC))
        series = (cents(found).tolist() for found in (curve.index_D, curve.index_before_D, curve.index_deal_D))
        return cls(*tables, *series)
