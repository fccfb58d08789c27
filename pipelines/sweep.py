"""Sweep: a grid of configurations over one model's scores, as a table, a page of heatmaps, and a warning about luck."""

from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl

from backtest.benchmark import BenchmarkSettings
from backtest.report.labels import Lang
from backtest.report.sweeps import write_sweep
from backtest.strategies import TopkBuffer
from backtest.sweep import Attempt, Configuration, Sweep, attempt, gathered, grid, sweep
from data.errors import KestrelError
from data.lake import Lake
from data.panel import Floats, to_panel
from data.progress import Counted, Track, silent
from pipelines.config import Config
from pipelines.holdout import seen, until_of
from pipelines.ledger import Ledger
from pipelines.portfolio import Ground, index_returns, span, versions
from pipelines.prepare import digest
from pipelines.runs import DONE, read_json, write_frame, write_json
from pipelines.scale import spread
from pipelines.trade import Source
from pipelines.versions import record


@dataclass(frozen=True)
class _Piece:
    """Configurations to be tried over a model's scores, in plain values, for another process."""

    uri: str
    versions: dict[str, int]
    config: str
    scores: bytes  # an Arrow file
    points: tuple[Configuration, ...]


def swept(scores: pl.DataFrame, ground: Ground, *, track: Track = silent) -> Sweep:
    """The sweep of one model's scores; raises KestrelError where the config's strategy isn't the one that a sweep varies."""
    config, settings = ground.config, ground.config.backtest
    if settings.sleeves or not isinstance(settings.strategy, TopkBuffer):
        found = "backtest.sleeves" if settings.sleeves else f"backtest.strategy, {settings.strategy.kind},"
        raise KestrelError(f"{found} can't be swept; a sweep varies topk_buffer. Set backtest.strategy={{kind='topk_buffer'}}, without sleeves.")
    scores_DN, b_D, terms = _terms(scores, ground)
    if config.scale.on == "local":
        return sweep(scores_DN, ground.market, b_D, config.sweep, **terms, track=track)
    points, held = grid(config.sweep), BytesIO()
    scores.write_ipc(held)
    size = -(-len(points) // (2 * config.scale.width))  # few and large ones: each process reads the market first
    parts = [tuple(points[first : first + size]) for first in range(0, len(points), size)]
    pieces = [_Piece(ground.lake.uri, ground.lake.pinned, config.model_dump_json(), held.getvalue(), part) for part in parts]
    made = track(Counted(spread(_elsewhere, pieces, config.scale), len(pieces)), "sweep")
    return gathered(points, list(chain.from_iterable(made)), config.sweep.blocks)


def _elsewhere(piece: _Piece) -> list[Attempt]:
    """Try configurations in a process that has nothing but the lake."""
    ground = _ground(piece.uri, tuple(piece.versions.items()), piece.config)
    scores_DN, b_D, terms = _terms(pl.read_ipc(piece.scores), ground)
    return [attempt(point, scores_DN, ground.market, b_D, **terms) for point in piece.points]


@lru_cache(maxsize=1)
def _ground(uri: str, versions: tuple[tuple[str, int], ...], config: str) -> Ground:
    return Ground.of(Lake(uri, versions=dict(versions)), Config.model_validate_json(config))


def _terms(scores: pl.DataFrame, ground: Ground) -> tuple[Floats, Floats, dict[str, Any]]:
    """(the scores, the benchmark's returns, what all configurations share)."""
    settings, market = ground.config.backtest, ground.market
    scores_DN = to_panel(scores, "score", market.axes)
    start, end = span(scores_DN, ground)
    dates = tuple(day for day in market.axes.dates if start <= day <= end)
    shared = {"strategy": settings.strategy, "costs": settings.costs, "simulation": settings.simulation, "rules": ground.config.exchange_rules()}
    return scores_DN, index_returns(ground, dates, settings.benchmark), {**shared, "start": start, "end": end}


def run_sweep(lake: Lake, config: Config, source: Source, *, model: str | None = None, lang: Lang = "en", track: Track = silent) -> tuple[Path, bool]:
    """Sweep one model's scores: the one named, else the one chosen on validation dates.  (the run's folder, whether anything was done)

    The folder holds sweep.parquet (a row a configuration), excess.parquet (daily, a column a configuration), sweep.html and sweep.json.
    Every configuration counts as a look at its dates in the ledger.
    """
    lake = seen(lake.pin(), config.holdout)
    there = source.scores["model"].unique(maintain_order=True).to_list()
    name = model or (source.results["chosen"] if source.results and source.results.get("chosen") in there else there[0])
    if name not in there:
        raise KestrelError(f"{source.name} has no scores of '{name}'. It has: {', '.join(there)}.")
    plain = {"versions": versions(lake, config), **until_of(lake), **config.model_dump(mode="json", include={"backtest", "sweep", "rules"})}
    folder = Path(config.runs) / f"sweep-{digest({'source': source.digest, 'model': name, 'lang': lang, **plain})}"
    if (folder / DONE).is_file():
        return folder, False
    found = swept(source.scores.filter(pl.col("model") == name), Ground.of(lake, config), track=track)
    write_frame(folder / "sweep.parquet", found.frame)
    days = pl.Series("date", found.dates)
    write_frame(folder / "excess.parquet", pl.DataFrame([days, *(pl.Series(str(c), x_D) for c, x_D in enumerate(found.excess_DC.T))]))
    ideas = [f"{name}:{source.name}:{digest({'point': list(point)})}" for point in grid(config.sweep)]
    looks = Ledger(Path(config.runs) / "ledger.db").record("sweep", ideas, found.dates[0], found.dates[-1])
    facts = {"model": name, "scores": source.name, "benchmark": _named(config.backtest.benchmark)}
    facts["evaluations on overlapping dates"] = str(looks)
    write_sweep(folder, f"{name}: {found.frame.height} configurations", found, facts=facts, lang=lang)
    write_json(folder / "config.json", config.model_dump(mode="json"))
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
