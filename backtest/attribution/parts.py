"""The parts of an account's excess: whole cents by session, and their links over any period."""

from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.panel import Floats

# D sessions, P parts
KINDS = ("selection", "industry", "style", "timing", "unfilled", "cash", "dividends", "index_gap", "cost")


@dataclass(frozen=True)
class Attribution:
    """Parts that add up to the excess of each session, to the cent.

    parts: (kind, name) of each column, kinds as in KINDS; only industry, style, timing and cost have names.  nav_before_D: the equity that
    a session started with.  excess_D: P&L of the session less what the benchmark would have made of that equity, rounded half up.
    after_D: what the session's fills made from the deal price to the close, which lies inside the other parts.  unknown: sessions whose
    index members nobody knew: there selection is all that the stocks made.
    """

    dates: tuple[date, ...]
    parts: tuple[tuple[str, str], ...]
    cents_DP: NDArray[np.int64]
    nav_before_D: NDArray[np.int64]
    change_D: NDArray[np.int64]
    excess_D: NDArray[np.int64]
    after_D: NDArray[np.int64]
    unknown: int = 0

    @cached_property
    def kinds(self) -> "Attribution":
        """The same with one part a kind."""
        columns = [[place for place, (kind, _) in enumerate(self.parts) if kind == one] for one in KINDS]
        cents_DP = np.stack([self.cents_DP[:, places].sum(axis=1) for places in columns], axis=1)
        parts = tuple((kind, "") for kind in KINDS)
        return Attribution(self.dates, parts, cents_DP, self.nav_before_D, self.change_D, self.excess_D, self.after_D, self.unknown)

    def frame(self) -> pl.DataFrame:
        """date, kind, name, value (CNY), sorted; rows of a date add up to its excess."""
        sessions, count = self.cents_DP.shape
        kinds, names = zip(*self.parts, strict=True)
        columns = {"date": np.repeat(np.array(self.dates, dtype="datetime64[D]"), count), "value": self.cents_DP.ravel() / 100}
        frame = pl.DataFrame(columns).with_columns(pl.col("date").cast(pl.Date))
        return frame.select("date", pl.Series("kind", kinds * sessions), pl.Series("name", names * sessions), "value")


def linked(found: Attribution, sessions: slice | None = None) -> Floats:
    """The parts of the geometric excess over some sessions (all by default), [P]: they add up to (1 + account) / (1 + benchmark) - 1."""
    return np.asarray(links(found, sessions).sum(axis=0))


def links(found: Attribution, sessions: slice | None = None) -> Floats:
    """What each session adds to the linked parts, [D, P].

    A part, as a fraction of the equity before, counts k_t / K times, k_t = [ln(1 + r_t) - ln(1 + b_t)] / (r_t - b_t) and K = ln(1 + G) / G
    of the whole period's geometric excess G.  That is Carino (1999, Combining attribution effects over time), whose logarithms add up to
    ln(1 + G) as they stand, with G where he puts the arithmetic difference.  b_t is the benchmark's return to the cent, so that G is the
    compounded one but for fractions of a cent a session.
    """
    part = sessions or slice(None)
    before_D = found.nav_before_D[part].astype(np.float64)
    excess_D = found.excess_D[part] / before_D
    k_D = _slope(1 + found.change_D[part] / before_D - excess_D, excess_D)
    log_growth = float((k_D * excess_D).sum())
    whole = float(np.expm1(log_growth)) / log_growth if log_growth else 1.0
    return np.asarray(found.cents_DP[part] * (k_D * whole / before_D)[:, None])


def _slope(growth_D: Floats, step_D: Floats) -> Floats:
    """[ln(growth + step) - ln(growth)] / step; its limit 1 / growth where step is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio_D = step_D / growth_D
        return np.where(ratio_D == 0, 1.0, np.log1p(ratio_D) / ratio_D) / growth_D
