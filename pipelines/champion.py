"""Champion and challenger: the models that a registry's aliases name, and the trial by which one follows the other."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from data.calendar import Sessions
from data.errors import KestrelError
from data.lake import Lake
from data.progress import Track, silent
from factors.judge import Interval, difference
from models.walk import correlations
from pipelines.choice import Choice, choose
from pipelines.config import Config
from pipelines.evidence import LOOKBACK, walked
from pipelines.experiments import Experiments
from pipelines.holdout import seen, unsealed
from pipelines.prepare import dataset_of
from pipelines.runs import DONE, read_json
from pipelines.train import train

NAME = "kestrel"  # of the registered model
CHAMPION, CHALLENGER = "champion", "challenger"


def register(config: Config, alias: str, training: Path, model: str, *, why: str, day: date, more: Mapping[str, str] | None = None) -> str:
    """Give a model of a training the alias, with the hashes of what would score `day`; returns the registry's version.

    A model that is registered already keeps its version.  more: tags on top.
    """
    from mlflow.exceptions import MlflowException

    store = Experiments(Path(config.runs), config.tracking)
    client, chosen = store.client, choose(config, day, training=training, model=model)
    try:
        client.create_registered_model(NAME)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {"training": training.name, "model": model, "why": why[:5000], **{f"sha256.{fit}": value for fit, value in chosen.sums.items()}}
    tags |= dict(more or {})
    same = {"training": training.name, "model": model}
    there = [one for one in client.search_model_versions(f"name = '{NAME}'") if same.items() <= one.tags.items()]
    if there:
        version = str(there[0].version)
        for key, value in tags.items():
            client.set_model_version_tag(NAME, version, key, value)
    else:
        run = store.parent(training.name)
        # A server takes no path of another machine.
        source = training.resolve().as_uri() if not store.uri.startswith("http") else f"runs:/{run}" if run else f"kestrel:{training.name}"
        version = str(client.create_model_version(NAME, source, run_id=run, tags=tags, await_creation_for=0).version)
    client.update_model_version(NAME, version, description=f"{model} of {training.name}. {why}")
    client.set_registered_model_alias(NAME, alias, version)
    if alias == CHAMPION and (challenger := aliased(config, CHALLENGER)) and (challenger["training"], challenger["model"]) == (training.name, model):
        client.delete_registered_model_alias(NAME, CHALLENGER)
    return version


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
    """Train on what the lake knows now, and let the new choice meet the champion on the last config.batch.trial sessions.

    The same idea on newer data (the champion's model and settings) takes over where its mean RankIC there isn't lower; the first of all
    does at once; another idea becomes the challenger, which `kestrel promote` asks for evidence.  Both score each session by a model that
    was fitted before it, so a champion that wasn't fitted anew is judged as it would have gone on.  It learns from a holdout's sessions,
    of which no figure is shown, and the trial ends before them.
    """
    folder, _ = train(unsealed(lake, config.holdout), config, track=track)
    model, holder = str(read_json(folder / DONE)["chosen"]), aliased(config, CHAMPION)
    last = lake.scan("factors").select("date").max().collect().item()
    row = {"training": folder.name, "model": model}
    if holder is not None and (holder["training"], holder["model"]) == (folder.name, model):
        return {**row, "outcome": "champion already"}
    if holder is None or not (Path(config.runs) / holder["training"] / DONE).is_file():
        register(config, CHAMPION, folder, model, why="the first one", day=last)
        return {**row, "outcome": "champion", "why": "the first one"}
    before = Path(config.runs) / holder["training"]
    gap = trial(lake, config, (folder, model), (before, holder["model"]))
    why = f"RankIC {gap.mean:+.4f} ({gap.low:+.4f} to {gap.high:+.4f}) against {holder['model']} of {holder['training']}"
    renewed = (idea(folder), model) == (idea(before), holder["model"])
    alias = CHAMPION if renewed and gap.mean >= 0 else CHALLENGER
    why += "" if renewed else "; another idea than the champion's, which takes over by: kestrel promote"
    register(config, alias, folder, model, why=why, day=last)
    return {**row, "outcome": alias, "why": why}


def idea(training: Path) -> dict[str, Any]:
    """The settings of a training without the data and the code that it met."""
    found: dict[str, Any] = read_json(training / "identity.json")
    return {key: value for key, value in found.items() if key not in ("factor_table", "versions", "code", "until")}


def trial(lake: Lake, config: Config, challenger: tuple[Path, str], champion: tuple[Path, str]) -> Interval:
    """The challenger's daily RankIC less the champion's over the last sessions whose labels are known, with its block-bootstrap interval."""
    lake = seen(lake, config.holdout)
    last = lake.scan("factors").select("date").max().collect().item()
    dates = [day for day in Sessions.of(lake.read("calendar")).dates if day <= last]
    first = max(len(dates) - config.batch.trial - config.labels.reach, 0)
    dataset = dataset_of(lake, config, start=dates[max(first - LOOKBACK, 0)], end=last)
    sessions = np.arange(dataset.axes.index(dates[first]), len(dataset.axes.dates))
    series = [correlations(dataset, sessions, walked(*one, dataset, sessions), config.train.horizon)[1] for one in (challenger, champion)]
    return difference(*series)
