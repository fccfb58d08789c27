"""Choice: the saved models that score a session, each fitted on dates before it, known by their hashes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data.errors import KestrelError
from models.dataset import Dataset
from models.files import HEAD
from models.registry import load
from models.walk import scores
from pipelines.config import Config
from pipelines.runs import DONE, latest, read_json
from pipelines.train import ensemble, fits_of, home_of


@dataclass(frozen=True)
class Choice:
    """The models of one training that score a session: by name the folders of its seeds.  seen: the last session that a fit looked at."""

    training: Path
    model: str
    homes: dict[str, tuple[Path, ...]]
    seen: date

    @cached_property
    def sums(self) -> dict[str, str]:
        """{fit: sha256 of its model.json}, which holds the sums of all its other files."""
        folders = [home for homes in self.homes.values() for home in homes]
        missing = [home for home in folders if not (home / HEAD).is_file()]
        if missing:
            raise KestrelError(f"{missing[0] / HEAD} is missing: the model of {self.training.name} is gone. Restore it, or run: kestrel train")
        return {home.parent.name: hashlib.sha256((home / HEAD).read_bytes()).hexdigest() for home in folders}

    def scores(self, dataset: Dataset) -> pl.DataFrame:
        """The table `scores` of the dataset's last session: each model's seeds blended as in the training, ranked.

        Raises KestrelError where a file of a model isn't what was saved.
        """
        last = np.array([len(dataset.axes.dates) - 1])
        frames = []
        for name, homes in self.homes.items():
            together = ensemble([load(home).score(dataset, last) for home in homes])
            frames.append(scores(together, dataset.axes, last, name).sort("rank"))
        return pl.concat(frames)


def choose(config: Config, day: date, *, training: Path | None = None, model: str | None = None) -> Choice:
    """The models that score `day`: the one asked for, else the one that the training (by default the latest) chose; with sleeves all of theirs."""
    training = training or latest(Path(config.runs), "train")
    name = model or read_json(training / DONE)["chosen"]
    wanted = list(dict.fromkeys(sleeve.model for sleeve in config.backtest.sleeves)) or [name]
    fold = fold_of(training, day)
    homes = {one: seeds_home(training, one, fold["name"]) for one in wanted}
    seen = max(date.fromisoformat(str(fold[part][1])) for part in ("train", "valid"))
    return Choice(training, "+".join(wanted), homes, seen)


def fold_of(training: Path, day: date) -> dict[str, Any]:
    """The fold that tests `day`, or the last one after the end; raises KestrelError where every fold began later, so that no model is honest."""
    folds: Sequence[dict[str, Any]] = read_json(training / "folds.json")
    started = [fold for fold in folds if date.fromisoformat(fold["test"][0]) <= day]
    if not started:
        raise KestrelError(f"Every model of {training.name} was fitted on dates after {day}: the first fold tests from {folds[0]['test'][0]}.")
    return started[-1]


def seeds_home(training: Path, model: str, fold: str) -> tuple[Path, ...]:
    """The folders of a model's seeds on a fold, in the order of the seeds."""
    entries = [entry for entry in fits_of(training) if (entry["fold"], entry["model"]) == (fold, model)]
    if not entries:
        raise KestrelError(f"{training.name} has no model '{model}'. It trained: {', '.join(sorted({one['model'] for one in fits_of(training)}))}.")
    return tuple(home_of(training, entry) / "model" for entry in sorted(entries, key=lambda entry: int(entry["seed"])))


def model_home(training: Path, model: str, day: date) -> Path:
    """The saved model of the first seed whose fold tests `day`; one that saw `day` in training is never used."""
    return seeds_home(training, model, fold_of(training, day)["name"])[0]
