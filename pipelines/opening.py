"""Opening: a family's models trained and traded once more, to the end of the holdout; once, whatever comes of it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from backtest.metrics import geometric_excess, information_ratio
from data.errors import KestrelError
from data.lake import Lake
from data.progress import Track, silent
from factors.judge import summary
from models.registry import kind
from pipelines.config import Config, stored
from pipelines.diary import log_backtest, log_training
from pipelines.holdout import OPENED, HoldoutSettings, unsealed
from pipelines.ledger import Ledger
from pipelines.lookup import find
from pipelines.runs import write_json
from pipelines.trade import backtest, trained_scores
from pipelines.train import folder_of, train

Row = dict[str, Any]


class Opened(NamedTuple):
    """The training and the backtest that saw the holdout, and a row {model, dates, …} of figures before it and in it."""

    training: Path
    accounts: Path
    rows: list[Row]


def family(model: str) -> str:
    """The family of a model: all that are made by one module of Kestrel; a user's own is one by itself."""
    return model if ":" in model else str(kind(model).model.__module__).split(".")[1]


def open_holdout(lake: Lake, config: Config, name: str, run: str = "latest", *, track: Track = silent) -> Opened:
    """Train and trade a family's models of a training with the holdout in sight, and tell their figures there.

    The opening is written down before anything is looked at: in the ledger, in the folders of both runs, in MLflow.  The same opening
    goes on where it was interrupted.  Raises KestrelError without a holdout, for a family that the training lacks, and for a second one.
    """
    held = config.holdout
    if held.begin is None:
        raise KestrelError("The config names no holdout. Add to kestrel.toml: [holdout] and begin = 2025-07-01, before anything is trained.")
    found = find(config, run, ("train",))
    own = _alone(stored(found.folder / "config.json", config), name, held)
    whole = unsealed(lake.pin(), held)
    training = folder_of(whole, own)
    opening = Ledger(Path(config.runs) / "ledger.db").open(name, held.begin, held.end, training.name)
    if opening.run != training.name:
        raise KestrelError(
            f"The holdout {held} was opened for the family '{name}' on {opening.at[:10]} by {opening.run}, and opens once. "
            f"Name later sessions in [holdout]; what was found: kestrel compare {opening.run} …"
        )
    made = {"family": name, "begin": held.begin, "end": held.end, "opened": opening.at, "of": found.folder.name}
    write_json(training / OPENED, made)
    folder, _ = train(whole, own, track=track)
    assert folder == training
    source = trained_scores(Path(config.runs), training)
    accounts, _ = backtest(whole, own, source, track=track)
    write_json(accounts / OPENED, {**made, "opened": opening.at})
    log_training(training, own)
    log_backtest(accounts, own, source)
    rows = _figures(training, accounts, own, held)
    write_json(training / "opening.json", {**made, "written": datetime.now(UTC).isoformat(timespec="seconds"), "figures": rows})
    return Opened(training, accounts, rows)


def _alone(config: Config, name: str, held: HoldoutSettings) -> Config:
    """The config with one family's models, tested and traded to the end of the holdout."""
    there = {model: family(model) for model in config.train.models}
    models = tuple(model for model, own in there.items() if own == name)
    if not models:
        raise KestrelError(f"The training has no model of a family '{name}'. It has: {', '.join(dict.fromkeys(there.values()))}.")
    train = config.train.model_copy(update={"models": models})
    walk, traded = config.walk.model_copy(update={"last": held.end}), config.backtest.model_copy(update={"end": held.end})
    return config.model_copy(update={"train": train, "walk": walk, "backtest": traded})


def _figures(training: Path, accounts: Path, config: Config, held: HoldoutSettings) -> list[Row]:
    """A row a model and part: its correlations and its account before the holdout and in it."""
    daily = pl.read_parquet(training / "daily.parquet").filter(pl.col("horizon") == config.train.horizon)
    rows = []
    for model in config.train.models:
        nav = pl.read_parquet(accounts / model / "nav.parquet")
        for part, inside in (("before", pl.col("date") < held.begin), ("holdout", pl.col("date") >= held.begin)):
            ics, days = daily.filter(inside, pl.col("model") == model), nav.filter(inside)
            r_D, b_D = days["return"].to_numpy(), days["benchmark_return"].to_numpy()
            known = summary(ics["ic"].to_numpy(), ics["rank_ic"].to_numpy())
            row: Row = {"model": model, "dates": part, "sessions": days.height, "rank_ic": known.rank_ic, "rank_icir": known.rank_icir}
            rows.append({**row, "excess_geometric": geometric_excess(r_D, b_D), "information_ratio": information_ratio(r_D, b_D)})
    return rows
