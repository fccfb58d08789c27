"""Fits: one model with one seed, known by all that it depends on, so that any training that needs it again takes it over.

runs/fits/<key>/ holds model/ (as the model saves itself), a file of scores for each span that was asked for, checkpoints/ while the model
is being made, and fit.json, which is written when the model and its validation scores are whole.
Dims: S sessions, N stocks.
"""

import ast
import inspect
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import BaseModel

from data.panel import Axes, to_panel
from data.progress import Track, silent
from factors.judge import summary
from models.blend import Blend, BlendSettings, weigh, z_blend
from models.dataset import Dataset, Floats32, Sessions
from models.folds import Fold, folds
from models.model import Model
from models.registry import create, kind, load
from models.walk import correlations
from pipelines.config import Config
from pipelines.prepare import digest
from pipelines.runs import read_json, write_frame, write_json

HOME, RECORD, NAMED = "fits", "fit.json", "fits.json"
CHANCELESS = ("ridge", "five_factors")  # one seed is all seeds


@dataclass(frozen=True)
class Fit:
    """A model to be made, or made already.  members: the fits that a blend is made of."""

    model: str
    seed: int
    fold: Fold
    settings: BaseModel
    identity: dict[str, Any]
    runs: Path
    members: tuple["Fit", ...] = ()

    @cached_property
    def key(self) -> str:
        """A hash of all that its numbers depend on."""
        return digest(self.identity)

    @property
    def home(self) -> Path:
        """Its folder."""
        return self.runs / HOME / self.key

    @property
    def done(self) -> bool:
        """Whether the model is made."""
        return (self.home / RECORD).is_file()

    @property
    def saved(self) -> bool:
        """Whether the model is saved, judged or not."""
        return (self.home / "model" / "model.json").is_file()

    @property
    def weight(self) -> tuple[int, int]:
        """Larger is likely to take longer: what learns by steps, then trees, then what is solved at once; within them by sessions."""
        names = type(self.settings).model_fields
        return 2 if "epochs" in names else 1 if "rounds" in names else 0, len(self.fold.train)

    def file(self, axes: Axes, sessions: Sessions) -> Path:
        """Where its scores of these sessions are kept."""
        return self.home / f"scores-{axes.dates[sessions[0]]}-{axes.dates[sessions[-1]]}.parquet"


def plan(axes: Axes, ground: Mapping[str, Any], config: Config) -> list[Fit]:
    """Every fit of a config, fold by fold, blends after their members; members are fitted whether or not the config asks for them alone.

    ground: what the dataset depends on.
    """
    settings = config.model_settings()
    found: list[Fit] = []
    for fold in folds(axes, config.walk, reach=config.labels.reach):
        sessions = {name: [str(axes.dates[place]) for place in part] for name, part in (("train", fold.train), ("valid", fold.valid))}
        shared = {**ground, **sessions}
        here: dict[tuple[str, int], Fit] = {}
        for model in _with_members(config.train.models, settings):
            for seed in seeds_of(model, config):
                own = settings[model]
                names = own.members if isinstance(own, BlendSettings) else ()
                members = tuple(here[name, seed if (name, seed) in here else config.train.seeds[0]] for name in names)
                of = {"model": model, "seed": seed, "settings": own.model_dump(mode="json"), "code": code(kind(model).model)}
                identity = {**of, **shared, "members": [member.key for member in members]}
                here[model, seed] = Fit(model, seed, fold, own, identity, Path(config.runs), members)
        found += here.values()
    return found


def seeds_of(model: str, config: Config) -> tuple[int, ...]:
    """The config's seeds; a model without chance in it needs one alone."""
    return config.train.seeds[:1] if model in CHANCELESS else config.train.seeds


def abreast(fits: Sequence[Fit]) -> list[tuple[Fit, ...]]:
    """The fits in groups that are made together, in the order of their first ones: seeds of one model that can train side by side."""
    groups: dict[str, list[Fit]] = {}
    for fit in fits:
        shared = {name: value for name, value in fit.identity.items() if name != "seed"}
        groups.setdefault(digest(shared) if hasattr(kind(fit.model).model, "fit_seeds") else fit.key, []).append(fit)
    return [tuple(group) for group in groups.values()]


def make_all(fits: Sequence[Fit], dataset: Dataset, spans: Mapping[str, Sequence[Sessions]], *, track: Track = silent) -> None:
    """Make and score a group of fits (see `abreast`).  spans: by key."""
    began = time.monotonic()
    models = fit_all(fits, dataset, track=track)
    for key, model in models.items():
        model.save(next(fit for fit in fits if fit.key == key).home / "model")
    shared = (time.monotonic() - began) / max(len(models), 1)
    for fit in fits:
        make(fit, dataset, spans[fit.key], track=track, before=shared if fit.key in models else 0.0)


def fit_all(fits: Sequence[Fit], dataset: Dataset, *, track: Track = silent) -> dict[str, Model]:
    """By key the models of those that can train side by side and aren't saved yet; nothing is written but their checkpoints."""
    todo = [fit for fit in fits if not fit.done and not fit.saved]
    if not todo or not hasattr(kind(todo[0].model).model, "fit_seeds"):
        return {}
    models = {fit.seed: create(fit.model, {fit.model: fit.settings}) for fit in todo}
    checkpoints = {fit.seed: fit.home / "checkpoints" for fit in todo}
    kind(todo[0].model).model.fit_seeds(models, dataset, todo[0].fold.train, todo[0].fold.valid, track=track, checkpoints=checkpoints)
    return {fit.key: models[fit.seed] for fit in todo}


def make(fit: Fit, dataset: Dataset, spans: Sequence[Sessions], *, track: Track = silent, before: float = 0.0) -> None:
    """Make the model unless it is made, and score these spans unless they are scored; a fit that was killed goes on from its checkpoints.

    before: seconds that went into it already.
    """
    if not fit.done:
        began = time.monotonic() - before
        model = load(fit.home / "model") if fit.saved else _fitted(fit, dataset, track)
        valid = scored(fit, dataset, fit.fold.valid, model)
        reached = {horizon: summary(*correlations(dataset, fit.fold.valid, valid, horizon)).__dict__ for horizon in dataset.horizons}
        dates = dataset.axes.dates
        parts = {"train": fit.fold.train, "valid": fit.fold.valid}
        record: dict[str, Any] = {"model": fit.model, "seed": fit.seed, "settings": fit.settings.model_dump(mode="json")}
        record |= {name: [dates[part[0]], dates[part[-1]], len(part)] for name, part in parts.items()}
        write_json(fit.home / RECORD, {**record, "reached": reached, "seconds": round(time.monotonic() - began, 1)})
        shutil.rmtree(fit.home / "checkpoints", ignore_errors=True)
    for span in spans:
        scored(fit, dataset, span)


def scored(fit: Fit, dataset: Dataset, sessions: Sessions, model: Model | None = None) -> Floats32:
    """score_SN of these sessions: those that are kept, or else the model's, which are kept from then on."""
    path = fit.file(dataset.axes, sessions)
    if path.is_file():
        return to_panel(pl.read_parquet(path), "score", dataset.axes)[sessions].astype(np.float32)
    model = model or load(fit.home / "model")
    if isinstance(model, Blend):  # of its members' scores, which are kept too
        score_SN = z_blend({member.model: scored(member, dataset, sessions) for member in fit.members}, model.weights)
    else:
        score_SN = model.score(dataset, sessions)
    place_R, stock_R = np.nonzero(np.isfinite(score_SN))
    days = pl.Series(dataset.axes.days[sessions[place_R]]).cast(pl.Date)
    symbols = pl.Series(dataset.axes.symbols, dtype=pl.String).gather(stock_R)
    write_frame(path, pl.DataFrame({"date": days, "symbol": symbols, "score": score_SN[place_R, stock_R]}))
    return score_SN


def reached(fit: Fit, horizon: int) -> float:
    """RankIC on the validation sessions."""
    return float(read_json(fit.home / RECORD)["reached"][str(horizon)]["rank_ic"])


def named(runs: Path) -> dict[Path, list[str]]:
    """{folder of a fit: the trainings that name it}.  To delete one without any costs no more than the time of making it again."""
    found: dict[Path, list[str]] = {path: [] for path in sorted((runs / HOME).glob("*"))}
    for file in sorted(runs.glob(f"train-*/{NAMED}")):
        for key in {entry["fit"] for entry in read_json(file)}:
            found.setdefault(runs / HOME / key, []).append(file.parent.name)
    return {path: trainings for path, trainings in found.items() if path.is_dir()}


def _fitted(fit: Fit, dataset: Dataset, track: Track) -> Model:
    """The fit's model, saved; a blend takes the members that are fitted already."""
    if fit.members:
        assert isinstance(fit.settings, BlendSettings)
        blend = Blend([load(member.home / "model") for member in fit.members], fit.settings)
        if fit.settings.weights == "rank_ic":
            scores = {member.model: scored(member, dataset, fit.fold.valid) for member in fit.members}
            blend.weights = weigh(scores, dataset.loss_label(fit.settings.horizon)[fit.fold.valid])
        model: Model = blend
    else:
        model = create(fit.model, {fit.model: fit.settings})
        model.fit(dataset, fit.fold.train, fit.fold.valid, seed=fit.seed, track=track, checkpoints=fit.home / "checkpoints")
    model.save(fit.home / "model")
    return model


def _with_members(models: Sequence[str], settings: Mapping[str, BaseModel]) -> list[str]:
    """The models and the members of their blends, each once, blends last."""
    blends = [name for name in models if isinstance(settings[name], BlendSettings)]
    members = [member for name in blends for member in settings[name].members]  # type: ignore[attr-defined]
    return list(dict.fromkeys([*(name for name in models if name not in blends), *members, *blends]))


@cache
def code(model: type) -> str:
    """A digest of the statements that make a model: its file's, or those of its whole package, but for the flat package `models`.

    Comments and docstrings don't count.  What a model imports from elsewhere isn't seen: after an edit there, delete runs/fits.
    """
    file = Path(inspect.getfile(model))
    package = (file.parent / "__init__.py").is_file() and model.__module__.rpartition(".")[0] != "models"
    return digest({path.name: _statements(path) for path in (sorted(file.parent.glob("*.py")) if package else [file])})


def _statements(path: Path) -> str:
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.dump(tree)
