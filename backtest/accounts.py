"""An account and a day of the market in plain Python, for `reference.py`."""

import math
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from backtest.costs import BUY, RATE_UNIT, SELL, Rates
from backtest.market import Market
from backtest.simulation import SimulationSettings
from data.rules import Rules

NO_FEES = (0, 0, 0, 0, 0)


@dataclass
class Parcel:
    """Shares bought on one day, and what each of them owes in millionths of a cent on each rung of the dividend tax."""

    bought: date
    shares: int
    owed: list[int] = field(default_factory=lambda: [0, 0, 0])


@dataclass
class Account:
    """Cash in cents, shares by stock, and everything that happened: (session, stock, side, ordered, shares, amount, fees, tax, reason)."""

    cash: int
    shares: dict[int, int] = field(default_factory=dict)
    parcels: dict[int, list[Parcel]] = field(default_factory=dict)
    happened: list[tuple[int, int, str, int, int, int, tuple[int, ...], int, str]] = field(default_factory=list)

    def add(self, n: int, shares: int, day: date) -> None:
        """Hold so many more."""
        if shares:
            self.shares[n] = self.shares.get(n, 0) + shares
            self.parcels.setdefault(n, []).append(Parcel(day, shares))

    def remove(self, n: int, shares: int) -> None:
        """Hold so many less, the oldest first."""
        self.shares[n] -= shares
        while shares:
            oldest = self.parcels[n][0]
            part = min(shares, oldest.shares)
            oldest.shares -= part
            shares -= part
            if not oldest.shares:
                self.parcels[n].pop(0)
        if not self.shares[n]:
            del self.shares[n]

    def tax(self, n: int, shares: int, day: date) -> int:
        """Cents of dividend tax on selling the oldest `shares` on a day."""
        total = 0
        for parcel in self.parcels.get(n, []):
            part = min(shares, parcel.shares)
            rung = 0 if day <= later(parcel.bought, 1) else 1 if day <= later(parcel.bought, 12) else 2
            total += part * parcel.owed[rung]
            shares -= part
        return (total + 500_000) // 1_000_000


@dataclass(frozen=True)
class Day:
    """What holds on one session: its position d, the settings and the dated rates (row d of each)."""

    d: int
    market: Market
    settings: SimulationSettings
    rates: Rates
    lot_minimum: Any
    lot_step: Any
    largest: Any
    impact: Any
    volume: Any
    rules: Rules

    @property
    def date(self) -> date:
        """Its day."""
        return self.market.axes.dates[self.d]

    def deal(self, n: int) -> float | None:
        """The price an order can be filled at; None while suspended."""
        price = float(self.market.deal_DN(self.settings.deal)[self.d, n])
        return price if self.market.trading_DN[self.d, n] and price > 0 else None

    def believed(self, n: int) -> float:
        """The price an order is sized at."""
        dealt = self.deal(n) if self.settings.size_at == "deal" else None
        return dealt if dealt is not None else float(self.market.reference_DN[self.d, n])

    def lot(self, n: int) -> tuple[int, int]:
        """(smallest order, step above it) in quoted shares."""
        scale, board = float(self.market.scale_DN[self.d, n]), self.market.board_N[n]
        minimum, step = int(self.lot_minimum[self.d, board]), int(self.lot_step[self.d, board])
        return (minimum, step) if scale == 1.0 else (max(1, round(minimum * scale)), max(1, round(step * scale)))

    def lots(self, n: int, wanted: int) -> int:
        """The most shares up to `wanted` in whole lots."""
        minimum, step = self.lot(n)
        return 0 if wanted < minimum else minimum + (wanted - minimum) // step * step

    def cap(self, n: int, wanted: int) -> int:
        """What of an order the day's volume can fill."""
        share = self.settings.participation
        return min(wanted, int((0.0 if math.isnan(self.volume[self.d, n]) else self.volume[self.d, n]) * share)) if share else wanted

    def fees(self, n: int, side: int, shares: int, amount: int) -> tuple[int, int, int, int, int]:
        """(commission, stamp duty, transfer fee, slippage, impact) in cents."""
        exchange, scale = self.market.exchange_N[n], float(self.market.scale_DN[self.d, n])
        transfer = part_of(amount, self.rates.transfer_DE[self.d, exchange])
        per_share = int(self.rates.per_share_DE[self.d, exchange])
        if per_share:
            transfer += max(100, part_of(round(shares / scale), per_share))
        largest = int(self.largest[self.d, self.market.board_N[n]])
        largest = largest if scale == 1.0 else max(1, round(largest * scale))
        whole = amount * largest // shares  # the amount of each order of the largest size
        pieces = [whole] * (shares // largest) + [amount - whole * (shares // largest)] * (shares % largest > 0)
        commission = sum(max(self.rates.minimum, part_of(piece, self.rates.commission_S[side])) for piece in pieces)
        impact = math.floor(amount * self.impact[self.d, n] * math.sqrt(shares) + 0.5) if self.settings.impact else 0
        return commission, part_of(amount, self.rates.stamp_DS[self.d, side]), transfer, part_of(amount, self.rates.slippage), impact

    def sale(self, n: int, shares: int, price: float) -> int:
        """Cents a sale brings after fees."""
        amount = cents(shares, price)
        return amount - sum(self.fees(n, SELL, shares, amount)) if shares else 0

    def outlay(self, n: int, shares: int, price: float) -> int:
        """Cents a purchase takes with fees."""
        amount = cents(shares, price)
        return amount + sum(self.fees(n, BUY, shares, amount)) if shares else 0

    def affordable(self, n: int, wanted: int, price: float, cash: int) -> int:
        """The largest whole-lot order up to `wanted` that the cash pays for, found by halving the number of lots."""
        minimum, step = self.lot(n)
        low, high = 0, (self.lots(n, wanted) - minimum) // step + 1 if wanted >= minimum else 0
        while low < high:
            middle = (low + high + 1) // 2
            shares = minimum + (middle - 1) * step
            if self.outlay(n, shares, price) <= cash:
                low = middle
            else:
                high = middle - 1
        return minimum + (low - 1) * step if low else 0


def later(day: date, months: int) -> date:
    """The same day of the month so many months later, or the month's last."""
    month = day.month - 1 + months
    for last in range(day.day, 0, -1):
        try:
            return date(day.year + month // 12, month % 12 + 1, last)
        except ValueError:
            continue
    raise AssertionError


def cents(shares: int, price: float) -> int:
    """Value of shares at a price in CNY, half-up to the cent."""
    return math.floor(shares * price * 100 + 0.5) if shares else 0


def part_of(amount: int, units: Any) -> int:
    """A rate in 1 / RATE_UNIT of an amount in cents, half-up."""
    return (amount * int(units) + RATE_UNIT // 2) // RATE_UNIT
