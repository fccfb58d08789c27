"""Long-only books by weight: the best names weighted by score or by calm, and the index itself."""

from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from backtest.market import Market
from backtest.risk.moments import variances
from backtest.targets import Evening, Weigher
from data.panel import Floats

# D sessions, N stocks


class _Best(BaseModel):
    """The k best names, each held as long as it ranks within the first `buffer`; see TopkBuffer.  No name gets more than `most`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    k: int = Field(default=50, ge=1)
    buffer: int = Field(default=100, ge=1)
    every: int = Field(default=5, ge=1)
    most: float = Field(default=0.05, gt=0, le=1)  # of the equity
    invested: float = Field(default=0.95, gt=0, le=1)  # part of the equity that the targets add up to, less where `most` forbids it

    @model_validator(mode="after")
    def _holds_at_least_k(self) -> Self:
        if self.buffer < self.k:
            raise ValueError(f"buffer is {self.buffer} and k is {self.k}: a buffer holds at least k names")
        return self


class ScoreWeighted(_Best):
    """Weights in proportion to how far a score lies above the best one beyond the buffer."""

    kind: Literal["score_weighted"] = "score_weighted"


class VolatilityScaled(_Best):
    """Weights in inverse proportion to the volatility of each name, so that each brings about the same risk."""

    kind: Literal["volatility_scaled"] = "volatility_scaled"
    halflife: int = Field(default=60, ge=2)  # sessions, of the volatility


class IndexItself(BaseModel):
    """The members of the index at its weights: what an index fund makes before it is any better, and how exact the simulation is."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Literal["index"] = "index"
    invested: float = Field(default=1.0, gt=0, le=1)  # part of the equity that the targets add up to


def weigher(settings: ScoreWeighted | VolatilityScaled, scores_DN: Floats, market: Market) -> Weigher:
    """The strategy as a weigher.  scores_DN over the market's axes, higher is better, NaN = not a candidate."""
    sigma_DN = None
    if isinstance(settings, VolatilityScaled):
        returns_DN = np.full(market.axes.shape, np.nan)
        returns_DN[1:] = np.where(market.trading_DN[1:], market.close_DN[1:] / market.reference_DN[1:] - 1, np.nan)
        sigma_DN = np.sqrt(variances(returns_DN, float(settings.halflife), 0)[0])

    def weigh(evening: Evening) -> Floats | None:
        d = evening.session
        scored_N = scores_DN[d][np.isfinite(scores_DN[d])]
        idle = bool((market.first_session + d + 1) % settings.every) and evening.shares_N.any()
        if idle or not len(scored_N) or scored_N.min() == scored_N.max():
            return None
        stuck_N = ~market.trading_DN[d]
        chosen_N = best(scores_DN[d], evening.shares_N > 0, stuck_N, settings.k, settings.buffer)
        if sigma_DN is None:
            ranked = np.sort(scored_N)[::-1]
            strength_N = np.nan_to_num(scores_DN[d] - ranked[min(settings.buffer, len(ranked) - 1)])
        else:
            strength_N = np.divide(1.0, sigma_DN[d], out=np.zeros(len(chosen_N)), where=sigma_DN[d] > 0)
        left_N = np.where(stuck_N, evening.weights_N, 0.0)
        return left_N + capped(np.where(chosen_N, strength_N, 0.0), max(settings.invested - float(left_N.sum()), 0.0), settings.most)

    return weigh


def best(score_N: Floats, held_N: NDArray[np.bool_], stuck_N: NDArray[np.bool_], k: int, buffer: int) -> NDArray[np.bool_]:
    """The names to hold among those that trade: held ones within the first `buffer` by score, then the best others, k in all with the stuck.

    Ties go by the order of the axes.
    """
    order = np.argsort(np.where(np.isfinite(score_N), -score_N, np.inf), kind="stable")[: int(np.isfinite(score_N).sum())]
    within = order[:buffer]
    ranked = np.concatenate([within[held_N[within]], within[~held_N[within]]])
    free = ranked[~stuck_N[ranked]]
    chosen_N = np.zeros(len(score_N), dtype=np.bool_)
    chosen_N[free[: max(0, k - int((held_N & stuck_N).sum()))]] = True
    return chosen_N


def capped(strength_N: Floats, total: float, most: float) -> Floats:
    """Weights in proportion to strengths, adding up to `total`, none above `most`: what is cut off goes to the others in proportion."""
    weights_N, full_N = np.zeros(len(strength_N)), np.zeros(len(strength_N), dtype=np.bool_)
    while True:
        open_N = ~full_N & (strength_N > 0)
        if not open_N.any():
            return weights_N
        rest = total - most * int(full_N.sum())
        weights_N[open_N] = max(rest, 0.0) * (strength_N[open_N] / strength_N[open_N].sum())  # in this order: the tiniest strength must not vanish
        over_N = open_N & (weights_N > most)
        if not over_N.any():
            return weights_N
        full_N |= over_N
        weights_N[full_N] = most


def index_weigher(index_DN: Floats, *, invested: float = 1.0) -> Weigher:
    """The index itself, by the weights of its members at each close; the book is left alone where nobody knows them."""

    def weigh(evening: Evening) -> Floats | None:
        weights_N = index_DN[evening.session]
        return weights_N * invested if weights_N.any() else None

    return weigh
