"""One evening's problem: what is expected of each stock, its risk, what is held, what may be traded, and the limits as rows."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtest.optimise.limits import Band, Limits, Relaxation
from backtest.risk.model import Risk
from data.panel import Floats

# N stocks, M bands
EMPTY = 1e-9  # weight below which nothing is held


class Problem(NamedTuple):
    """Maximise alpha @ w - costs - aversion / 2 x variance of (w - index), over weights of the equity.  All of one year.

    alpha_N: expected excess return; buy_N and sell_N: cost of a weight traded; risk: of a year.  low_N and high_N: of each weight, equal
    where it can't be traded.  turnover: half of what is traded, at most; tracking_error: at most, inf where there is none.
    """

    alpha_N: Floats
    risk: Risk
    index_N: Floats
    held_N: Floats
    buy_N: Floats
    sell_N: Floats
    low_N: Floats
    high_N: Floats
    bands: tuple[Band, ...]
    turnover: float
    tracking_error: float
    aversion: float

    @property
    def fixed_N(self) -> NDArray[np.bool_]:
        """Which weights are what they are."""
        return np.asarray(self.low_N == self.high_N)

    def traded(self, weights_N: Floats) -> float:
        """Half of what is bought and sold to come to these weights."""
        return float(np.abs(weights_N - self.held_N).sum() / 2)

    def deviation(self, weights_N: Floats) -> float:
        """Forecast tracking error, a year."""
        return float(np.sqrt(max(self.risk.variance(weights_N - self.index_N), 0.0)))

    def breaches(self, weights_N: Floats, tolerance: float) -> list[Relaxation]:
        """Every limit that these weights break by more than `tolerance` units, with what they need: rows, the worst name, turnover, error."""
        found = []
        for band in self.bands:
            value = float(band.row_N @ weights_N)
            if max(value - band.high, band.low - value) > tolerance * band.unit:
                wanted = band.high if value > band.high else band.low
                found.append(Relaxation(f"{band.group}:{band.name}", wanted, value))
        excess_N = np.maximum(weights_N - self.high_N, self.low_N - weights_N)
        if excess_N.max(initial=0.0) > tolerance:
            n = int(np.argmax(excess_N))
            found.append(Relaxation("names", float(self.high_N[n] if weights_N[n] > self.high_N[n] else self.low_N[n]), float(weights_N[n])))
        for name, wanted, given in (
            ("turnover", self.turnover, self.traded(weights_N)),
            ("tracking_error", self.tracking_error, self.deviation(weights_N)),
        ):
            if given > wanted * (1 + tolerance):
                found.append(Relaxation(name, wanted, given))
        return found


def problem(
    alpha_N: Floats,
    risk: Risk,
    index_N: Floats,
    held_N: Floats,
    *,
    limits: Limits,
    costs: tuple[Floats, Floats],
    tradable_N: NDArray[np.bool_],
    buyable_N: NDArray[np.bool_],
    styles: Mapping[str, Floats],
    group_N: NDArray[np.int64] | None,
    groups: Sequence[str],
    aversion: float,
    symbols: Sequence[str],
) -> tuple[Problem, list[Relaxation]]:
    """(the problem, limits that what can't be traded breaks already).

    styles: deviations [N] of the index's members, NaN counts as the index's mean.  A stock without a score (alpha NaN) is expected to
    earn nothing; one that isn't buyable can only be sold; one of unknown risk can't be bought either.  An active weight that a position
    has outgrown while it can't be traded is recorded as given.
    """
    known_N = np.isfinite(risk.specific_N)
    high_N = np.where(buyable_N & known_N, index_N + limits.name, held_N)
    low_N = np.where(buyable_N & known_N, np.maximum(index_N - limits.name, 0.0), 0.0)
    given = [
        Relaxation(f"names:{symbols[n]}", float(index_N[n] + limits.name), float(held_N[n]))
        for n in np.flatnonzero(~tradable_N & (held_N > index_N + limits.name)).tolist()
    ]
    stuck_N = ~tradable_N | (high_N < EMPTY)
    low_N, high_N = np.where(stuck_N, held_N, low_N), np.where(stuck_N, held_N, np.maximum(high_N, low_N))
    safe = risk._replace(specific_N=np.where(known_N, risk.specific_N, np.nanmax(risk.specific_N)))
    turnover = limits.turnover if held_N.sum() > EMPTY else 1.0
    bands = tuple(rows(index_N, limits, styles, group_N, groups))
    target = limits.tracking_error or np.inf
    alpha_N = np.nan_to_num(alpha_N)
    return Problem(alpha_N, safe, index_N, held_N, *costs, low_N, high_N, bands, turnover, target, aversion), given


def rows(index_N: Floats, limits: Limits, styles: Mapping[str, Floats], group_N: NDArray[np.int64] | None, groups: Sequence[str]) -> list[Band]:
    """The limits on sums of weights: what is invested, members, styles, industries that anyone is in."""
    ones_N, member_N = np.ones(len(index_N)), (index_N > 0).astype(np.float64)
    found = [Band("cash", "invested", ones_N, 1 - limits.cash_most, 1 - limits.cash, 0.01)]
    if limits.members > 0:
        found.append(Band("members", "members", member_N - limits.members, 0.0, np.inf, 0.1))
    for name, z_N in styles.items():
        known_N = np.isfinite(z_N)
        theirs = float(index_N[known_N] @ z_N[known_N]) / max(float(index_N[known_N].sum()), EMPTY)
        width = limits.styles.get(name, limits.style)
        found.append(Band("styles", name, np.where(known_N, np.nan_to_num(z_N) - theirs, 0.0), -width, width, width))
    if group_N is not None:
        for g in np.unique(group_N):
            inside_N = (group_N == g).astype(np.float64)
            here = float(inside_N @ index_N)
            name = groups[g] if 0 <= g < len(groups) else "unknown"
            found.append(Band("industries", name, inside_N, here - limits.industry, here + limits.industry, limits.industry))
    return found
