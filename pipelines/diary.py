"""Diary: finished runs written into MLflow, with all that a reader needs to find, compare and repeat them."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from backtest.metrics import relative_wealth
from backtest.sweep import AXES
from data.progress import Track, silent
from pipelines.config import Config
from pipelines.experiments import NOTE, Experiments
from pipelines.fits import RECORD
from pipelines.holdout import OPENED, shown
from pipelines.runs import DONE, read_json, write_json
from pipelines.trade import Source
from pipelines.train import fits_of, home_of
from pipelines.usage import Usage
from pipelines.versions import READ

Row = dict[str, Any]
LOGGED = "logged.json"  # its presence means that all of the run is in the store that it names
TRAINING = {"universe", "factors", "labels", "walk", "train", "holdout"}
TRADING = TRAINING | {"backtest", "rules"}
SWEEPING = TRADING | {"sweep"}


def log_training(folder: Path, config: Config, usage: Usage | None = None) -> None:
    """A parent run with the config and one child for each fold, model and seed, and one for each model over all folds."""
    if (store := _store(folder, config)) is None:
        return
    found, fits = read_json(folder / DONE), fits_of(folder)
    params = _params(config, TRAINING)
    tags = _tags(folder, "train", found["span"]) | {"kestrel.models": " ".join(config.train.models), "kestrel.chosen": found["chosen"]}
    note = f"{len(fits)} fits of {', '.join(config.train.models)}, tested {_span(found)}; chosen on validation dates: {found['chosen']}."
    files = [folder / name for name in ("config.json", "identity.json", "folds.json", READ, DONE)]
    parent = store.log(folder.name, tags={**tags, NOTE: note}, params=params, files=files, **_read(folder), usage=usage)
    for entry in fits:
        record = read_json(home_of(folder, entry) / RECORD)
        figures = {f"valid_{key}": value for key, value in record["reached"][str(config.train.horizon)].items()}
        own = {"kestrel.kind": "fit", "kestrel.run": folder.name, "kestrel.model": entry["model"], "kestrel.fold": entry["fold"]}
        own["kestrel.fit"] = entry["fit"]
        name = f"{entry['fold']} {entry['model']} seed {entry['seed']}"
        params = {"model": {entry["model"]: record["settings"]}, "seed": entry["seed"], "train": record["train"], "valid": record["valid"]}
        store.log(name, parent=parent, tags=own, params=params, metrics={**figures, "seconds": record["seconds"]})
    daily = pl.read_parquet(folder / "daily.parquet")
    for model, rows in by_model(found["models"]).items():
        metrics = {f"{key}_{row['horizon']}": value for row in rows for key, value in row.items() if isinstance(value, float)}
        own = {**tags, "kestrel.kind": "model", "kestrel.model": model}
        run = store.log(f"{folder.name}/{model}", parent=parent, tags=own, params=_params(config, TRAINING, model), metrics=metrics)
        for (horizon,), part in daily.filter(pl.col("model") == model).partition_by("horizon", as_dict=True, maintain_order=True).items():
            for figure in ("ic", "rank_ic") if horizon == config.train.horizon else ("rank_ic",):
                store.series(run, f"daily_{figure}_{horizon}", part["date"].to_list(), part[figure].to_numpy())
    _logged(folder, config, parent)


def log_backtest(folder: Path, config: Config, source: Source, usage: Usage | None = None) -> None:
    """A parent run with the config and one child for each account, by date its equity and its excess, with the ICs of its scores."""
    if (store := _store(folder, config)) is None:
        return
    found = read_json(folder / DONE)
    tags = _tags(folder, "backtest", found["span"]) | {"kestrel.source": source.name}
    note = f"Accounts of {', '.join(row['model'] for row in found['models'])}, {_span(found)}, scores of {source.name}, net of costs."
    files = [folder / name for name in ("config.json", READ, DONE)]
    parent = store.log(folder.name, tags={**tags, NOTE: note}, params=_params(config, TRADING), files=files, **_read(folder), usage=usage)
    known = by_model(source.results["models"]) if source.results and _honest(source, config) else {}
    for row in found["models"]:
        model, home = row["model"], folder / row["model"]
        ics = {f"{key}_{one['horizon']}": one[key] for one in known.get(model, []) for key in ("ic", "rank_ic", "rank_icir")}
        metrics = {key: value for key, value in row.items() if isinstance(value, float)} | ics
        own = {**tags, "kestrel.kind": "account", "kestrel.model": model}
        params = _params(config, TRADING, model)
        run = store.log(f"{folder.name}/{model}", parent=parent, tags=own, params=params, metrics=metrics, files=[home / "positions.json"])
        days = pl.read_parquet(home / "nav.parquet")
        relative = relative_wealth(days["return"].to_numpy(), days["benchmark_return"].to_numpy()) - 1
        for name, values in (("nav", days["nav"].to_numpy()), ("excess", relative)):
            store.series(run, name, days["date"].to_list(), values)
    _logged(folder, config, parent)


def log_sweep(folder: Path, config: Config, usage: Usage | None = None, track: Track = silent) -> None:
    """A parent run with the config, the page and what of the best is luck, and one child for each configuration."""
    if (store := _store(folder, config)) is None:
        return
    found, frame = read_json(folder / DONE), pl.read_parquet(folder / "sweep.parquet")
    own = _tags(folder, "sweep", found["span"]) | {"kestrel.source": found["source"], "kestrel.model": found["model"]}
    note = f"{frame.height} configurations over the scores of {found['model']}, {_span(found)}, {found['source']}, net of costs."
    luck = {key: value for key, value in found.items() if isinstance(value, float)}
    best = {f"best.{key}": value for key, value in found["best"].items()}
    files = [folder / name for name in ("config.json", READ, DONE, "sweep.html", "sweep.parquet")]
    params = _params(config, SWEEPING)
    parent = store.log(folder.name, tags={**own, NOTE: note}, params=params, metrics=luck | best, files=files, **_read(folder), usage=usage)
    for row in track(frame.to_dicts(), "mlflow"):
        point = {axis: row.pop(axis) for axis in AXES}
        name = ", ".join(f"{axis} {value:g}" for axis, value in point.items())
        store.log(name, parent=parent, tags={**own, "kestrel.kind": "configuration"}, params={"sweep": point}, metrics=row)
    _logged(folder, config, parent)


def log_page(page: Path, config: Config) -> None:
    """The report of an account beside its figures, where the account was logged."""
    home = page.parent
    Experiments(Path(config.runs), config.tracking).attach("account", home.parent.name, home.name, page)


def by_model(rows: list[Row]) -> dict[str, list[Row]]:
    """{model: its rows}."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["model"], []).append(row)
    return found


def _store(folder: Path, config: Config) -> Experiments | None:
    """The store that a run has still to be written into, without what an attempt that was stopped left there; None where it is in."""
    if (folder / LOGGED).is_file() and read_json(folder / LOGGED)["tracking"] == config.tracking:
        return None
    store = Experiments(Path(config.runs), config.tracking)
    store.forget(folder.name)
    return store


def _logged(folder: Path, config: Config, parent: str) -> None:
    write_json(folder / LOGGED, {"tracking": config.tracking, "run": parent})


def _params(config: Config, sections: set[str], model: str | None = None) -> dict[str, Any]:
    """The config by key, with the settings that the models really have, or one of them alone."""
    names = config.train.models if model is None else [name for name in config.train.models if name == model]
    settings = config.model_settings()
    return {**config.model_dump(mode="json", include=sections), "model": {name: settings[name].model_dump(mode="json") for name in names}}


def _tags(folder: Path, kind: str, span: list[str]) -> dict[str, str]:
    """What a run is found by."""
    made = read_json(folder / READ)
    git = made.get("git") or "none"
    tags = {"kestrel.kind": kind, "kestrel.run": folder.name, "kestrel.first": span[0], "kestrel.last": span[1], "kestrel.git": git}
    tags |= {"mlflow.source.name": f"kestrel {kind}", "mlflow.source.type": "LOCAL", "mlflow.source.git.commit": git.rstrip("+")}
    return tags | ({"kestrel.holdout": read_json(folder / OPENED)["family"]} if (folder / OPENED).is_file() else {})


def _read(folder: Path) -> Mapping[str, Any]:
    """The tables that a run read."""
    made = read_json(folder / READ)
    return {"tables": made["versions"], "lake": made["lake"]}


def _span(found: Row) -> str:
    return f"{found['span'][0]} to {found['span'][1]}"


def _honest(source: Source, config: Config) -> bool:
    """Whether the source's own figures may be shown."""
    assert source.results is not None
    return shown(Path(config.runs) / source.name, date.fromisoformat(source.results["span"][1]), config.holdout)
