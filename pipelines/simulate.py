"""Simulate: a market with a known answer into a lake, and how much of the answer a model found."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from data.errors import KestrelError
from data.ingest import write_tables
from data.lake import Lake
from data.progress import Track, silent
from data.simulator import KINDS, SimulationSettings, simulate
from data.simulator.oracle import BARS, recovered
from data.simulator.statistics import READ, statistics
from pipelines.config import Config
from pipelines.prepare import digest
from pipelines.runs import write_frame

SIMULATED = "simulated"  # the lake's fact that says which market it holds


def settings_of(
    *, stocks: int, years: int, seed: int, alpha: str, end: date | None = None, suspended: float | None = None, minutes: Sequence[date] = ()
) -> SimulationSettings:
    """Settings of a market from a command's options, None for the default; raises KestrelError for what can't be simulated."""
    kinds = alpha if alpha in ("all", "none") else [part.strip() for part in alpha.split(",")]
    wanted = {"stocks": stocks, "years": years, "seed": seed, "alpha": kinds, "members": min(500, int(stocks * 0.6)), "minute_days": tuple(minutes)}
    chosen = {name: value for name, value in (("end", end), ("suspended", suspended)) if value is not None}
    try:
        return SimulationSettings.model_validate(wanted | chosen)
    except ValueError as error:
        raise KestrelError(f"This market can't be simulated: {error}\nKinds of alpha: {', '.join(KINDS)}.") from None


def simulated(lake: Lake, settings: SimulationSettings, *, track: Track = silent) -> bool:
    """Simulate into the lake unless it holds that market already; whether anything was written.  The oracle goes beside the lake."""
    key = digest(settings.model_dump(mode="json"))
    if lake.has("about") and lake.facts().get(SIMULATED) == key and oracle_file(lake).is_file():
        return False
    market = simulate(settings, track=track)
    write_frame(oracle_file(lake), market.oracle)
    write_tables(lake, market.tables, "raw", {SIMULATED: key}, track=track)
    return True


def oracle_file(lake: Lake) -> Path:
    """Where the planted returns lie: beside the lake, so that nothing that reads the lake can find them."""
    return Path(f"{lake.uri}.oracle.parquet")


def answer(lake: Lake) -> pl.DataFrame:
    """The expected returns that were planted; raises KestrelError for a lake that isn't simulated."""
    if not oracle_file(lake).is_file():
        raise KestrelError(f"{oracle_file(lake)} is missing: only a simulated market knows its answer. Make one: kestrel data simulate")
    return pl.read_parquet(oracle_file(lake))


def planted(lake: Lake) -> Iterator[pl.DataFrame]:
    """Each planted kind, and all of them together, as if it were a model's scores."""
    oracle = answer(lake)
    for name in (*KINDS, "expected"):
        yield oracle.select("date", "symbol", pl.lit(name).alias("model"), pl.col(name).alias("score"))


def shares(lake: Lake, config: Config, scores: Iterable[pl.DataFrame]) -> list[dict[str, Any]]:
    """A row a model: its 5-session IC and RankIC, the oracle's on the same rows, and its share of them.  scores: frames with a model each or more."""
    oracle, bars = answer(lake), lake.read("bars", columns=list(BARS))
    members = lake.read("members").filter(pl.col("index") == config.universe.index) if config.universe.members == "index" else None
    return [row for frame in scores for row in recovered(frame, oracle, bars, members=members).fill_nan(None).to_dicts()]


def measured(lake: Lake, beside: Lake | None, *, start: date | None = None, end: date | None = None) -> list[dict[str, Any]]:
    """Statistics of a lake's market over some sessions, beside another's where one is given."""
    ours, *theirs = (
        statistics({name: each.read(name) for name in READ if each.has(name)}, start=start, end=end).rename({"value": each.uri})
        for each in (lake, beside)
        if each is not None
    )
    for other in theirs:
        ours = ours.join(other, on=["topic", "statistic"], how="left", maintain_order="left")
    return ours.fill_nan(None).to_dicts()
