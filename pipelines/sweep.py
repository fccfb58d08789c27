"""Sweep: a grid of configurations over one model's scores, as a table, a page of heatmaps, and a warning about luck."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from backtest.benchmark import BenchmarkSettings, levels
from backtest.market import Market
from backtest.report.labels import Lang
from backtest.report.sweeps import write_sweep
from backtest.strategies import TopkBuffer
from backtest.sweep import Sweep, SweepSettings, grid, sweep
from data.errors import KestrelError
from data.lake import Lake
from data.panel import Floats, to_panel
from pipelines.config import Config
from pipelines.ledger import Ledger
from pipelines.prepare import digest
from pipelines.runs import DONE, read_json, write_frame, write_json
from pipelines.trade import TABLES, Source, market_of
from pipelines.versions import record


@dataclass(frozen=True)
class Span:
    """The scores of one model over the market, the sessions that they are traded in, and the benchmark over these."""

    scores_DN: Floats
    first: int
    last: int
    b_D: Floats


def span(scores: pl.DataFrame, market: Market, index_bars: pl.DataFrame, config: Config) -> Span:
    """The sessions from the one after the first score to the one after the last, inside the config's start and end.

    Raises KestrelError where no score lies on the market, or the config leaves no session.
    """
    days, settings = market.axes.dates, config.backtest
    scores_DN = to_panel(scores, "score", market.axes)
    scored = np.flatnonzero(np.isfinite(scores_DN).any(axis=1))
    if not len(scored):
        raise KestrelError("None of the scores lies on a session and stock of the lake. Check their dates and symbols.")
    first, last = min(scored[0] + 1, len(days) - 1), min(scored[-1] + 1, len(days) - 1)
    first = max(first, market.axes.index(settings.start) if settings.start else first)
    last = min(last, int(np.searchsorted(market.axes.days, np.datetime64(settings.end), side="right")) - 1 if settings.end else last)
    if last < first:
        raise KestrelError(f"The scores can be traded up to {days[scored[-1]]}, but the backtest is to run {settings.start} to {settings.end}.")
    level_D = levels(index_bars, days[first - 1 : last + 1], settings.benchmark)
    return Span(scores_DN, int(first), int(last), np.asarray(level_D[1:] / level_D[:-1] - 1))


def swept(scores: pl.DataFrame, market: Market, index_bars: pl.DataFrame, config: Config, settings: SweepSettings) -> Sweep:
    """The sweep of one model's scores; raises KestrelError where the config's strategy isn't the one that a sweep varies."""
    chosen = config.backtest.strategy
    if not isinstance(chosen, TopkBuffer):
        raise KestrelError(f"backtest.strategy is {chosen.kind}; a sweep varies topk_buffer. Set backtest.strategy={{kind='topk_buffer'}}.")
    over, days = span(scores, market, index_bars, config), market.axes.dates
    return sweep(
        over.scores_DN,
        market,
        over.b_D,
        settings,
        strategy=chosen,
        costs=config.backtest.costs,
        simulation=config.backtest.simulation,
        start=days[over.first],
        end=days[over.last],
        rules=config.exchange_rules(),
    )


def run_sweep(
    lake: Lake, config: Config, source: Source, settings: SweepSettings, *, model: str | None = None, lang: Lang = "en"
) -> tuple[Path, bool]:
    """Sweep one model's scores: the one named, else the one chosen on validation dates.  (the run's folder, whether anything was done)

    The folder holds sweep.parquet (a row a configuration), excess.parquet (daily, a column a configuration), sweep.html and sweep.json.
    Every configuration counts as a look at its dates in the ledger.
    """
    lake = lake.pin()
    there = source.scores["model"].unique(maintain_order=True).to_list()
    name = model or (source.results["chosen"] if source.results and source.results.get("chosen") in there else there[0])
    if name not in there:
        raise KestrelError(f"{source.name} has no scores of '{name}'. It has: {', '.join(there)}.")
    versions = {table: lake.version(table) for table in TABLES if lake.has(table)}
    plain = {"sweep": settings.model_dump(mode="json"), **config.model_dump(mode="json", include={"backtest", "rules"})}
    folder = Path(config.runs) / f"sweep-{digest({'source': source.digest, 'model': name, 'lang': lang, 'versions': versions, **plain})}"
    if (folder / DONE).is_file():
        return folder, False
    market, index_bars = market_of(lake, config), lake.read("index_bars")
    found = swept(source.scores.filter(pl.col("model") == name), market, index_bars, config, settings)
    write_frame(folder / "sweep.parquet", found.frame)
    days = pl.Series("date", found.dates)
    write_frame(folder / "excess.parquet", pl.DataFrame([days, *(pl.Series(str(c), x_D) for c, x_D in enumerate(found.excess_DC.T))]))
    ideas = [f"{name}:{source.name}:{digest({'point': list(point)})}" for point in grid(settings)]
    looks = Ledger(Path(config.runs) / "ledger.db").record("sweep", ideas, found.dates[0], found.dates[-1])
    facts = {"model": name, "scores": source.name, "benchmark": _named(config.backtest.benchmark)}
    facts["evaluations on overlapping dates"] = str(looks)
    write_sweep(folder, f"{name}: {found.frame.height} configurations", found, facts=facts, lang=lang)
    write_json(folder / "config.json", {**config.model_dump(mode="json"), "sweep": settings.model_dump(mode="json")})
    record(folder, lake)
    best, overfit = found.frame.row(found.best, named=True), found.overfit
    luck = {"deflated_sharpe": found.deflated, "independent_trials": found.trials, "overfitting": None if overfit is None else overfit.probability}
    write_json(folder / DONE, {"source": source.name, "model": name, "span": [found.dates[0], found.dates[-1]], "best": best, **luck})
    return folder, True


def top(folder: Path, count: int = 10) -> tuple[list[dict[str, object]], str]:
    """(the best configurations of a finished sweep, the sentence that a terminal prints below them)."""
    found = read_json(folder / DONE)
    frame = pl.read_parquet(folder / "sweep.parquet").sort("information_ratio", descending=True, nulls_last=True, maintain_order=True)
    chance = "unknown (too few sessions)" if found["overfitting"] is None else f"{found['overfitting']:.1%}"
    words = f"Best of {frame.height}, worth {found['independent_trials']:.1f} independent tries: deflated Sharpe {found['deflated_sharpe']:.3f}"
    return frame.head(count).to_dicts(), f"{words} (above .95 is hardly luck alone), probability of overfitting {chance}."


def _named(benchmark: BenchmarkSettings) -> str:
    return f"{benchmark.index} {'with dividends' if benchmark.kind == 'total_return' else 'price'}"
