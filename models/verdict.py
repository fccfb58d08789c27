"""What a model's figures are worth: paired with others', by regime, how fast its scores turn over, what they are made of.

Pure functions of arrays.  Dims: D and S sessions, N stocks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from data.panel import Floats
from factors.exposures import mean_correlations, ranked
from factors.judge import Interval, difference, summary
from models.dataset import Bools

THIRDS = ("low", "middle", "high")
CALM = 20  # sessions behind the market's volatility and return


def paired(daily: Mapping[str, Floats], against: str, *, block: int = 20) -> dict[str, Interval]:
    """{model: mean difference of its daily figures [S] from `against`'s}, with a circular block-bootstrap interval, for all the others."""
    return {name: difference(values_S, daily[against], block=block) for name, values_S in daily.items() if name != against}


@dataclass(frozen=True)
class Pooled:
    """A mean over several markets.  within: its standard error by the luck of their sessions; between: by how far their means lie apart."""

    mean: float
    within: float
    between: float

    @property
    def error(self) -> float:
        """The larger of the two: a handful of markets can agree by chance."""
        return max(self.within, self.between)


def pooled(series: Sequence[Floats], *, lags: int) -> Pooled:
    """The mean of several markets' mean daily figures [S]; sessions up to `lags` apart hang together.  (Newey and West 1987)"""
    known = [values_S[np.isfinite(values_S)] for values_S in series]
    means = np.array([values_S.mean() for values_S in known])
    within = sqrt(sum(_variance(values_S, lags) for values_S in known)) / len(known)
    between = float(means.std(ddof=1)) / sqrt(len(means)) if len(means) > 1 else 0.0
    return Pooled(float(means.mean()), within, between)


def market_states(market_D: Floats) -> dict[str, Floats]:
    """{"volatility", "return": [D]}: deviation of the market's returns over CALM sessions, and what they came to; NaN before; known at the close."""
    volatility, past = np.full(len(market_D), np.nan), np.full(len(market_D), np.nan)
    if len(market_D) >= CALM:
        windows = np.lib.stride_tricks.sliding_window_view(market_D, CALM)
        volatility[CALM - 1 :], past[CALM - 1 :] = windows.std(axis=1), np.prod(1 + windows, axis=1) - 1
    return {"volatility": volatility, "return": past}


def thirds(state_S: Floats) -> dict[str, Bools]:
    """{"low", "middle", "high": sessions [S]}: thirds of the sessions by a state known at their close; unknown ones are in none.

    The state is known on the date, the borders between thirds only in the end: they describe, and nothing may trade by them.
    """
    known = np.isfinite(state_S)
    if not known.any():
        return dict.fromkeys(THIRDS, known)
    low, high = np.quantile(state_S[known], [1 / 3, 2 / 3])
    return {"low": known & (state_S <= low), "middle": known & (state_S > low) & (state_S <= high), "high": known & (state_S > high)}


def by_third(states: Mapping[str, Floats], ic_S: Floats, rank_ic_S: Floats) -> list[dict[str, float | str | int]]:
    """A row for each third of each state: state, third, days, ic, icir, rank_ic, rank_icir."""
    return [
        {"state": name, "third": third, **summary(ic_S[inside_S], rank_ic_S[inside_S]).__dict__}
        for name, state_S in states.items()
        for third, inside_S in thirds(state_S).items()
    ]


def replaced(score_SN: NDArray[np.floating], *, best: int = 50, lag: int = 1) -> float:
    """Mean share of the `best` stocks of a session that weren't among the best `lag` sessions before; NaN where there is no such pair.

    Of equals the first is the better; sessions with fewer than `best` scores count with those that they have.
    """
    held: list[set[int]] = []
    for score_N in score_SN:
        order = np.argsort(np.where(np.isfinite(score_N), -score_N.astype(np.float64), np.inf), kind="stable")
        held.append(set(order[: min(best, int(np.isfinite(score_N).sum()))].tolist()))
    shares = [len(now - before) / len(now) for before, now in zip(held[:-lag], held[lag:], strict=True) if now and before]
    return float(np.mean(shares)) if shares else float("nan")


def exposures(score_SN: NDArray[np.floating], styles: Mapping[str, NDArray[np.floating]], *, every: int = 5) -> dict[str, float]:
    """{style: mean rank correlation of the scores with it [S, N]} over every so many sessions, among the stocks that have a score."""
    if not styles:
        return {}
    scored_SN = score_SN[::every]
    here = {name: np.where(np.isfinite(scored_SN), values_SN[::every], np.nan) for name, values_SN in styles.items()}
    found = mean_correlations(ranked({"score": scored_SN}), ranked(here))[0]
    return dict(zip(styles, found.tolist(), strict=True))


def _variance(values_S: Floats, lags: int) -> float:
    """Newey and West's variance of the mean."""
    centred = values_S - values_S.mean()
    total = centred @ centred
    for lag in range(1, min(lags, len(centred) - 1) + 1):
        total += 2 * (1 - lag / (lags + 1)) * (centred[lag:] @ centred[:-lag])
    return max(float(total), 0.0) / len(centred) ** 2
