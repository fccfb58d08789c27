"""Backtest: scores of every model become an account each, under the rules, against the index with dividends."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from backtest.benchmark import BenchmarkSettings
from backtest.covenant import breaches
from backtest.futures.result import NeutralResult
from backtest.metrics import geometric_excess, qlib_summary, summary
from backtest.result import Result
from data.errors import KestrelError
from data.lake import Lake
from data.progress import Track, silent
from data.validation import validated
from pipelines.config import Config, stored
from pipelines.given import folder_name, read_rows
from pipelines.holdout import seen, until_of
from pipelines.portfolio import Account, Ground, hedged, index_returns, trade, versions
from pipelines.prepare import digest
from pipelines.runs import DONE, latest, read_json, write_frame, write_json
from pipelines.train import seed_scores
from pipelines.versions import record

STACKED = "sleeves"  # the account of several strategies
OVER_SEEDS = (
    "excess_geometric", "excess_geometric_price", "information_ratio", "tracking_error", "excess_max_drawdown", "turnover", "cost",
    "qlib_annual_excess", "qlib_information_ratio", "qlib_max_drawdown",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """Scores to trade: where they come from, and what is known of them."""

    scores: pl.DataFrame
    name: str  # the training's folder, or the file's name
    digest: str
    results: dict[str, Any] | None  # of the training
    seeds: pl.DataFrame | None = None  # the scores of each seed by itself, where there are several: also the column seed


def trained_scores(runs: Path, training: Path | None = None) -> Source:
    """The scores of a training, by default the latest."""
    folder = training or latest(runs, "train")
    return Source(pl.read_parquet(folder / "scores.parquet"), folder.name, folder.name, read_json(folder / DONE), seed_scores(folder))


def scores_file(path: Path) -> Source:
    """Scores from anywhere: a CSV or Parquet file with date, symbol, score and perhaps model."""
    frame = read_rows(path, "scores")
    if "model" not in frame.columns:
        frame = frame.with_columns(pl.lit(path.stem).alias("model"))
    if "score" in frame.columns and "rank" not in frame.columns:
        frame = frame.with_columns(pl.col("score").rank("ordinal", descending=True).over("date", "model", order_by="symbol").alias("rank"))
    found = validated("scores", frame)
    strange = found.filter(~pl.col("score").is_finite())
    if strange.height:
        raise KestrelError(f"{path} has {strange.height} scores that are no finite number (first: {strange.row(0)[:4]}). Leave such rows out.")
    if found.is_empty():
        raise KestrelError(f"{path} has no scores.")
    return Source(found, path.name, digest({"scores": frame.hash_rows(seed=0).sum()}), None)


def backtest(lake: Lake, config: Config, source: Source, *, track: Track = silent) -> tuple[Path, bool]:
    """Trade every model's scores, or with sleeves all of them in one account.  (the run's folder, whether anything was done)"""
    lake = seen(lake.pin(), config.holdout)
    plain = config.model_dump(mode="json", include={"backtest", "rules"})
    folder = Path(config.runs) / f"backtest-{digest({'source': source.digest, 'versions': versions(lake, config), **plain, **until_of(lake)})}"
    if (folder / DONE).is_file():
        return folder, False
    ground = Ground.of(lake, config)
    rows = []
    for name in track(account_names(source.scores, config), "backtest"):
        account = trade(scores_of(source.scores, name, config), ground)
        hedge = hedged(account.result, ground)
        save(folder / name, account, hedge, ground)
        found = figures(account.result, ground) | ({f"hedged_{key}": value for key, value in hedge.summary().items()} if hedge else {})
        rows.append({"model": name, **found, **over_seeds(source, name, ground)})
    write_frame(folder / "scores.parquet", source.scores)
    write_json(folder / "config.json", config.model_dump(mode="json"))
    record(folder, lake)
    write_json(folder / DONE, {"source": source.name, "span": [account.result.dates[0], account.result.dates[-1]], "models": rows})
    return folder, True


def account_names(scores: pl.DataFrame, config: Config) -> list[str]:
    """An account a model, named after it; one of all of them where there are sleeves."""
    models = scores["model"].unique(maintain_order=True)
    return [STACKED] if config.backtest.sleeves else [folder_name(name, "The model") for name in models]


def scores_of(scores: pl.DataFrame, name: str, config: Config) -> pl.DataFrame:
    """The scores that an account trades."""
    return scores if config.backtest.sleeves else scores.filter(pl.col("model") == name)


def figures(result: Result, ground: Ground) -> dict[str, float]:
    """What an account reached against the benchmark, against the index without dividends, and as Qlib would report it."""
    benchmark = ground.config.backtest.benchmark
    total = index_returns(ground, result.dates, benchmark)
    price = index_returns(ground, result.dates, BenchmarkSettings(index=benchmark.index, kind="price"))
    found = summary(result, total) | {"excess_geometric_price": geometric_excess(result.returns_D, price)}
    return found | {f"qlib_{name}": value for name, value in qlib_summary(result, price).items()}


def over_seeds(source: Source, model: str, ground: Ground) -> dict[str, float]:
    """Mean and deviation of the main figures over a model's seeds, each traded by itself; nothing where it has one seed."""
    own = [] if source.seeds is None else source.seeds.filter(pl.col("model") == model).partition_by("seed", maintain_order=True)
    if len(own) < 2:
        return {}
    each = [figures(trade(scores, ground).result, ground) for scores in own]
    found: dict[str, float] = {}
    for name in OVER_SEEDS:
        values = [one[name] for one in each]
        found |= {f"{name}_seeds": float(np.mean(values)), f"{name}_sd": float(np.std(values, ddof=1))}
    return found


def save(folder: Path, account: Account, hedge: NeutralResult | None, ground: Ground) -> None:
    """The account by day, its orders and last holdings, and what the making of its book left behind, as plain files."""
    result, trail, settings = account.result, account.trail, ground.config.backtest
    total = index_returns(ground, result.dates, settings.benchmark)
    days = {"date": result.dates, "nav": result.nav_D, "cash": result.cash_D, "return": result.returns_D, "benchmark_return": total}
    write_frame(folder / "nav.parquet", pl.DataFrame({**days, "turnover": result.turnover_D, **result.costs_D}))
    write_frame(folder / "trades.parquet", result.trades)
    write_json(folder / "positions.json", result.positions())
    write_frame(folder / "covenant.parquet", breaches(result.returns_D, total, result.dates, settings.covenant))
    for name, frame in trail.tables(result.dates).items():
        write_frame(folder / f"{name}.parquet", frame)
    if hedge is not None:
        write_frame(folder / "hedge.parquet", hedge.daily)
        write_frame(folder / "futures_trades.parquet", hedge.trades)
    if remarks := [*trail.remarks, *(hedge.remarks if hedge else ())]:
        write_json(folder / "remarks.json", remarks)


def trained_config(here: Config, sets: Sequence[str]) -> Config:
    """The latest training's config with `--set` on top: what a later command without a config of its own means."""
    return stored(latest(Path(here.runs), "train") / "config.json", here, sets=sets)
