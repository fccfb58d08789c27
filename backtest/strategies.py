"""Strategies as settings: which names to hold, how much of each, and when to look again."""

from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

DROPOUT, BUFFER, TARGETS = range(3)


class TopkDropout(BaseModel):
    """Hold k names and replace up to `drop` a session, as Qlib's strategy of that name does.

    The best new names, as many as could be bought at most, are ranked together with the holdings; holdings among the last
    `drop` of that list are sold whole, and as many of the best new names bought, each with the same part of the cash.
    A holding without a score is the worst.  Nothing is rebalanced in between.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Literal["topk_dropout"] = "topk_dropout"
    k: int = Field(default=50, ge=1)
    drop: int = Field(default=5, ge=1)
    invested: float = Field(default=0.95, gt=0, le=1)  # part of the cash that buys (Qlib's risk_degree)


class TopkBuffer(BaseModel):
    """Hold the k best names at equal weight, and each as long as it ranks within the first `buffer`.

    Looked at every `every` sessions of the calendar, and whenever the book is empty.  A holding without a score is sold.  A
    position less than `band` of its target away from it is left alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Literal["topk_buffer"] = "topk_buffer"
    k: int = Field(default=50, ge=1)
    buffer: int = Field(default=100, ge=1)
    every: int = Field(default=5, ge=1)
    band: float = Field(default=0.2, ge=0, le=1)
    invested: float = Field(default=0.95, gt=0, le=1)  # part of the equity that the targets add up to

    @model_validator(mode="after")
    def _holds_at_least_k(self) -> Self:
        if self.buffer < self.k:
            raise ValueError(f"buffer is {self.buffer} and k is {self.k}: a buffer holds at least k names")
        return self


class Targets(BaseModel):
    """Hold target weights that are made outside: a position less than `band` of its target away from it is left alone."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Literal["targets"] = "targets"
    band: float = Field(default=0.05, ge=0, le=1)


Strategy = Annotated[TopkDropout | TopkBuffer, Field(discriminator="kind")]


class Policy(NamedTuple):
    """A strategy as numbers that a compiled loop reads."""

    kind: int
    k: int
    drop: int
    buffer: int
    band: float
    invested: float


def policy(strategy: TopkDropout | TopkBuffer | Targets) -> Policy:
    """The numbers of a strategy."""
    if isinstance(strategy, Targets):
        return Policy(TARGETS, 0, 0, 0, strategy.band, 1.0)
    if isinstance(strategy, TopkDropout):
        return Policy(DROPOUT, strategy.k, strategy.drop, 0, 0.0, strategy.invested)
    return Policy(BUFFER, strategy.k, 0, strategy.buffer, strategy.band, strategy.invested)


def due(strategy: TopkDropout | TopkBuffer, sessions: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which sessions, given by their number in the calendar, the strategy trades on."""
    every = strategy.every if isinstance(strategy, TopkBuffer) else 1
    return np.asarray(sessions % every == 0)
