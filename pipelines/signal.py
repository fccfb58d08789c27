"""Signal: from a session's close to the orders of the next, published whole or not at all."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from backtest.market import Market
from backtest.orders import next_orders
from backtest.strategies import TopkBuffer, TopkDropout
from data.calendar import Sessions
from data.errors import KestrelError
from data.lake import Lake
from data.symbols import symbol
from models.registry import load
from models.walk import scores
from pipelines.config import Config
from pipelines.prepare import dataset_of, digest
from pipelines.runs import DONE, latest, read_json, write_json
from pipelines.train import fits_of, home_of

LOOKBACK = 90  # sessions read before the signal's: what a model with a memory looks back on, and more than a suspended holding needs
MANIFEST = "manifest.json"


def signal(lake: Lake, config: Config, *, day: date | None = None, model: str | None = None, positions: Path | None = None) -> tuple[Path, bool]:
    """Publish the orders for the session after `day`, by default the last one with factors.  (folder, whether it was written)

    The model is the one that the latest training chose on its validation dates, fitted on dates before `day`.
    Raises KestrelError for a date without data, for positions that can't be read, and for a strategy by weights.
    """
    strategy = config.backtest.strategy
    if config.backtest.sleeves or not isinstance(strategy, TopkDropout | TopkBuffer):
        found = "backtest.sleeves" if config.backtest.sleeves else f"backtest.strategy {strategy.kind}"
        raise KestrelError(f"Orders of {found} aren't written yet, only simulated. Choose topk_buffer or topk_dropout for kestrel signal.")
    lake = lake.pin()
    sessions = Sessions.of(lake.read("calendar"))
    there = lake.scan("factors").select(pl.col("date").unique().sort()).collect()["date"].to_list()
    day = day or there[-1]
    if day not in there:
        raise KestrelError(
            f"{day} is not a session with factors: the lake has {there[0]} to {there[-1]}. Choose one of them, or bring the lake up to date."
        )
    training = latest(Path(config.runs), "train")
    chosen = model or read_json(training / DONE)["chosen"]
    home = model_home(training, chosen, day)
    held = read_positions(positions) if positions else {}
    inputs = {"day": day, "fit": home.parent.name, "training": training.name, "held": held, "versions": lake.versions()}
    identity = digest({**inputs, **config.model_dump(mode="json", include={"backtest", "rules", "universe", "factors"})})
    folder = Path(config.signals) / day.isoformat()
    if (folder / MANIFEST).is_file() and read_json(folder / MANIFEST)["identity"] == identity:
        return folder, False
    opinions, orders = decide(lake, config, strategy, day, home, held, sessions)
    manifest = {"identity": identity, "session": day, "trade_on": sessions.next(day), "model": chosen, **inputs}
    publish(folder, {"orders.csv": orders, "scores.csv": opinions}, manifest)
    return folder, True


def decide(
    lake: Lake, config: Config, strategy: TopkDropout | TopkBuffer, day: date, home: Path, held: Mapping[str, float], sessions: Sessions
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(scores of `day`, orders for the session after it), from tables up to `day` alone."""
    start = sessions.dates[max(sessions.dates.index(day) - LOOKBACK, 0)]
    dataset = dataset_of(lake, config, start=start, end=day)
    last = np.array([len(dataset.axes.dates) - 1])
    score_SN = load(home).score(dataset, last)
    rules, axes = config.exchange_rules(), dataset.axes
    bars, calendar = lake.read("bars", start=start, end=day), lake.read("calendar")
    dividends = _announced(lake, day)
    number = {row["date"]: row["session"] for row in calendar.iter_rows(named=True)}
    market = Market.of(bars, lake.read("securities"), dividends, axes, price_basis=lake.price_basis, first_session=number[axes.dates[0]], rules=rules)
    shares = {name: int(count) for name, count in held.items() if name != "cash"}
    orders = next_orders(
        score_SN[0].astype(np.float64),
        shares,
        held.get("cash", 0.0 if held else config.backtest.simulation.cash),
        market,
        session=sessions.next(day),
        strategy=strategy,
        costs=config.backtest.costs,
        session_number=number[sessions.next(day)] if shares else None,
        dividends=dividends if lake.price_basis == "raw" else None,
        buys=config.backtest.simulation.buys,
        rules=rules,
    )
    return scores(score_SN, axes, last, "").drop("model").sort("rank"), orders


def _announced(lake: Lake, day: date) -> pl.DataFrame:
    """Dividends that are public at the close of `day`."""
    if not lake.has("dividends"):
        return pl.DataFrame(schema={"symbol": pl.String, "ex_date": pl.Date})
    return lake.read("dividends").filter(pl.min_horizontal("ex_date", "announced_on") <= day)


def model_home(training: Path, model: str, day: date) -> Path:
    """The saved model whose fold tests `day`, or the last fold's after the end; one that saw `day` in training is never used."""
    folds = read_json(training / "folds.json")
    started = [fold for fold in folds if date.fromisoformat(fold["test"][0]) <= day]
    if not started:
        raise KestrelError(f"Every model of {training.name} was fitted on dates after {day}: the first fold tests from {folds[0]['test'][0]}.")
    entries = [entry for entry in fits_of(training) if (entry["fold"], entry["model"]) == (started[-1]["name"], model)]
    if not entries:
        raise KestrelError(f"{training.name} has no model '{model}'. It trained: {', '.join(sorted({one['model'] for one in fits_of(training)}))}.")
    return home_of(training, min(entries, key=lambda entry: entry["seed"])) / "model"


def read_positions(path: Path) -> dict[str, float]:
    """Positions of a CSV with symbol, shares; a row 'cash' gives CNY.  Raises KestrelError naming the row that can't be read."""
    if not path.is_file():
        raise KestrelError(f"There is no positions file {path}. It is a CSV with the columns symbol, shares and a row for cash.")
    frame = pl.read_csv(path, infer_schema=False)
    if not {"symbol", "shares"} <= set(frame.columns):
        raise KestrelError(f"{path} has the columns {', '.join(frame.columns)}; it needs symbol and shares.")
    held: dict[str, float] = {}
    for number, (name, count) in enumerate(frame.select("symbol", "shares").iter_rows(), start=2):
        try:
            held["cash" if name == "cash" else symbol(name)] = float(count)
        except (TypeError, ValueError, KestrelError):
            raise KestrelError(f"{path} line {number}: '{name}', '{count}' is no holding. Write 600000.SH,1200 or cash,50000.") from None
    return held


def publish(folder: Path, tables: Mapping[str, pl.DataFrame], manifest: Mapping[str, Any]) -> None:
    """Write the files beside, then move the folder into place; the manifest holds their hashes."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    sums = {}
    for name, frame in tables.items():
        content = frame.write_csv(float_precision=6).encode()
        (beside / name).write_bytes(content)
        sums[name] = hashlib.sha256(content).hexdigest()
    write_json(beside / MANIFEST, json.loads(json.dumps({**manifest, "sha256": sums}, default=str)))
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.rename(folder, old)
    os.rename(beside, folder)
    shutil.rmtree(old, ignore_errors=True)
