"""Train: every fold, model and seed of a config, walk-forward; what an earlier training has fitted is taken over (see pipelines/fits.py)."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from data.errors import KestrelError
from data.lake import Lake
from data.progress import Counted, Track, silent
from factors.judge import difference, summary
from models.blend import z_blend
from models.dataset import Dataset, Floats32, Sessions
from models.folds import Fold
from models.registry import kind
from models.walk import correlations, scores
from pipelines.build import current_factors
from pipelines.config import Config
from pipelines.fits import CHANCELESS, HOME, NAMED, Fit, abreast, code, fit_all, make_all, plan, reached, scored, seeds_of
from pipelines.holdout import seen, until_of
from pipelines.prepare import dataset_of, digest, names_of
from pipelines.runs import DONE, read_json, write_frame, write_json
from pipelines.scale import ScaleSettings, spread
from pipelines.sharing import is_shared, share, shared
from pipelines.versions import record

if TYPE_CHECKING:
    from models.ranker.ring import Ring

BASELINE = "five_factors"


@dataclass(frozen=True)
class Training:
    """A config, the folder of its results, and its fits."""

    config: Config
    folder: Path
    fits: tuple[Fit, ...]

    @property
    def folds(self) -> list[Fold]:
        """Its folds in order."""
        return list({fit.fold.name: fit.fold for fit in self.fits}.values())


@dataclass(frozen=True)
class Piece:
    """Fits that are made together, and the spans [start, stop) of sessions that each scores, in plain values, for another process."""

    dataset: str  # the folder of the shared dataset
    config: str
    spans: tuple[tuple[str, tuple[tuple[int, int], ...]], ...]  # by key


@dataclass
class Task:
    """A fit to be made, as a config words it, and the spans of sessions that it is to score."""

    fit: Fit
    config: str
    spans: dict[tuple[int, int], Sessions] = field(default_factory=dict)


def ground_of(lake: Lake, config: Config) -> dict[str, Any]:
    """All that a dataset depends on."""
    settings = config.model_dump(mode="json", include={"universe": True, "labels": True, "factors": {"clean"}})
    return {**settings, "names": names_of(lake, config), "factor_table": current_factors(lake), "versions": _versions(lake), **until_of(lake)}


def identity(lake: Lake, config: Config) -> dict[str, Any]:
    """All that a training's numbers depend on."""
    settings = config.model_dump(mode="json", include={"universe", "factors", "labels", "walk", "train", "model"})
    made_by = {name: code(kind(name).model) for name in config.train.models}
    return {**settings, "factor_table": current_factors(lake), "versions": _versions(lake), "code": made_by, **until_of(lake)}


def _versions(lake: Lake) -> dict[str, int]:
    return {name: lake.version(name) for name in ("bars", "members") if lake.has(name)}


def folder_of(lake: Lake, config: Config) -> Path:
    """Where the training of this config on this lake lives."""
    return Path(config.runs) / f"train-{digest(identity(seen(lake, config.holdout), config))}"


def train(lake: Lake, config: Config, *, track: Track = silent) -> tuple[Path, bool]:
    """Train whatever isn't yet.  (the run's folder, whether anything was done)

    Raises KestrelError where the config and the data don't fit together.
    """
    return train_all(lake, [config], track=track)[0]


def train_all(lake: Lake, configs: Sequence[Config], *, track: Track = silent) -> list[tuple[Path, bool]]:
    """Train several configs on one dataset, each fit that they share once.  (each run's folder, whether anything was done)

    Raises ValueError for configs that don't share their lake, runs, universe, labels and factors.
    """
    from models.ranker.ring import joined  # torch takes seconds to import

    with joined() as ring:
        return _train_all(seen(lake.pin(), configs[0].holdout), configs, ring, track if ring.leads else silent)


def _train_all(lake: Lake, configs: Sequence[Config], ring: "Ring", track: Track) -> list[tuple[Path, bool]]:
    """Every member of a ring makes the same plan; the first one alone writes, and fits what doesn't train in a ring."""
    folders = [folder_of(lake, config) for config in configs]
    todo = {folder: config for folder, config in zip(folders, configs, strict=True) if not (folder / DONE).is_file()}
    if not todo:
        return [(folder, False) for folder in folders]
    first = next(iter(todo.values()))
    ground = ground_of(lake, first)
    if any(config.runs != first.runs or ground_of(lake, config) != ground for config in todo.values()):
        raise ValueError("configs that train together share their runs, universe, labels and factors")
    if ring.size > 1 and first.scale.on != "local":
        raise KestrelError(f"torchrun started {ring.size} processes, and scale.on is {first.scale.on}. Set scale.on to local, or leave torchrun out.")
    place = None if first.scale.on == "local" else Path(first.runs) / f"dataset-{digest(ground)}"
    dataset = _dataset(lake, first, ground, place, track)
    trainings = [Training(config, folder, tuple(plan(dataset.axes, ground, config))) for folder, config in todo.items()]
    tasks = _tasks(trainings, dataset)
    ring.wait()  # nobody writes before all have seen what there is
    if not ring.leads:
        _help(tasks, dataset)
        ring.wait()
        return [(folder, folder in todo) for folder in folders]
    for training in trainings:
        _announce(training, lake, dataset)
    _fit(tasks, dataset, place, first.scale, track)
    for training in trainings:
        _conclude(training, dataset)
    ring.wait()
    if place is not None:
        shutil.rmtree(place)
    return [(folder, folder in todo) for folder in folders]


def _dataset(lake: Lake, config: Config, ground: dict[str, Any], place: Path | None, track: Track) -> Dataset:
    """The dataset; given a place, mapped from the files there, so that it is held once for all processes."""
    if place is None:
        return dataset_of(lake, config, track=track)
    if not is_shared(place):
        share(dataset_of(lake, config, track=track), ground, place)
    return shared(place)[0]


def _announce(training: Training, lake: Lake, dataset: Dataset) -> None:
    """Write what the training is, and which fits it names, before any is made, so that none is taken for one that nobody needs."""
    folder, dates = training.folder, dataset.axes.dates
    write_json(folder / "config.json", training.config.model_dump(mode="json"))
    write_json(folder / "identity.json", identity(lake, training.config))
    record(folder, lake)
    write_json(folder / "folds.json", [_described(fold, dataset) for fold in training.folds])
    if not (folder / NAMED).is_file():  # one that was interrupted took over what was done when it began
        entries = [
            {"fold": fit.fold.name, "model": fit.model, "seed": fit.seed, "fit": fit.key, "taken_over": fit.done,
             "scores": fit.file(dataset.axes, fit.fold.test).name, "test": [dates[fit.fold.test[0]], dates[fit.fold.test[-1]]]}
            for fit in training.fits
        ]  # fmt: skip
        write_json(folder / NAMED, entries)


def _tasks(trainings: Sequence[Training], dataset: Dataset) -> list[Task]:
    """What isn't made or scored yet, each fit once however many trainings want it."""
    found: dict[str, Task] = {}
    for training in trainings:
        text = training.config.model_dump_json()
        for fit in training.fits:
            test = fit.fold.test
            if not (fit.done and fit.file(dataset.axes, test).is_file()):
                found.setdefault(fit.key, Task(fit, text)).spans[int(test[0]), int(test[-1]) + 1] = test
    return list(found.values())


def _fit(tasks: Sequence[Task], dataset: Dataset, place: Path | None, scale: ScaleSettings, track: Track) -> None:
    """Make and score every fit of the tasks; those of a blend's members come before it."""
    of = {task.fit.key: task for task in tasks}
    for blends in (False, True):
        todo = [task.fit for task in tasks if bool(task.fit.members) == blends]
        if place is None:
            for group in track(abreast(todo), "train"):
                make_all(group, dataset, {fit.key: list(of[fit.key].spans.values()) for fit in group}, track=track)
        elif todo:
            todo.sort(key=lambda fit: fit.weight, reverse=True)  # the longest first, so that nobody waits for one at the end
            pieces = [
                Piece(str(place), of[group[0].key].config, tuple((fit.key, tuple(of[fit.key].spans)) for fit in group)) for group in abreast(todo)
            ]
            for _ in track(Counted(spread(_elsewhere, pieces, scale, ahead=len(pieces)), len(pieces)), "train"):
                pass


def _help(tasks: Sequence[Task], dataset: Dataset) -> None:
    """The part of a ring's other members: they train what trains in a ring, and keep nothing."""
    for group in abreast([task.fit for task in tasks if not task.fit.members]):
        if hasattr(kind(group[0].model).model, "fit_seeds"):
            fit_all(group, dataset)


def _elsewhere(piece: Piece) -> None:
    """Make fits in a process that has nothing but the shared dataset."""
    dataset, fits = _bench(piece.dataset, piece.config)
    make_all([fits[key] for key, _ in piece.spans], dataset, {key: [np.arange(*span) for span in spans] for key, spans in piece.spans})


@lru_cache(maxsize=16)
def _bench(place: str, text: str) -> tuple[Dataset, dict[str, Fit]]:
    """(the shared dataset, a config's fits by key)."""
    dataset, ground = _mapped(place)
    return dataset, {fit.key: fit for fit in plan(dataset.axes, ground, Config.model_validate_json(text))}


@lru_cache(maxsize=1)
def _mapped(place: str) -> tuple[Dataset, dict[str, Any]]:
    return shared(Path(place))


def _conclude(training: Training, dataset: Dataset) -> None:
    """Scores of each model over all folds, its daily correlations and its summary; the summary is written last."""
    config, folder = training.config, training.folder
    test = np.concatenate([fold.test for fold in training.folds])
    frames, daily, results = [], [], []
    for model in config.train.models:
        own = [fit for fit in training.fits if fit.model == model]
        seeds = [np.concatenate([scored(fit, dataset, fit.fold.test) for fit in own if fit.seed == seed]) for seed in seeds_of(model, config)]
        together = ensemble(seeds)
        frames.append(scores(together, dataset.axes, test, model))
        valid = float(np.mean([reached(fit, config.train.horizon) for fit in own]))
        for horizon in config.labels.horizons:
            series, row = _judged(dataset, test, together, seeds, horizon)
            daily.append(series.select(pl.lit(model).alias("model"), pl.all()))
            results.append({"model": model, **row, "valid_rank_ic": valid})
    write_frame(folder / "scores.parquet", pl.concat(frames).sort("date", "symbol", "model"))
    write_frame(folder / "daily.parquet", pl.concat(daily))
    main = [row for row in results if row["horizon"] == config.train.horizon]
    chosen = max(main, key=lambda row: row["valid_rank_ic"])["model"]
    span = [dataset.axes.dates[test[0]].isoformat(), dataset.axes.dates[test[-1]].isoformat()]
    write_json(folder / DONE, {"chosen": chosen, "span": span, "models": _compared(results, pl.concat(daily))})


def fits_of(folder: Path) -> list[dict[str, Any]]:
    """A line for each fit that a training names: fold, model, seed, fit (its key), taken_over, scores (its file), test (first, last)."""
    found: list[dict[str, Any]] = read_json(folder / NAMED)
    return found


def home_of(folder: Path, entry: dict[str, Any]) -> Path:
    """The folder of a fit that a training names."""
    return folder.parent / HOME / str(entry["fit"])


def seed_scores(folder: Path) -> pl.DataFrame | None:
    """Scores of a finished training by model and seed over all folds, for models with several seeds; None where none has."""
    config = read_json(folder / "config.json")["train"]
    several = [entry for entry in fits_of(folder) if entry["model"] in config["models"] and entry["model"] not in CHANCELESS]
    if len(config["seeds"]) < 2 or not several:
        return None
    frames = [
        pl.read_parquet(home_of(folder, entry) / entry["scores"]).select(
            "date", "symbol", pl.lit(entry["model"]).alias("model"), pl.col("score").cast(pl.Float64), pl.lit(entry["seed"]).alias("seed")
        )
        for entry in several
    ]
    return pl.concat(frames).sort("model", "seed", "date", "symbol")


def ensemble(seeds: Sequence[Floats32]) -> Floats32:
    """The equal z-blend of one model's seeds; a single seed as it is."""
    if len(seeds) == 1:
        return seeds[0]
    named = {str(place): found for place, found in enumerate(seeds)}
    return z_blend(named, dict.fromkeys(named, 1 / len(seeds)))


def _judged(dataset: Dataset, test: Sessions, together: Floats32, seeds: Sequence[Floats32], horizon: int) -> tuple[pl.DataFrame, dict[str, Any]]:
    """(daily correlations of the ensemble, its summary beside the mean and deviation of its seeds)."""
    ic, rank_ic = correlations(dataset, test, together, horizon)
    each = [summary(*correlations(dataset, test, found, horizon)) for found in seeds]
    row: dict[str, Any] = {"horizon": horizon, **summary(ic, rank_ic).__dict__}
    for name in ("ic", "icir", "rank_ic", "rank_icir") if len(each) > 1 else ():
        found = [getattr(one, name) for one in each]
        row |= {f"{name}_seeds": float(np.mean(found)), f"{name}_sd": float(np.std(found, ddof=1))}
    days = [dataset.axes.dates[session] for session in test]
    return pl.DataFrame({"date": days, "horizon": horizon, "ic": ic, "rank_ic": rank_ic}), row


def _compared(results: list[dict[str, Any]], daily: pl.DataFrame) -> list[dict[str, Any]]:
    """Each row with the block-bootstrap interval of its RankIC less the baseline's on the same dates."""
    series = {key: group["rank_ic"].to_numpy() for key, group in daily.partition_by(["model", "horizon"], as_dict=True, maintain_order=True).items()}
    for row in results:
        base = series.get((BASELINE, row["horizon"]))
        if base is not None and row["model"] != BASELINE:
            gap = difference(series[row["model"], row["horizon"]], base)
            row |= {"over_baseline": gap.mean, "over_baseline_low": gap.low, "over_baseline_high": gap.high}
    return results


def _described(fold: Fold, dataset: Dataset) -> dict[str, Any]:
    dates = dataset.axes.dates
    parts = {"train": fold.train, "valid": fold.valid, "test": fold.test}
    return {"name": fold.name, **{name: [dates[rows[0]], dates[rows[-1]], len(rows)] for name, rows in parts.items()}}
