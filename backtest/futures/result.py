"""What a hedged account leaves behind: equity, where each cent came from, contracts, margin, calls."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.futures.account import Trade
from backtest.futures.orders import Plan
from backtest.futures.settings import Neutral
from backtest.metrics import SESSIONS, annual_return, annual_volatility, max_drawdown, sharpe
from backtest.result import Result
from data.panel import Floats

# D sessions, C contracts
PARTS = ("alpha", "residual_beta", "basis", "dividends", "roll", "fees", "financing")
Cents = NDArray[np.int64]


@dataclass(frozen=True)
class NeutralResult:
    """A hedged account.  equity = stocks + cash + arriving at every close, and the parts sum to its change, to the cent.

    parts_D: alpha (the long book less beta x index with dividends), residual_beta (beta x index that the contracts didn't offset, or
    offset too much), basis (the contracts less the index), dividends (of the index, which the long book earns and the basis pays for),
    roll (what the spread between two contracts did between the deal and the settlement of a roll), fees (exchange, broker, slippage,
    delivery, transfers), financing (interest).
    cash is the margin account's, margin the part of it that is held back; arriving is what the long book sold for it and can't be
    withdrawn before the next session.  asked is what the long book is told to raise, transferred what it then did (+) or got (-).
    """

    dates: tuple[date, ...]
    contracts: tuple[str, ...]
    capital: int  # cents at the start
    stocks_cents_D: Cents
    cash_cents_D: Cents
    arriving_cents_D: Cents
    margin_cents_D: Cents
    call_cents_D: Cents
    asked_cents_D: Cents
    transferred_cents_D: Cents
    position_DC: Cents
    exposed_cents_D: Cents  # of the index, short
    parts_D: Mapping[str, Cents]
    beta_D: Floats
    ledger: tuple[Trade, ...]
    excluded_cents_D: Cents  # the basis's move on inferred rolls, which is in no part
    bound_cents_D: Cents  # how far what a rolled position really earned there may lie from what is booked
    plan: Plan  # of the last evening, for the session after it
    expiry: tuple[date | None, ...]  # of each contract
    remarks: tuple[str, ...]
    long: Result
    settings: Neutral

    @cached_property
    def equity_cents_D(self) -> Cents:
        """Equity at each close, cents [D]."""
        return self.stocks_cents_D + self.cash_cents_D + self.arriving_cents_D

    @property
    def equity_D(self) -> Floats:
        """Equity at each close, CNY [D]."""
        return self.equity_cents_D / 100

    @cached_property
    def returns_D(self) -> Floats:
        """Daily returns [D]; the first is over the starting capital."""
        return np.asarray(self.equity_cents_D / np.concatenate([[self.capital], self.equity_cents_D[:-1]]) - 1)

    @cached_property
    def parts(self) -> pl.DataFrame:
        """Date and one column a part, CNY; a row sums to the session's change of equity."""
        return pl.DataFrame({"date": self.dates, **{name: self.parts_D[name] / 100 for name in PARTS}})

    @cached_property
    def trades(self) -> pl.DataFrame:
        """Every futures order: date, contract, why, ordered, contracts (signed), price, amount, fee, slippage (CNY), reason.

        The price is in index points, null where the contract isn't quoted.
        """
        rows = [(self.dates[t.session], self.contracts[t.contract], *t[2:]) for t in self.ledger]
        schema = {"date": pl.Date, "contract": pl.String, "why": pl.String, "ordered": pl.Int64, "contracts": pl.Int64, "price": pl.Float64}
        frame = pl.DataFrame(rows, {**schema, "amount": pl.Int64, "fee": pl.Int64, "slippage": pl.Int64, "reason": pl.String}, orient="row")
        return frame.with_columns(pl.col("amount", "fee", "slippage") / 100, pl.col("price").fill_nan(None))

    @cached_property
    def daily(self) -> pl.DataFrame:
        """The account at each close: date, equity, return, stocks, cash, arriving, margin, call, transferred, exposed, beta, the parts; CNY."""
        books = ("stocks", "cash", "arriving", "margin", "call", "transferred", "exposed")
        money = {name: getattr(self, f"{name}_cents_D") / 100 for name in books}
        return self.parts.select(
            "date",
            pl.Series("equity", self.equity_D),
            pl.Series("return", self.returns_D),
            *(pl.Series(name, values) for name, values in money.items()),
            pl.Series("beta", self.beta_D),
            *PARTS,
        )

    def split(self) -> dict[str, float]:
        """Each part as a fraction of mean equity a year."""
        scale = float(np.mean(self.equity_D)) * len(self.dates) / SESSIONS
        return {name: float(self.parts_D[name].sum()) / 100 / scale for name in PARTS}

    def summary(self) -> dict[str, float]:
        """The figures of the account; money as fractions of mean equity, rates a year."""
        r_D = self.returns_D
        called = int(np.count_nonzero(self.call_cents_D))
        mean = float(np.mean(self.equity_D))
        return {
            "annual_return": annual_return(r_D),
            "volatility": annual_volatility(r_D),
            "sharpe": sharpe(r_D),
            "max_drawdown": max_drawdown(r_D),
            **self.split(),
            "mean_margin": float(np.mean(self.margin_cents_D / self.equity_cents_D)),
            "calls": float(called),
            "largest_call": float(self.call_cents_D.max()) / 100 / mean,
            "transfers": float(np.count_nonzero(self.transferred_cents_D)),
            "rolls_excluded": float(self.excluded_cents_D.sum()) / 100 / mean,
            "rolls_bound": float(self.bound_cents_D.sum()) / 100 / mean,
            "rolls_bound_independent": math.sqrt(float(np.sum((self.bound_cents_D / 100) ** 2))) / mean,
            "final_equity": float(self.equity_D[-1]),
            "sessions": float(len(r_D)),
        }
