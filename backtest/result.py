"""What a simulation leaves behind: the account at every close, every order with its reason, every cost by kind."""

import json
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel

from backtest.costs import BUY, SELL
from backtest.fills import REASONS, SIDES
from data.panel import Floats

# D sessions, N stocks
COSTS = ("commission", "stamp_duty", "transfer_fee", "slippage", "impact", "dividend_tax")
QUEUED = {
    "score": "by rank, the best name first, until the cash ends",
    "symbol": "by symbol until the cash ends",
    "largest": "the largest order first, until the cash ends",
    "pro_rata": "cut in the same proportion to the cash there is",
}


@dataclass(frozen=True)
class Result:
    """A simulated account.  Money is kept in whole cents; the properties without `cents` in the name are CNY."""

    dates: tuple[date, ...]
    symbols: tuple[str, ...]
    capital: int  # cents at the start
    nav_cents_D: NDArray[np.int64]
    cash_cents_D: NDArray[np.int64]
    owed_cents_D: NDArray[np.int64]  # dividend tax accrued at the close, charged when the shares are sold; nav = cash + positions - owed
    shares_DN: NDArray[np.int64]  # at the close
    price_DN: Floats  # what a share was valued at
    ledger: NDArray[np.void]  # fills.LEDGER, in the order in which things happened
    price_basis: str
    strategy: BaseModel
    costs: BaseModel
    settings: BaseModel

    @property
    def nav_D(self) -> Floats:
        """Equity at each close, CNY [D]."""
        return self.nav_cents_D / 100

    @cached_property
    def positions_cents_D(self) -> NDArray[np.int64]:
        """What the shares are worth at each close, each stock half-up to the cent [D]: nav = cash + positions - owed."""
        value_DN = np.where(self.shares_DN > 0, self.shares_DN * np.nan_to_num(self.price_DN) * 100, 0.0)
        return np.asarray(np.floor(value_DN + 0.5).sum(axis=1).astype(np.int64))

    @property
    def cash_D(self) -> Floats:
        """Cash at each close, CNY [D]."""
        return self.cash_cents_D / 100

    @cached_property
    def returns_D(self) -> Floats:
        """Daily returns [D]; the first is over the starting capital."""
        return np.asarray(self.nav_cents_D / np.concatenate([[self.capital], self.nav_cents_D[:-1]]) - 1)

    @cached_property
    def trades(self) -> pl.DataFrame:
        """Every order in the order of trading: date, symbol, side, ordered, shares, price, amount, the costs (CNY), status, reason.

        status is filled, partial or unfilled; reason is null where all was filled.  Slippage is a cost beside the price.
        """
        rows = self.ledger[self.ledger["side"] <= BUY]
        unfilled = pl.when(pl.col("shares") > 0).then(pl.lit("partial")).otherwise(pl.lit("unfilled"))
        status = pl.when(pl.col("reason").is_null()).then(pl.lit("filled")).otherwise(unfilled)
        frame = self._frame(rows, ["ordered", "shares", "price", "amount", *COSTS])
        reason = pl.Series([None, *REASONS[1:]], dtype=pl.String).gather(rows["reason"])
        return frame.with_columns(reason.alias("reason")).with_columns(status.alias("status"))

    @cached_property
    def events(self) -> pl.DataFrame:
        """Dividends, bonus shares and delistings: date, symbol, event, held, shares, price (per share), amount, dividend_tax (CNY)."""
        rows = self.ledger[self.ledger["side"] > BUY]
        return self._frame(rows, ["ordered", "shares", "price", "amount", "dividend_tax"]).rename({"ordered": "held", "side": "event"})

    def _frame(self, rows: NDArray[np.void], columns: list[str]) -> pl.DataFrame:
        days = pl.Series(np.array(self.dates, dtype="datetime64[D]")[rows["session"]]).cast(pl.Date)
        symbols = pl.Series(self.symbols, dtype=pl.String).gather(rows["stock"])
        sides = pl.Series(SIDES, dtype=pl.String).gather(rows["side"])
        money = {"amount", *COSTS}
        values = {name: np.ascontiguousarray(rows[name]) / 100 if name in money else np.ascontiguousarray(rows[name]) for name in columns}
        return pl.DataFrame({"date": days, "symbol": symbols, "side": sides, **values})

    @cached_property
    def _happened(self) -> dict[int, tuple[NDArray[np.int64], NDArray[np.intp]]]:
        """(sessions, rows of the ledger) of each side."""
        sides, sessions = np.ascontiguousarray(self.ledger["side"]), np.ascontiguousarray(self.ledger["session"])
        rows = {side: np.flatnonzero(sides == side) for side in range(len(SIDES))}
        return {side: (sessions[own], own) for side, own in rows.items()}

    def _per_session(self, field: str, side: int) -> Floats:
        """One money field of one side of the ledger summed by session, CNY [D]."""
        sessions, rows = self._happened[side]
        return np.bincount(sessions, weights=self.ledger[field][rows], minlength=len(self.dates)) / 100

    @cached_property
    def costs_D(self) -> dict[str, Floats]:
        """Each cost by session: {name of COSTS: [D] CNY}; the dividend tax as it accrues, so not only what was charged at sales."""
        accrued = np.diff(self.owed_cents_D, prepend=0) / 100
        charged = np.bincount(self.ledger["session"], weights=self.ledger["dividend_tax"], minlength=len(self.dates)) / 100
        paid = {name: self._per_session(name, SELL) + self._per_session(name, BUY) for name in COSTS[:-1]}
        return paid | {"dividend_tax": charged + accrued}

    @cached_property
    def dividends_D(self) -> Floats:
        """Cash dividends by ex-date, CNY before tax [D]."""
        return self._per_session("amount", SIDES.index("dividend"))

    @cached_property
    def turnover_D(self) -> Floats:
        """(bought + sold) / 2 over the equity of the close before, [D]."""
        traded = self._per_session("amount", SELL) + self._per_session("amount", BUY)
        return traded / 2 / (np.concatenate([[self.capital], self.nav_cents_D[:-1]]) / 100)

    @cached_property
    def holdings_D(self) -> NDArray[np.int64]:
        """Number of names held at each close [D]."""
        return np.asarray(np.count_nonzero(self.shares_DN, axis=1))

    def positions(self) -> dict[str, int]:
        """Shares by symbol at the last close."""
        return {self.symbols[n]: int(self.shares_DN[-1, n]) for n in np.flatnonzero(self.shares_DN[-1])}

    def policies(self) -> dict[str, str]:
        """What was assumed, in words: for the head of a report."""
        settings: dict[str, Any] = json.loads(self.settings.model_dump_json())
        adjusted = self.price_basis == "adjusted"
        sized = "the price known before the open" if settings["size_at"] == "reference" else "the deal price"
        slices = f", at most {settings['participation']:.0%} of a stock's volume of the day" if settings["participation"] else ""
        tax = "taxed at the sale by the ladder of the date, accrued until then" if settings["dividend_tax"] else "before tax"
        return {
            "signal": f"the close of t, traded on t + 1 at the {settings['deal']}, orders sized at {sized}{slices}",
            "dividends": "inside the adjusted prices, not credited again" if adjusted else f"cash and shares credited on the ex-date, {tax}",
            "impact": f"{settings['impact']:.3g} x daily volatility x sqrt(shares / daily volume)" if settings["impact"] else "none",
            "limits": ("of board, ST flag and date" + (", scaled to or estimated from adjusted prices" if adjusted else ""))
            if settings["limits"]
            else "switched off",
            "lots": ("of the board, scaled to the adjusted price" if adjusted else "of the board") if settings["lots"] else "switched off",
            "cash": f"sells first; buys {QUEUED[settings['buys']]}",
            "suspended": "no trade, valued at the last close less the rights detached since",
            "delisted": "paid out at the last close" if settings["delisted"] == "last_close" else "written off",
        }
