"""Limits that cut a book's gross or its distance from the index by rule, from what is known in the evening."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from backtest.earnings import earned
from backtest.exposures import active_style, standardised
from backtest.market import Market
from backtest.metrics import SESSIONS
from backtest.targets import Evening, Weigher
from data.errors import KestrelError
from data.panel import Floats

# D sessions, N stocks, W sessions of the window
LIMIT_SLACK = 1e-4  # of a price: adjusted prices miss their limit by rounding


class Guard(BaseModel):
    """Limits, and what a breach of each cuts.  A measure twice its limit cuts to a half, and nothing cuts below `least`.

    Gross (the sum of weights; what is cut is cash): `volatility` of the index a year, and `limit_down`, the part of the index's
    members that closed at their lower limit, which is how much of a book may not be sold tomorrow.
    Active weights (drawn towards the index's): `tracking` error a year of the wanted book over the last `window` sessions, `exposure`
    to any style in deviations of the members, and `crowding`, the mean correlation of the names' returns above the index.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    window: int = Field(default=20, ge=5)
    volatility: float = Field(default=0.45, gt=0)
    limit_down: float = Field(default=0.10, gt=0, le=1)
    tracking: float = Field(default=0.08, gt=0)
    exposure: float = Field(default=1.0, gt=0)
    crowding: float = Field(default=0.15, gt=0, le=1)
    least: float = Field(default=0.3, ge=0, le=1)


BEFORE = -1  # the place in `cuts` of an evening that another guard lived through
GROSS, ACTIVE = ("volatility", "limit_down"), ("tracking", "exposure", "crowding")


class Sight(NamedTuple):
    """What the guard looks at, over the market's axes.

    index_D: the index's return of each session; member_DN: its weights at each close, 0 or NaN outside; styles: raw values by name,
    known at the close.
    """

    market: Market
    index_D: Floats
    member_DN: Floats
    styles: Mapping[str, Floats] = {}


class Reading(NamedTuple):
    """The measures of one evening; NaN where a measure can't be taken, which cuts nothing."""

    volatility: float
    limit_down: float
    tracking: float
    exposure: float
    crowding: float


class Cut(NamedTuple):
    """What is left of the gross and of the active weights, and why: 'volatility 0.61 > 0.45'."""

    gross: float
    active: float
    reasons: tuple[str, ...]


def cut(reading: Reading, guard: Guard) -> Cut:
    """The cut of a reading: the tightest of the limits of each kind."""
    left, reasons = {"gross": 1.0, "active": 1.0}, []
    for kind, names in (("gross", GROSS), ("active", ACTIVE)):
        for name in names:
            measure, limit = getattr(reading, name), getattr(guard, name)
            if measure > limit:  # NaN is not
                left[kind] = min(left[kind], max(limit / measure, guard.least))
                reasons.append(f"{name} {measure:.3g} > {limit:.3g}")
    return Cut(left["gross"], left["active"], tuple(reasons))


def read(session: int, weight_N: Floats, sight: Sight, guard: Guard) -> Reading:
    """The measures of a book that is wanted in the evening of `session`; nothing later is looked at."""
    first = session - guard.window + 1
    b_N = _index_weights(sight, session)
    unknown = Reading(*[float("nan")] * 5)
    if first < 1 or not weight_N.any():
        return unknown
    index_W = sight.index_D[first : session + 1]
    r_WN = np.array([earned(sight.market, d) for d in range(first, session + 1)])
    active_W = r_WN @ weight_N - weight_N.sum() * index_W
    return Reading(
        volatility=_annual(index_W),
        limit_down=_limit_down(sight.market, session, b_N),
        tracking=_annual(active_W),
        exposure=max((abs(found) for found in exposures(session, weight_N, b_N, sight.styles).values()), default=float("nan")),
        crowding=crowding(r_WN - index_W[:, None], weight_N),
    )


def crowding(excess_WN: Floats, weight_N: Floats) -> float:
    """Mean correlation of the held names' excess returns over the window, weighted by w_i w_j; NaN below two that move.

    From the variance of the weighted sum of standardised returns: (var - sum w^2) / (1 - sum w^2) with weights summing to 1.
    """
    spread_N = excess_WN.std(axis=0)
    moves_N = (weight_N > 0) & (spread_N > 0)
    if np.count_nonzero(moves_N) < 2:
        return float("nan")
    w_N = weight_N[moves_N] / weight_N[moves_N].sum()
    z_WN = (excess_WN[:, moves_N] - excess_WN[:, moves_N].mean(axis=0)) / spread_N[moves_N]
    own = float((w_N**2).sum())
    return (float((z_WN @ w_N).var()) - own) / (1 - own)


def exposures(session: int, weight_N: Floats, b_N: Floats, styles: Mapping[str, Floats]) -> dict[str, float]:
    """Active exposure to each style in deviations of the index's members, at the session's close."""
    row = slice(session, session + 1)
    found = {name: active_style(weight_N[None], b_N[None], standardised(x_DN[row], b_N[None] > 0))[0] for name, x_DN in styles.items()}
    return {name: float(values[0]) for name, values in found.items() if np.isfinite(values[0])}


def applied(weight_N: Floats, b_N: Floats, found: Cut) -> Floats:
    """The weights after a cut: drawn towards the index at the same gross, then the gross cut.  b_N sums to 1; all 0 where unknown."""
    drawn_N = weight_N
    if found.active < 1 and b_N.any():
        drawn_N = found.active * weight_N + (1 - found.active) * weight_N.sum() * b_N
    return np.asarray(found.gross * drawn_N)


@dataclass
class Guarded:
    """A weigher within limits.  `cuts` keeps every evening's reading and cut by session."""

    weigher: Weigher
    sight: Sight
    guard: Guard = field(default_factory=Guard)
    cuts: dict[int, tuple[Reading, Cut]] = field(default_factory=dict)
    wanted_N: Floats | None = None

    def __call__(self, evening: Evening) -> Floats | None:
        """The weigher's weights after the evening's cut; its last ones where it leaves the book alone but the cut has changed."""
        fresh = self.weigher(evening)
        before = next(reversed(self.cuts.values()))[1] if self.cuts else Cut(1.0, 1.0, ())
        self.wanted_N = self.wanted_N if fresh is None else fresh
        if self.wanted_N is None:
            return None
        reading = read(evening.session, self.wanted_N, self.sight, self.guard)
        found = cut(reading, self.guard)
        self.cuts[evening.session] = (reading, found)
        if fresh is None and found[:2] == before[:2]:
            return None
        return applied(self.wanted_N, _index_weights(self.sight, evening.session), found)

    def memory(self) -> dict[str, Any]:
        """What this evening leaves to the next, as plain values that JSON keeps to the last bit; see `recall`."""
        symbols, wanted_N = self.sight.market.axes.symbols, self.wanted_N
        wanted = None if wanted_N is None else {symbols[n]: float(wanted_N[n]) for n in np.flatnonzero(wanted_N)}
        left = next(reversed(self.cuts.values()))[1] if self.cuts else None
        return {"wanted": wanted, "cut": None if left is None else [left.gross, left.active]}

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Go on from another guard's memory."""
        axes = self.sight.market.axes
        if memory["wanted"] is not None:
            place = {name: n for n, name in enumerate(axes.symbols)}
            self.wanted_N = np.zeros(len(axes.symbols))
            for name, weight in memory["wanted"].items():
                self.wanted_N[place[name]] = weight
        if memory["cut"] is not None:
            gross, active = memory["cut"]
            self.cuts[BEFORE] = (Reading(*[float("nan")] * 5), Cut(gross, active, ()))


def replay(weight_DN: Floats, sight: Sight, guard: Guard, start: date, end: date) -> pl.DataFrame:
    """What the guard would have done to books held at each close of start..end: date, the measures, gross, active, reasons.

    weight_DN: [D, N] over the market's axes.  Raises KestrelError where no session lies inside.
    """
    axes = sight.market.axes
    sessions = range(axes.index(start), int(np.searchsorted(axes.days, np.datetime64(end), side="right")))
    if not sessions:
        raise KestrelError(f"No session from {start} to {end}: the market runs {axes.dates[0]}..{axes.dates[-1]}.")
    readings = {d: read(d, weight_DN[d], sight, guard) for d in sessions}
    return told({d: (reading, cut(reading, guard)) for d, reading in readings.items()}, axes.dates)


def told(cuts: Mapping[int, tuple[Reading, Cut]], dates: Sequence[date]) -> pl.DataFrame:
    """Readings and cuts by session as a table: date, the measures (null where one can't be taken), gross, active, reasons."""
    rows = [(dates[d], *reading, found.gross, found.active, "; ".join(found.reasons)) for d, (reading, found) in cuts.items()]
    numbers = dict.fromkeys((*Reading._fields, "gross", "active"), pl.Float64)
    frame = pl.DataFrame(rows, {"date": pl.Date, **numbers, "reasons": pl.String}, orient="row")
    return frame.with_columns(pl.col(*Reading._fields).fill_nan(None))


def _index_weights(sight: Sight, session: int) -> Floats:
    """The members' weights, summing to 1; all 0 where nobody knows them."""
    b_N = np.nan_to_num(sight.member_DN[session])
    return np.asarray(b_N / b_N.sum()) if b_N.sum() > 0 else b_N


def _limit_down(market: Market, session: int, b_N: Floats) -> float:
    """The part of the members (of all that trade, where they are unknown) that closed at the lower limit."""
    trading_N = market.trading_DN[session] & ((b_N > 0) if b_N.any() else True)
    locked_N = trading_N & at_limit_down(market, session)
    return float(locked_N.sum() / trading_N.sum()) if trading_N.any() else float("nan")


def at_limit_down(market: Market, session: int) -> NDArray[np.bool_]:
    """Which stocks closed at their lower limit, [N] bool."""
    return np.asarray(market.close_DN[session] <= market.limit_down_DN[session] * (1 + LIMIT_SLACK))


def _annual(r_W: Floats) -> float:
    return float(np.std(r_W, ddof=1) * np.sqrt(SESSIONS))
