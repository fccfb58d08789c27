"""The labels: the one file that looks ahead.

A row dated d is known at the close of d and bought `delay` sessions later, so its label over h sessions is
price[d + delay + h] / price[d + delay] - 1.  Dims: D sessions, N stocks, H horizons.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from data.panel import Floats
from factors.ranks import grades, rank_gauss, rank_rows, z_score
from models.dataset import Bools, Floats32

Entry = Literal["open", "close", "vwap"]
Dress = Literal["z_score", "rank_gauss", "grades"]

# What `labels` reads of the bars, as panels.
COLUMNS = ("open", "high", "low", "close", "volume", "amount", "adj", "limit_up", "is_trading")
# Half a tick in CNY, and where an adjusted price is far below the traded one, the rounding its vendor left: the same as the fills of a backtest.
TICK_SLACK = 0.005
ADJUSTED_SLACK = 1e-4


class LabelSettings(BaseModel):
    """Which future a model is taught."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    horizons: Annotated[tuple[PositiveInt, ...], Field(strict=False, min_length=1)] = (1, 5)  # sessions held
    entry: Entry = "open"
    delay: PositiveInt = 1  # sessions from the close that is known to the trade
    excess: bool = True  # less the mean of the universe

    @property
    def reach(self) -> int:
        """Sessions after d that the longest label reads: what a purge must cover."""
        return self.delay + max(self.horizons)


def labels(panels: Mapping[str, Floats], present_DN: Bools, settings: LabelSettings, *, price_basis: str) -> tuple[Floats32, Bools]:
    """(y_DNH, entry_DN) out of panels of the bars' COLUMNS: returns from the entry, and where a buy there is possible."""
    y_DNH = forward_returns(prices(panels, settings.entry, price_basis=price_basis), settings.horizons, settings.delay)
    if settings.excess:
        y_DNH = excess(y_DNH, present_DN)
    # Bought over a whole session, only a stock locked at its limit all day is out of reach.
    asked = panels["low" if settings.entry == "vwap" else settings.entry]
    return y_DNH, tradable_entry(panels["is_trading"] == 1.0, asked, panels["limit_up"], settings.delay)


def prices(panels: Mapping[str, Floats], entry: Entry, *, price_basis: str) -> Floats:
    """Adjusted prices [D, N] at which an entry of that kind deals.

    The VWAP is amount / volume where prices are raw and something traded; of adjusted prices it is (high + low + 2 close) / 4,
    because amount / volume / close would know later splits.
    """
    if entry != "vwap":
        return panels[entry] * panels["adj"]
    middle = (panels["high"] + panels["low"] + 2 * panels["close"]) / 4
    if price_basis == "adjusted":
        return middle * panels["adj"]
    traded = panels["volume"] > 0
    vwap = np.divide(panels["amount"], panels["volume"], out=middle, where=traded)
    return vwap * panels["adj"]


def forward_returns(prices_DN: Floats, horizons: tuple[int, ...], delay: int) -> Floats32:
    """p[d + delay + h] / p[d + delay] - 1 as [D, N, H]; NaN beyond the axes and where the stock isn't listed.

    A suspended stock keeps its last price (see carry_forward).  With closes, delay 1 and h 1 this is Qlib's close[t+2]/close[t+1] - 1.
    """
    carried = carry_forward(np.where(prices_DN > 0, prices_DN, np.nan))
    sessions, stocks = carried.shape
    y_DNH = np.full((sessions, stocks, len(horizons)), np.nan, dtype=np.float32)
    for place, horizon in enumerate(horizons):
        known = sessions - delay - horizon
        if known > 0:
            y_DNH[:known, :, place] = carried[delay + horizon :] / carried[delay : delay + known] - 1
    return y_DNH


def carry_forward(prices_DN: Floats) -> Floats:
    """Prices with every gap between a stock's first and last price filled by the price before it."""
    known = np.isfinite(prices_DN)
    sessions = np.arange(len(prices_DN))[:, None]
    latest = np.maximum.accumulate(np.where(known, sessions, -1), axis=0)
    listed = (latest >= 0) & (np.maximum.accumulate(known[::-1], axis=0)[::-1])
    return np.where(listed, np.take_along_axis(prices_DN, np.maximum(latest, 0), axis=0), np.nan)


def tradable_entry(trading_DN: Bools, price_DN: Floats, limit_up_DN: Floats, delay: int) -> Bools:
    """Where a buy `delay` sessions after d is possible: the stock trades and isn't at its upper limit (NaN = no limit).  [D, N]

    price_DN and limit_up_DN are on the same basis.  False where that session lies beyond the axes.
    """
    limit = np.where(np.isfinite(limit_up_DN), limit_up_DN, np.inf)
    open_DN = trading_DN & (price_DN <= limit - np.minimum(TICK_SLACK, limit * ADJUSTED_SLACK))
    entry_DN = np.zeros(open_DN.shape, dtype=bool)
    entry_DN[:-delay] = open_DN[delay:]
    return entry_DN


def excess(y_DNH: Floats32, present_DN: Bools) -> Floats32:
    """Labels less their mean over the stocks present in that session; NaN where nobody present has one."""
    counted = np.isfinite(y_DNH) & present_DN[..., None]
    total = np.sum(y_DNH, axis=1, where=counted, keepdims=True, dtype=np.float64)
    count = counted.sum(axis=1, keepdims=True)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return (y_DNH - mean).astype(np.float32)


def dress(y_SN: NDArray[np.floating], how: Dress, *, levels: int = 32) -> Floats32:
    """Labels as a loss wants them, session by session over the finite ones: z-scores, Gaussian ranks, or grades 0 … levels-1."""
    if how == "grades":
        return grades(y_SN, levels).astype(np.float32)
    return (z_score(y_SN) if how == "z_score" else rank_gauss(y_SN)).astype(np.float32)


def drop_extremes(y_SN: Floats32, share: float) -> Floats32:
    """Labels without the `share` most extreme of each side of each session (NaN there).  For training only, never for judging."""
    if share == 0:
        return y_SN
    ranks_SN = rank_rows(y_SN)
    count = np.isfinite(ranks_SN).sum(axis=1, keepdims=True)
    cut = np.floor(count * share)
    inside = (ranks_SN > cut) & (ranks_SN <= count - cut)
    return np.where(inside, y_SN, np.float32(np.nan))
