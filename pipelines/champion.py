"""Champion and challenger: the models that a registry's aliases name, and the trial by which one follows the other."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.calendar import Sessions
from data.errors import KestrelError
from data.lake import Lake
from data.progress import Track, silent
from factors.judge import Interval, difference
from models.dataset import Dataset
from models.registry import load
from models.walk import correlations
from pipelines.choice import Choice, choose, fold_of, seeds_home
from pipelines.config import Config
from pipelines.experiments import Experiments
from pipelines.prepare import dataset_of
from pipelines.runs import DONE, read_json
from pipelines.train import ensemble, train

NAME = "kestrel"  # of the registered model
CHAMPION, CHALLENGER = "champion", "challenger"
LOOKBACK = 90  # sessions before a trial that models look back on


def register(config: Config, alias: str, training: Path, model: str, *, why: str, day: date) -> str:
    """Give a model of a training the alias, with the hashes of what would score `day`; returns the registry's version."""
    from mlflow.exceptions import MlflowException

    client = Experiments(Path(config.runs), config.tracking).client
    chosen = choose(config, day, training=training, model=model)
    try:
        client.create_registered_model(NAME)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {"training": training.name, "model": model, "why": why, **{f"sha256.{fit}": value for fit, value in chosen.sums.items()}}
    version = client.create_model_version(NAME, training.resolve().as_uri(), tags=tags, await_creation_for=0)
    client.set_registered_model_alias(NAME, alias, version.version)
    return str(version.version)


def aliased(config: Config, alias: str) -> Mapping[str, str] | None:
    """The tags of the model with that alias, None where there is none: training, model, why, and the sha256 of each fit."""
    from mlflow.exceptions import MlflowException

    try:
        tags: Mapping[str, str] = Experiments(Path(config.runs), config.tracking).client.get_model_version_by_alias(NAME, alias).tags
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    return tags


def registered(config: Config, alias: str, day: date) -> Choice:
    """The models with that alias that score `day`.

    Raises KestrelError where no model has the alias, its training is gone, or a file of it isn't what was registered.
    """
    tags = aliased(config, alias)
    if tags is None:
        raise KestrelError(f"The registry has no model with the alias '{alias}'. Run: kestrel retrain, or set batch.model = 'latest'")
    training = Path(config.runs) / tags["training"]
    if not (training / DONE).is_file():
        raise KestrelError(f"The {alias} is of {training.name}, which isn't in {config.runs}. Restore it, or run: kestrel retrain")
    found = choose(config, day, training=training, model=tags["model"])
    for fit, value in found.sums.items():
        if tags.get(f"sha256.{fit}", value) != value:
            raise KestrelError(f"The fit {fit} of the {alias} isn't what was registered (its sha256 differs). Restore it, or run: kestrel retrain")
    return found


def retrain(lake: Lake, config: Config, *, track: Track = silent) -> dict[str, Any]:
    """Train on what the lake knows now, and let the new choice challenge the champion on the last config.batch.trial sessions.

    It becomes the champion where its mean RankIC there isn't lower, or where there is none yet.  Both score each session by a model
    that was fitted before it, so a champion that wasn't fitted anew is judged as it would have gone on.
    """
    folder, _ = train(lake, config, track=track)
    model, holder = str(read_json(folder / DONE)["chosen"]), aliased(config, CHAMPION)
    last = lake.scan("factors").select("date").max().collect().item()
    row = {"training": folder.name, "model": model}
    if holder is not None and (holder["training"], holder["model"]) == (folder.name, model):
        return {**row, "outcome": "champion already"}
    if holder is None or not (Path(config.runs) / holder["training"] / DONE).is_file():
        register(config, CHAMPION, folder, model, why="the first one", day=last)
        return {**row, "outcome": "champion", "why": "the first one"}
    gap = trial(lake, config, (folder, model), (Path(config.runs) / holder["training"], holder["model"]), last)
    why = f"RankIC {gap.mean:+.4f} ({gap.low:+.4f} to {gap.high:+.4f}) against {holder['model']} of {holder['training']}"
    alias = CHAMPION if gap.mean >= 0 else CHALLENGER
    register(config, alias, folder, model, why=why, day=last)
    return {**row, "outcome": alias, "why": why}


def trial(lake: Lake, config: Config, challenger: tuple[Path, str], champion: tuple[Path, str], last: date) -> Interval:
    """The challenger's daily RankIC less the champion's over the last sessions whose labels are known, with its block-bootstrap interval."""
    dates = [day for day in Sessions.of(lake.read("calendar")).dates if day <= last]
    first = max(len(dates) - config.batch.trial - config.labels.reach, 0)
    dataset = dataset_of(lake, config, start=dates[max(first - LOOKBACK, 0)], end=last)
    sessions = np.arange(dataset.axes.index(dates[first]), len(dataset.axes.dates))
    series = [correlations(dataset, sessions, walked(*one, dataset, sessions), config.train.horizon)[1] for one in (challenger, champion)]
    return difference(*series)


def walked(training: Path, model: str, dataset: Dataset, sessions: NDArray[np.int64]) -> NDArray[np.float32]:
    """score_SN of a training's model, each session by the fold that tests it or the last one before."""
    folds = [fold_of(training, dataset.axes.dates[session])["name"] for session in sessions]
    parts = []
    for name in dict.fromkeys(folds):
        own = sessions[[fold == name for fold in folds]]
        parts.append(ensemble([load(home).score(dataset, own) for home in seeds_home(training, model, name)]))
    return np.concatenate(parts)
