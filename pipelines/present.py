"""Present: what a run found, as a table on the terminal."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl

from backtest.futures.result import PARTS
from backtest.sweep import AXES, MEASURES
from pipelines.config import Config
from pipelines.console import say, show
from pipelines.fits import RECORD, named
from pipelines.ledger import Ledger
from pipelines.publication import MANIFEST
from pipelines.runs import DONE, read_json
from pipelines.sweep import top
from pipelines.train import fits_of

MODEL_COLUMNS = (
    "model",
    "horizon",
    "ic",
    "icir",
    "rank_ic",
    "rank_icir",
    "rank_ic_seeds",
    "rank_ic_sd",
    "valid_rank_ic",
    "over_baseline",
    "over_baseline_low",
    "over_baseline_high",
)
ACCOUNT_COLUMNS = (
    "model", "annual_return", "benchmark_annual_return", "excess_geometric", "excess_geometric_seeds", "excess_geometric_sd",
    "tracking_error", "information_ratio", "excess_max_drawdown", "turnover", "cost", "hit_rate",
)  # fmt: skip
HEDGED_COLUMNS = ("annual_return", "volatility", "sharpe", "max_drawdown", *PARTS, "mean_margin", "calls")


def show_training(folder: Path, config: Config) -> None:
    """The models of a training side by side, the one chosen, and how often these dates were looked at."""
    found = read_json(folder / DONE)
    rows = [{name: row[name] for name in MODEL_COLUMNS if row.get(name) is not None} for row in found["models"]]
    first, last = (pl.Series([day]).str.to_date()[0] for day in found["span"])
    show(rows, title=f"{folder}: test {first} to {last}; chosen on validation dates: {found['chosen']}")
    ideas = [f"{row['model']}:{folder.name}" for row in found["models"]]
    count = Ledger(Path(config.runs) / "ledger.db").record("model", ideas, first, last)
    fits = fits_of(folder)
    taken = sum(entry["taken_over"] for entry in fits)
    say(f"{len(fits)} fits, {taken} of them taken over from earlier trainings. Evaluations so far on dates that overlap these: {count}")


def show_fits(runs: Path, *, delete: bool, as_json: bool) -> None:
    """Every fit with the trainings that name it; those that none names are deleted where that is asked for."""
    rows = []
    for home, trainings in named(runs).items():
        record = read_json(home / RECORD) if (home / RECORD).is_file() else {}
        size = sum(path.stat().st_size for path in home.rglob("*") if path.is_file()) / 1e6
        known = {name: record.get(name) for name in ("model", "seed", "seconds")}
        spans = {name: f"{record[name][0]} to {record[name][1]}" if record else None for name in ("train", "valid")}
        rows.append({"fit": home.name, **known, **spans, "megabytes": size, "trainings": " ".join(trainings)})
        if delete and not trainings:
            shutil.rmtree(home)
    show(rows, title="Fits, those without a training deleted" if delete else "Fits", as_json=as_json)


def show_backtest(folder: Path, *, as_json: bool) -> None:
    """The accounts of a backtest side by side."""
    found = read_json(folder / DONE)
    rows = found["models"] if as_json else [{name: row[name] for name in ACCOUNT_COLUMNS if row.get(name) is not None} for row in found["models"]]
    show(rows, title=f"{folder}: {found['span'][0]} to {found['span'][1]}, scores of {found['source']}", as_json=as_json)
    if not as_json and "hedged_annual_return" in found["models"][0]:
        hedged = [{"model": row["model"], **{name: row[f"hedged_{name}"] for name in HEDGED_COLUMNS}} for row in found["models"]]
        show(hedged, title="The same accounts short of index futures, against cash; parts of mean equity a year")


def show_sweep(folder: Path, *, as_json: bool) -> None:
    """The best configurations of a sweep, and how much of the best is luck."""
    rows, words = top(folder)
    shown = rows if as_json else [{name: row[name] for name in (*AXES, *MEASURES[:4], "turnover", "cost")} for row in rows]
    show(shown, title=str(folder), as_json=as_json)
    say(f"{words}\n{folder / 'sweep.html'}")


def show_status(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    """The last batches: what came of each, how long it took and where the time went."""
    if not as_json:
        rows = [
            {
                "session": row["session"],
                "began (UTC)": row["began"],
                "outcome": row["outcome"] or "running",
                "orders": row["orders"],
                "seconds": row["seconds"],
                "longest": max(row["steps"].items(), key=lambda step: float(step[1]), default=("", 0.0))[0],
                "said": "; ".join([*((row["reason"] or "").splitlines()[:1]), *row["warnings"]]),
            }
            for row in rows
        ]
    show(rows, title="The last batches", as_json=as_json)


def show_signal(folder: Path, *, written: bool, as_json: bool, first: int | None = None) -> None:
    """The orders of a published signal, all or the first of them, and where they lie."""
    manifest = read_json(folder / MANIFEST)
    orders = pl.read_csv(folder / "orders.csv")
    title = f"Orders for {manifest['trade_on']} from the close of {manifest['session']} by {manifest['model']}"
    shown = orders.head(first or orders.height)
    show(shown.to_dicts(), title=title + (f", the first {shown.height} of {orders.height}" if shown.height < orders.height else ""), as_json=as_json)
    say(f"{folder / 'orders.csv'}{'' if written else ' (unchanged)'}")
