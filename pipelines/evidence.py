"""Evidence: a challenger's account against the champion's, after costs, on sessions that chose neither of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import norm as normal
from scipy.stats import t as student

from backtest.metrics import SESSIONS
from data.calendar import Sessions
from data.errors import KestrelError
from data.lake import Lake
from data.panel import Floats
from factors.judge import Interval, difference
from models.dataset import Dataset
from models.registry import load
from models.walk import correlations, scores
from pipelines.choice import fold_of, seeds_home
from pipelines.config import Config
from pipelines.portfolio import Ground, trade
from pipelines.prepare import dataset_of
from pipelines.runs import read_json
from pipelines.trade import figures
from pipelines.train import ensemble

LOOKBACK = 90  # sessions before the first that models look back on
SHOWN = ("excess_geometric", "information_ratio", "tracking_error", "turnover", "cost")


@dataclass(frozen=True)
class Contender:
    """A model of a training."""

    training: Path
    model: str

    def __str__(self) -> str:
        """As `kestrel compare` takes it."""
        return f"{self.training.name}/{self.model}"


@dataclass(frozen=True)
class Evidence:
    """What a trial showed: on these dates the challenger's net return less the champion's, a year, and its RankIC less the champion's.

    The intervals hold `level` of what luck makes.  accounts: figures of both.  gap_D: daily differences of log returns.
    """

    challenger: Contender
    champion: Contender
    dates: tuple[date, ...]
    level: float
    gain: Interval
    rank_ic: Interval
    accounts: Mapping[str, Mapping[str, float]]
    gap_D: Floats

    def plain(self) -> dict[str, Any]:
        """As JSON keeps it."""
        found = {"challenger": str(self.challenger), "champion": str(self.champion), "level": self.level, "sessions": len(self.dates)}
        found |= {"first": self.dates[0].isoformat(), "last": self.dates[-1].isoformat(), "accounts": {**self.accounts}}
        return {**found, "gain_a_year": self.gain.__dict__, "rank_ic": self.rank_ic.__dict__}

    def __str__(self) -> str:
        """In words."""
        span = f"{len(self.dates)} sessions, {self.dates[0]} to {self.dates[-1]}"
        return (
            f"{self.challenger} against {self.champion} on {span}, net of costs: {self.gain.mean:+.2%} a year "
            f"({self.level:.1%} interval {self.gain.low:+.2%} to {self.gain.high:+.2%}); RankIC {self.rank_ic.mean:+.4f} "
            f"({self.rank_ic.low:+.4f} to {self.rank_ic.high:+.4f})"
        )


def fresh(lake: Lake, one: Contender, other: Contender) -> list[date]:
    """The sessions after the last that either training learnt from or chose by, as far as the lake's factors go."""
    last = lake.scan("factors").select(pl.col("date").max()).collect().item()
    ends = [str(fold[part][1]) for side in (one, other) for fold in read_json(side.training / "folds.json") for part in ("train", "valid")]
    return [day for day in Sessions.of(lake.read("calendar")).dates if date.fromisoformat(max(ends)) < day <= last]


def weighed(lake: Lake, config: Config, challenger: Contender, champion: Contender, dates: list[date], *, level: float, block: int) -> Evidence:
    """Both models' accounts by the config's strategy and costs, each session scored by a model that was fitted before it.

    Raises KestrelError for sleeves, which trade several models at once.
    """
    if config.backtest.sleeves:
        raise KestrelError("backtest.sleeves trades several models in one account, so no account is a single model's. Leave the sleeves out here.")
    calendar = [day for day in Sessions.of(lake.read("calendar")).dates if day <= dates[-1]]
    dataset = dataset_of(lake, config, start=calendar[max(calendar.index(dates[0]) - LOOKBACK, 0)], end=dates[-1])
    sessions = np.arange(dataset.axes.index(dates[0]), len(dataset.axes.dates))
    ground = Ground.of(lake, config.model_copy(update={"backtest": config.backtest.model_copy(update={"start": None, "end": None})}))
    accounts, ics = [], []
    for side in (challenger, champion):
        score_SN = walked(side.training, side.model, dataset, sessions)
        ics.append(correlations(dataset, sessions, score_SN, config.train.horizon)[1])
        accounts.append(trade(scores(score_SN, dataset.axes, sessions, side.model), ground).result)
    logs = [np.log1p(account.returns_D) for account in accounts]
    gain = widened(difference(*logs, level=level, block=block), len(logs[0]) / block, level)
    told = {name: figures(account, ground) for name, account in zip(("challenger", "champion"), accounts, strict=True)}
    return Evidence(
        challenger,
        champion,
        accounts[0].dates,
        level,
        Interval(*(SESSIONS * value for value in (gain.mean, gain.low, gain.high))),
        difference(*ics, level=level, block=block),
        {name: {key: found[key] for key in SHOWN} for name, found in told.items()},
        logs[0] - logs[1],
    )


def widened(found: Interval, blocks: float, level: float) -> Interval:
    """A block-bootstrap interval made as wide as few blocks ask for: by sqrt(b / (b - 1)), the variance that b blocks miss, and by Student's t.

    With six blocks of normal days the bare interval of 90 % leaves out a mean of 0 below it in about one case of twelve, not of twenty
    (tests/pipelines/test_promote.py).
    """
    free, part = max(blocks - 1, 0.5), (1 + level) / 2
    wider = sqrt((free + 1) / free) * float(student.ppf(part, free) / normal.ppf(part))
    return Interval(found.mean, found.mean - wider * (found.mean - found.low), found.mean + wider * (found.high - found.mean))


def walked(training: Path, model: str, dataset: Dataset, sessions: NDArray[np.int64]) -> NDArray[np.float32]:
    """score_SN of a training's model, each session by the fold that tests it or the last one before."""
    folds = [fold_of(training, dataset.axes.dates[session])["name"] for session in sessions]
    parts = []
    for name in dict.fromkeys(folds):
        own = sessions[[fold == name for fold in folds]]
        parts.append(ensemble([load(home).score(dataset, own) for home in seeds_home(training, model, name)]))
    return np.concatenate(parts)
