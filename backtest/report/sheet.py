"""Everything that one report shows, put together before a line of it is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from backtest.attribution.parts import Attribution
from backtest.construction import Trail
from backtest.exposures import Exposures
from backtest.futures.result import NeutralResult
from backtest.orders import ORDERS
from backtest.report.labels import Lang
from backtest.result import Result
from data.errors import KestrelError
from data.panel import Floats


@dataclass(frozen=True)
class Signals:
    """What is known of the scores themselves; every part may be missing.

    rank_ic_D [D] belongs to `dates`, of returns over `horizon` sessions.  decay: mean RankIC by horizon in sessions.  quantiles:
    mean excess return a year, worst first.
    """

    dates: tuple[date, ...] = ()
    rank_ic_D: Floats = field(default_factory=lambda: np.empty(0))
    decay: Mapping[int, float] = field(default_factory=dict)
    quantiles: Sequence[float] = ()
    horizon: int = 5


@dataclass(frozen=True)
class Comparison:
    """What the account is measured against: daily returns [D] over the result's sessions.  `price_D` is the index without dividends."""

    name: str
    b_D: Floats
    price_D: Floats | None = None
    tracking_target: float | None = 0.05


@dataclass(frozen=True)
class Outlook:
    """The orders of the session after the result's last, columns ORDERS; `note` says why there are none, or what they rest on."""

    session: date | None = None
    orders: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=ORDERS))
    note: str = ""


@dataclass(frozen=True)
class Sheet:
    """A tear sheet.  facts: what else a reader must know (model, table versions, evaluations), as text.  names: of stocks.

    capacity: accounts that start with more and less, columns cash, excess_geometric, cost, mean_cash.  trail: what the making of the book
    left behind.  broken: of the covenant (see covenant.breaches); None where nothing was promised.  shocks: see stress.shocked.  hedged: the account
    that is short of futures beside this long book; it is then the page's first subject, and its benchmark is cash.  window: sessions of the rolling
    figures.  lang: of the labels; facts, remarks and names stay as they are.  Raises KestrelError where a series has another length than the result.
    """

    title: str
    result: Result
    comparison: Comparison
    facts: Mapping[str, str] = field(default_factory=dict)
    signals: Signals = field(default_factory=Signals)
    exposures: Exposures | None = None
    outlook: Outlook | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    attribution: Attribution | None = None
    capacity: pl.DataFrame | None = None
    trail: Trail = field(default_factory=Trail)
    broken: pl.DataFrame | None = None
    shocks: pl.DataFrame | None = None
    hedged: NeutralResult | None = None
    window: int = 60
    lang: Lang = "en"

    def __post_init__(self) -> None:
        """Check the lengths."""
        sessions = len(self.result.dates)
        for label, series in (("the benchmark", self.comparison.b_D), ("its price index", self.comparison.price_D)):
            if series is not None and len(series) != sessions:
                raise KestrelError(f"{label} has {len(series)} returns, the result {sessions} sessions. Take both over result.dates.")
        for name, part in (("exposures", self.exposures), ("attribution's parts", self.attribution), ("hedged account's books", self.hedged)):
            if part is not None and part.dates != self.result.dates:
                raise KestrelError(f"The {name} have {len(part.dates)} sessions, the result {sessions}. Take both over result.dates.")

    def stock(self, symbol: str) -> str:
        """A symbol with its name, where there is one."""
        return f"{symbol} {self.names.get(symbol, '')}".strip()
