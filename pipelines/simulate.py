"""Simulate: a market with a known answer into a lake, and how much of the answer a model found."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from data.errors import KestrelError
from data.ingest import write_tables
from data.lake import Lake
from data.progress import Track, silent
from data.simulator import KINDS, SimulationSettings, simulate
from data.simulator.oracle import recovered
from data.simulator.statistics import statistics
from pipelines.config import Config
from pipelines.prepare import digest
from pipelines.runs import write_frame
from pipelines.trade import Source

SIMULATED = "simulated"  # the lake's fact that says which market it holds
MEASURED = ("bars", "caps", "index_bars", "members")


def settings_of(*, stocks: int, years: int, seed: int, alpha: str, minutes: Sequence[datetime] = ()) -> SimulationSettings:
    """Settings of a market from a command's options; raises KestrelError for what can't be simulated."""
    kinds = alpha if alpha in ("all", "none") else [part.strip() for part in alpha.split(",")]
    wanted = {"stocks": stocks, "years": years, "seed": seed, "alpha": kinds, "members": min(500, int(stocks * 0.6))}
    try:
        return SimulationSettings.model_validate({**wanted, "minute_days": tuple(day.date() for day in minutes)})
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


def shares(lake: Lake, config: Config, source: Source) -> list[dict[str, Any]]:
    """A row a model: its 5-session IC and RankIC, the oracle's on the same rows, and its share of them."""
    if not oracle_file(lake).is_file():
        raise KestrelError(f"{oracle_file(lake)} is missing: only a simulated market knows its answer. Make one: kestrel data simulate")
    members = lake.read("members").filter(pl.col("index") == config.universe.index)
    found = recovered(source.scores, pl.read_parquet(oracle_file(lake)), lake.read("bars"), members=members)
    return found.to_dicts()


def measured(lake: Lake, beside: Lake | None) -> list[dict[str, Any]]:
    """Statistics of a lake's market, beside another's where one is given."""
    ours = statistics({name: lake.read(name) for name in MEASURED if lake.has(name)}).rename({"value": lake.uri})
    if beside is None:
        return ours.to_dicts()
    theirs = statistics({name: beside.read(name) for name in MEASURED if beside.has(name)}).rename({"value": beside.uri})
    return ours.join(theirs, on=["topic", "statistic"], how="left", maintain_order="left").to_dicts()
