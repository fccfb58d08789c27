"""What the market and the index did over an account's sessions: all that an attribution needs beside the account."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backtest.market import Market
from backtest.result import Result
from data.errors import KestrelError
from data.panel import Floats

# D sessions of the account, N stocks


@dataclass(frozen=True)
class Backdrop:
    """The market beside an account.

    b_D: returns of the benchmark.  price_b_D: returns of the index without the dividends that the prices lack; b_D itself where prices are
    adjusted, since dividends are inside them.  returns_DN: price returns from the close before, bonus shares counted and cash dividends
    not, NaN where there is no close before.  reference_DN: the close before less all rights, CNY: what a fill is timed against.
    What follows is as of the close BEFORE each session.  weights_DN: of the index, a row adding up to 1, or NaN where nobody knows them.
    groups_DN: numbers of the names in `groups`, -1 = unknown.  styles: standardised values [D, N] by name, NaN = no value.
    """

    b_D: Floats
    price_b_D: Floats
    returns_DN: Floats
    reference_DN: Floats
    weights_DN: Floats
    groups_DN: NDArray[np.int64] | None = None
    groups: Sequence[str] = ()
    styles: Mapping[str, Floats] = field(default_factory=dict)

    def check(self, result: Result) -> None:
        """Raise KestrelError where a panel has another shape than the account."""
        shape = result.shares_DN.shape
        for name, series in (("b_D", self.b_D), ("price_b_D", self.price_b_D)):
            if series.shape != shape[:1]:
                raise KestrelError(f"{name} has {len(series)} returns, the account {shape[0]} sessions. Take both over result.dates.")
        panels: dict[str, NDArray[np.generic]] = {name: getattr(self, name) for name in ("returns_DN", "reference_DN", "weights_DN")}
        panels |= {} if self.groups_DN is None else {"groups_DN": self.groups_DN}
        panels |= self.styles
        for name, panel in panels.items():
            if panel.shape != shape:
                raise KestrelError(f"{name} has the shape {panel.shape}, the account {shape}. Lay both over the account's sessions and stocks.")


def moves(market: Market, result: Result) -> tuple[Floats, Floats]:
    """(returns_DN, reference_DN) of a Backdrop over the account's sessions.

    A stock's first session counts from its reference price, the issue price where the bars know it.
    """
    first = market.axes.index(result.dates[0])
    part, before = slice(first, first + len(result.dates)), slice(first - 1, first - 1 + len(result.dates))
    base_DN = np.where(market.last_DN[before] > 0, market.last_DN[before], market.reference_DN[part])
    grown_DN = market.last_DN[part] * (1 + market.ratio_DN[part])
    with np.errstate(invalid="ignore", divide="ignore"):
        returns_DN = np.where(base_DN > 0, grown_DN / base_DN - 1, np.nan)
    return returns_DN, (base_DN - market.cash_DN[part]) / (1 + market.ratio_DN[part])
