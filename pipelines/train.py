"""Train: every fold, model and seed of a config, walk-forward; each piece is saved as it is done, so a second run completes the first."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data.lake import Lake
from data.panel import to_panel
from data.progress import Track, silent
from factors.judge import difference, summary
from models.blend import Blend, BlendSettings, z_blend
from models.dataset import Dataset
from models.folds import Fold, folds
from models.model import Model
from models.registry import create, kind, load
from models.walk import correlations, scores
from pipelines.build import current_factors
from pipelines.config import Config
from pipelines.prepare import dataset_of, digest
from pipelines.runs import DONE, read_json, write_frame, write_json
from pipelines.versions import record

BASELINE = "five_factors"


@dataclass(frozen=True)
class Job:
    """One model with one seed on one fold, and where its pieces are kept."""

    fold: Fold
    model: str
    seed: int
    folder: Path

    @property
    def home(self) -> Path:
        """The saved model's folder."""
        return self.folder / "models" / self.fold.name / f"{self.model}-{self.seed}"

    @property
    def checkpoints(self) -> Path:
        """Where a long fit keeps its state until the model is saved."""
        return self.folder / "checkpoints" / f"{self.fold.name}.{self.model}-{self.seed}"

    @property
    def scores(self) -> Path:
        """Its scores of the fold's test sessions; written last, so their presence means the job is done."""
        return self.folder / "scores" / f"{self.fold.name}.{self.model}-{self.seed}.parquet"

    @property
    def judged(self) -> Path:
        """What it reached on the fold's validation sessions."""
        return self.folder / "scores" / f"{self.fold.name}.{self.model}-{self.seed}.json"


def identity(lake: Lake, config: Config) -> dict[str, Any]:
    """All that a training's numbers depend on."""
    settings = config.model_dump(mode="json", include={"universe", "factors", "labels", "walk", "train", "model"})
    return {
        **settings,
        "factor_table": current_factors(lake),
        "versions": {name: lake.version(name) for name in ("bars", "members") if lake.has(name)},
    }


def folder_of(lake: Lake, config: Config) -> Path:
    """Where the training of this config on this lake lives."""
    return Path(config.runs) / f"train-{digest(identity(lake, config))}"


def train(lake: Lake, config: Config, *, track: Track = silent) -> tuple[Path, bool]:
    """Train whatever isn't yet.  (the run's folder, whether anything was done)

    Raises KestrelError where the config and the data don't fit together.
    """
    lake = lake.pin()
    folder = folder_of(lake, config)
    if (folder / DONE).is_file():
        return folder, False
    dataset = dataset_of(lake, config, track=track)
    walk = folds(dataset.axes, config.walk, reach=config.labels.reach)
    write_json(folder / "config.json", config.model_dump(mode="json"))
    write_json(folder / "identity.json", identity(lake, config))
    record(folder, lake)
    write_json(folder / "folds.json", [_described(fold, dataset) for fold in walk])
    jobs = [Job(fold, model, seed, folder) for fold in walk for model in in_order(config.train.models) for seed in seeds_of(model, config)]
    for job in track(jobs, "train"):
        if not job.scores.is_file():
            _run(job, dataset, config, track)
    _conclude(folder, jobs, dataset, config)
    return folder, True


def in_order(models: Sequence[str]) -> list[str]:
    """Blends last: they are made of the others."""
    return sorted(models, key=lambda name: isinstance(kind(name).defaults, BlendSettings))


def seeds_of(model: str, config: Config) -> tuple[int, ...]:
    """The config's seeds; a model without chance in it needs one alone."""
    return config.train.seeds[:1] if model in ("ridge", BASELINE) else config.train.seeds


def _run(job: Job, dataset: Dataset, config: Config, track: Track) -> None:
    """Fit, save, judge on the validation sessions, score the test sessions."""
    model = _fitted(job, dataset, config, track)
    model.save(job.home)
    found = summary(*correlations(dataset, job.fold.valid, model.score(dataset, job.fold.valid), config.train.horizon))
    write_json(job.judged, found.__dict__)
    frame = scores(model.score(dataset, job.fold.test), dataset.axes, job.fold.test, job.model)
    write_frame(job.scores, frame)
    shutil.rmtree(job.checkpoints, ignore_errors=True)


def _fitted(job: Job, dataset: Dataset, config: Config, track: Track) -> Model:
    """The job's model; a blend takes the members that are fitted already."""
    settings = config.model_settings()
    chosen = settings[job.model]
    if isinstance(chosen, BlendSettings) and set(chosen.members) <= set(config.train.models):
        homes = [
            Job(job.fold, name, job.seed if job.seed in seeds_of(name, config) else config.train.seeds[0], job.folder).home for name in chosen.members
        ]
        blend = Blend([load(home) for home in homes], chosen)
        blend.weigh_members(dataset, job.fold.valid)
        return blend
    model = create(job.model, settings)
    model.fit(dataset, job.fold.train, job.fold.valid, seed=job.seed, track=track, checkpoints=job.checkpoints)
    return model


def _conclude(folder: Path, jobs: Sequence[Job], dataset: Dataset, config: Config) -> None:
    """Scores of each model over all folds, its daily correlations and its summary; the summary is written last."""
    test = np.concatenate([fold.test for fold in {job.fold.name: job.fold for job in jobs}.values()])
    frames, daily, results = [], [], []
    for model in config.train.models:
        own = [job for job in jobs if job.model == model]
        seeds = [_panel([job for job in own if job.seed == seed], dataset)[test] for seed in seeds_of(model, config)]
        together = _ensemble(seeds)
        frames.append(scores(together, dataset.axes, test, model))
        valid = float(np.mean([read_json(job.judged)["rank_ic"] for job in own]))
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


def seed_scores(folder: Path) -> pl.DataFrame | None:
    """Scores of a finished training by model and seed over all folds, for models with several seeds; None where none has."""
    frames = []
    for path in sorted((folder / "scores").glob("*.parquet")):
        frames.append(pl.read_parquet(path).with_columns(pl.lit(int(path.stem.rpartition("-")[2])).alias("seed")))
    found = pl.concat(frames).filter(pl.col("seed").n_unique().over("model") > 1)
    return found.sort("model", "seed", "date", "symbol") if found.height else None


def _ensemble(seeds: Sequence[np.ndarray]) -> np.ndarray:
    """The equal z-blend of one model's seeds; a single seed as it is."""
    if len(seeds) == 1:
        return seeds[0]
    named = {str(place): found for place, found in enumerate(seeds)}
    return z_blend(named, dict.fromkeys(named, 1 / len(seeds)))


def _judged(
    dataset: Dataset, test: np.ndarray, together: np.ndarray, seeds: Sequence[np.ndarray], horizon: int
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """(daily correlations of the ensemble, its summary beside the mean and deviation of its seeds)."""
    ic, rank_ic = correlations(dataset, test, together, horizon)
    each = [summary(*correlations(dataset, test, found, horizon)) for found in seeds]
    row: dict[str, Any] = {"horizon": horizon, **summary(ic, rank_ic).__dict__}
    for name in ("ic", "icir", "rank_ic", "rank_icir") if len(each) > 1 else ():
        found = [getattr(one, name) for one in each]
        row |= {f"{name}_seeds": float(np.mean(found)), f"{name}_sd": float(np.std(found, ddof=1))}
    days = [dataset.axes.dates[session] for session in test]
    return pl.DataFrame({"date": days, "horizon": horizon, "ic": ic, "rank_ic": rank_ic}), row


def _panel(jobs: Sequence[Job], dataset: Dataset) -> np.ndarray:
    """score_DN of one model and seed over all folds."""
    return to_panel(pl.concat([pl.read_parquet(job.scores) for job in jobs]), "score", dataset.axes).astype(np.float32)


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
