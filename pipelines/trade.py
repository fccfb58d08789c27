"""Backtest: scores of every model become an account each, under the rules, against the index with dividends."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from backtest.benchmark import BenchmarkSettings, levels
from backtest.market import Market
from backtest.metrics import geometric_excess, qlib_summary, summary
from backtest.result import Result
from backtest.simulation import simulate
from data.errors import KestrelError
from data.lake import Lake
from data.panel import to_panel
from data.progress import Track, silent
from data.validation import validated
from factors.panel import axes_of
from pipelines.config import Config, stored
from pipelines.prepare import digest
from pipelines.runs import DONE, latest, read_json, write_frame, write_json
from pipelines.train import seed_scores
from pipelines.versions import record

TABLES = ("calendar", "bars", "securities", "dividends", "index_bars")
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


def trained_scores(runs: Path) -> Source:
    """The scores of the latest training."""
    folder = latest(runs, "train")
    return Source(pl.read_parquet(folder / "scores.parquet"), folder.name, folder.name, read_json(folder / DONE), seed_scores(folder))


def scores_file(path: Path) -> Source:
    """Scores from anywhere: a CSV or Parquet file with date, symbol, score and perhaps model."""
    if not path.is_file():
        raise KestrelError(f"There is no scores file {path}.")
    frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, try_parse_dates=True)
    if "model" not in frame.columns:
        frame = frame.with_columns(pl.lit(path.stem).alias("model"))
    if "score" in frame.columns and "rank" not in frame.columns:
        frame = frame.with_columns(pl.col("score").rank("ordinal", descending=True).over("date", "model", order_by="symbol").alias("rank"))
    return Source(validated("scores", frame), path.name, digest({"scores": frame.hash_rows(seed=0).sum()}), None)


def market_of(lake: Lake, config: Config) -> Market:
    """The whole lake as a market to trade in."""
    bars, calendar = lake.read("bars"), lake.read("calendar")
    axes = axes_of(bars, calendar)
    dividends = lake.read("dividends") if lake.has("dividends") else pl.DataFrame(schema={"symbol": pl.String, "ex_date": pl.Date})
    first = int(calendar.filter(pl.col("date") == axes.dates[0])["session"][0])
    rules = config.exchange_rules()
    return Market.of(bars, lake.read("securities"), dividends, axes, price_basis=lake.price_basis, first_session=first, rules=rules)


def backtest(lake: Lake, config: Config, source: Source, *, track: Track = silent) -> tuple[Path, bool]:
    """Trade every model's scores.  (the run's folder, whether anything was done)"""
    lake = lake.pin()
    versions = {name: lake.version(name) for name in TABLES if lake.has(name)}
    key = digest({"source": source.digest, "versions": versions, **config.model_dump(mode="json", include={"backtest", "rules"})})
    folder = Path(config.runs) / f"backtest-{key}"
    if (folder / DONE).is_file():
        return folder, False
    market, index_bars = market_of(lake, config), lake.read("index_bars")
    rows = []
    for model in track(source.scores["model"].unique(maintain_order=True).to_list(), "backtest"):
        result = trade(source.scores.filter(pl.col("model") == model), market, config)
        save(folder / model, result, index_bars, market, config)
        rows.append({"model": model, **figures(result, index_bars, market, config), **over_seeds(source, model, index_bars, market, config)})
    write_frame(folder / "scores.parquet", source.scores)
    write_json(folder / "config.json", config.model_dump(mode="json"))
    record(folder, lake)
    write_json(folder / DONE, {"source": source.name, "span": [result.dates[0], result.dates[-1]], "models": rows})
    return folder, True


def trade(scores: pl.DataFrame, market: Market, config: Config) -> Result:
    """The account of one model's scores, from the session after the first score on."""
    settings = config.backtest
    scores_DN = to_panel(scores, "score", market.axes)
    scored = np.flatnonzero(np.isfinite(scores_DN).any(axis=1))
    if not len(scored):
        raise KestrelError("None of the scores lies on a session and stock of the lake. Check their dates and symbols.")
    first = market.axes.dates[min(scored[0] + 1, len(market.axes.dates) - 1)]
    last = market.axes.dates[min(scored[-1] + 1, len(market.axes.dates) - 1)]
    return simulate(
        scores_DN,
        market,
        strategy=settings.strategy,
        costs=settings.costs,
        settings=settings.simulation,
        start=max(settings.start or first, first),
        end=min(settings.end or last, last),
        rules=config.exchange_rules(),
    )


def figures(result: Result, index_bars: pl.DataFrame, market: Market, config: Config) -> dict[str, float]:
    """What an account reached against the benchmark, against the index without dividends, and as Qlib would report it."""
    benchmark = config.backtest.benchmark
    total = index_returns(index_bars, market, result, benchmark)
    price = index_returns(index_bars, market, result, BenchmarkSettings(index=benchmark.index, kind="price"))
    found = summary(result, total) | {"excess_geometric_price": geometric_excess(result.returns_D, price)}
    return found | {f"qlib_{name}": value for name, value in qlib_summary(result, price).items()}


def over_seeds(source: Source, model: str, index_bars: pl.DataFrame, market: Market, config: Config) -> dict[str, float]:
    """Mean and deviation of the main figures over a model's seeds, each traded by itself; nothing where it has one seed."""
    own = [] if source.seeds is None else source.seeds.filter(pl.col("model") == model).partition_by("seed", maintain_order=True)
    if len(own) < 2:
        return {}
    each = [figures(trade(scores, market, config), index_bars, market, config) for scores in own]
    found: dict[str, float] = {}
    for name in OVER_SEEDS:
        values = [one[name] for one in each]
        found |= {f"{name}_seeds": float(np.mean(values)), f"{name}_sd": float(np.std(values, ddof=1))}
    return found


def index_returns(index_bars: pl.DataFrame, market: Market, result: Result, settings: BenchmarkSettings) -> np.ndarray:
    """Daily returns of the benchmark over the account's sessions, [D]."""
    first = market.axes.index(result.dates[0])
    found = levels(index_bars, market.axes.dates[first - 1 : first + len(result.dates)], settings)
    return np.asarray(found[1:] / found[:-1] - 1)


def save(folder: Path, result: Result, index_bars: pl.DataFrame, market: Market, config: Config) -> None:
    """The account by day, its orders and its last holdings, as plain files."""
    total = index_returns(index_bars, market, result, config.backtest.benchmark)
    days = {"date": result.dates, "nav": result.nav_D, "cash": result.cash_D, "return": result.returns_D, "benchmark_return": total}
    write_frame(folder / "nav.parquet", pl.DataFrame({**days, "turnover": result.turnover_D, **result.costs_D}))
    write_frame(folder / "trades.parquet", result.trades)
    write_json(folder / "positions.json", result.positions())


def trained_config(here: Config, sets: Sequence[str]) -> Config:
    """The latest training's config with `--set` on top: what a later command without a config of its own means."""
    return stored(latest(Path(here.runs), "train") / "config.json", here, sets=sets)
