"""Many configurations of one strategy over the same market and scores, and how much of the best one is luck.

Each is the account that `simulate` gives, to the cent: the compiled loop runs without Python's lock, so configurations share the market's
arrays and run in threads.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from itertools import product
from typing import Annotated, Literal, NamedTuple

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, field_validator

from backtest import luck, metrics
from backtest.costs import CostSettings
from backtest.market import Market
from backtest.result import Result
from backtest.simulation import SimulationSettings, simulate
from backtest.strategies import TopkBuffer
from data.errors import KestrelError
from data.panel import Floats
from data.progress import Track, silent
from data.rules import Rules

# D sessions, C configurations
Axis = Literal["k", "buffer", "every", "cost_multiple", "cash"]
AXES: tuple[Axis, ...] = ("k", "buffer", "every", "cost_multiple", "cash")
MEASURES = (
    "excess_geometric", "tracking_error", "information_ratio", "excess_max_drawdown", "annual_return", "sharpe", "turnover", "cost",
    "mean_holdings", "mean_cash", "final_nav",
)  # fmt: skip


class SweepSettings(BaseModel):
    """What is tried: every combination of these values.

    buffer: names kept, as a multiple of k.  every: sessions between looks.  cost_multiple: of commission and slippage; taxes and fees of
    the exchange stay as they are.  cash: CNY, which tells capacity.  blocks: of the cross-validation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    k: Annotated[tuple[int, ...], Field(strict=False, min_length=1)] = (30, 50, 80, 120)
    buffer: Annotated[tuple[float, ...], Field(strict=False, min_length=1)] = (1.0, 1.5, 2.0, 3.0, 4.0)
    every: Annotated[tuple[int, ...], Field(strict=False, min_length=1)] = (1, 3, 5, 10, 20)
    cost_multiple: Annotated[tuple[float, ...], Field(strict=False, min_length=1)] = (1.0,)
    cash: Annotated[tuple[float, ...], Field(strict=False, min_length=1)] = (1e8,)
    blocks: int = Field(default=16, ge=2, le=20)

    @field_validator("buffer")
    @classmethod
    def _holds_at_least_k(cls, buffer: tuple[float, ...]) -> tuple[float, ...]:
        if min(buffer) < 1:
            raise ValueError(f"buffer is {min(buffer)} times k: a buffer holds at least k names")
        return buffer


class Configuration(NamedTuple):
    """One point of the grid."""

    k: int
    buffer: float
    every: int
    cost_multiple: float
    cash: float


@dataclass(frozen=True)
class Sweep:
    """What was tried and what came of it.

    frame: a row a configuration, the columns AXES and MEASURES.  excess_DC: daily return less the benchmark's.  deflated: probability that
    the best information ratio is more than the best of as many tries that know nothing.  overfit: None where there is too little to
    cross-validate.
    """

    dates: tuple[date, ...]
    frame: pl.DataFrame
    excess_DC: Floats
    best: int
    deflated: float
    trials: float  # how many independent tries they are worth
    overfit: luck.Overfit | None

    def plane(self, x: Axis, y: Axis, measure: str) -> tuple[list[float], list[float], Floats]:
        """(values of x, values of y, [y, x] mean of the measure over all else that was tried): a mean, since a best would be luck again."""
        cube = self.frame[measure].to_numpy().reshape([self.frame[axis].n_unique() for axis in AXES])
        others = tuple(place for place, axis in enumerate(AXES) if axis not in (x, y))
        cells = cube.mean(axis=others)
        known_x, known_y = (self.frame[axis].unique(maintain_order=True).to_list() for axis in (x, y))
        return known_x, known_y, cells if AXES.index(y) < AXES.index(x) else cells.T


def grid(settings: SweepSettings) -> list[Configuration]:
    """Every combination, in the order of AXES, the last one fastest."""
    return [Configuration(*values) for values in product(*(getattr(settings, axis) for axis in AXES))]


class Attempt(NamedTuple):
    """What one configuration came to."""

    measures: dict[str, float]
    excess_D: Floats
    dates: tuple[date, ...]


def sweep(
    scores_DN: Floats,
    market: Market,
    b_D: Floats,
    settings: SweepSettings,
    *,
    strategy: TopkBuffer,
    costs: CostSettings,
    simulation: SimulationSettings,
    start: date | None = None,
    end: date | None = None,
    rules: Rules | None = None,
    threads: int | None = None,
    track: Track = silent,
) -> Sweep:
    """Trade every configuration in sessions start..end; what isn't in the grid is as in `strategy`, `costs` and `simulation`.

    b_D: the benchmark's returns over these sessions.  threads: by default one a core; results don't depend on them.  Raises KestrelError
    where b_D has another length.
    """
    points = grid(settings)

    def run(point: Configuration) -> Attempt:
        return attempt(point, scores_DN, market, b_D, strategy=strategy, costs=costs, simulation=simulation, start=start, end=end, rules=rules)

    first = run(points[0])  # compiles, so that the threads don't all do it
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        under_way = [pool.submit(run, point) for point in points[1:]]
        return gathered(points, [first, *(one.result() for one in track(under_way, "sweep"))], settings.blocks)


def attempt(
    point: Configuration,
    scores_DN: Floats,
    market: Market,
    b_D: Floats,
    *,
    strategy: TopkBuffer,
    costs: CostSettings,
    simulation: SimulationSettings,
    start: date | None = None,
    end: date | None = None,
    rules: Rules | None = None,
) -> Attempt:
    """What one configuration comes to; the rest as in `sweep`."""
    own = TopkBuffer.model_validate(strategy.model_dump() | {"k": point.k, "buffer": round(point.k * point.buffer), "every": point.every})
    paid, held = dearer(costs, point.cost_multiple), simulation.model_copy(update={"cash": point.cash})
    return measured(simulate(scores_DN, market, strategy=own, costs=paid, settings=held, start=start, end=end, rules=rules), b_D)


def gathered(points: Sequence[Configuration], found: Sequence[Attempt], blocks: int) -> Sweep:
    """The sweep of these points."""
    frame = pl.DataFrame([{**point._asdict(), **one.measures} for point, one in zip(points, found, strict=True)])
    return judged(found[0].dates, frame, np.column_stack([one.excess_D for one in found]), blocks)


def dearer(costs: CostSettings, times: float) -> CostSettings:
    """The costs with commission and slippage so many times as high."""
    rates = {name: getattr(costs, name) for name in ("commission", "sell_commission", "slippage")}
    return CostSettings.model_validate(costs.model_dump() | {name: rate * times for name, rate in rates.items() if rate is not None})


def measured(result: Result, b_D: Floats) -> Attempt:
    """Measures and daily excess [D] of one account."""
    if len(b_D) != len(result.dates):
        raise KestrelError(f"The benchmark has {len(b_D)} returns, the accounts {len(result.dates)} sessions. Take both over start..end.")
    found = metrics.summary(result, b_D)
    return Attempt({name: found[name] for name in MEASURES}, result.returns_D - b_D, result.dates)


def judged(dates: tuple[date, ...], frame: pl.DataFrame, excess_DC: Floats, blocks: int) -> Sweep:
    """The sweep with the luck of its best: the highest information ratio."""
    ratios_C = np.array([luck.ratio(excess_D) for excess_D in excess_DC.T])
    best = int(np.nanargmax(ratios_C)) if np.isfinite(ratios_C).any() else 0
    enough = excess_DC.shape[1] > 1 and len(dates) >= 2 * blocks
    overfit = luck.overfitting(excess_DC, blocks) if enough else None
    return Sweep(dates, frame, excess_DC, best, luck.deflated_sharpe(excess_DC, best), luck.independent_trials(excess_DC), overfit)
