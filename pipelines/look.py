"""Look: what a lake holds, and what its factors are."""

from datetime import datetime
from typing import Any

import polars as pl

from data.errors import KestrelError
from data.lake import Lake
from factors.panel import TABLES as FACTOR_TABLES
from factors.registry import SETS, library

SAMPLE = 10


def overview(lake: Lake) -> list[dict[str, Any]]:
    """One row a table: rows, first and last date, version."""
    rows = []
    for name in lake.tables():
        scan = lake.scan(name)
        dated = "date" in scan.collect_schema().names()
        what = [pl.len().alias("rows"), *([pl.col("date").min().alias("first"), pl.col("date").max().alias("last")] if dated else [])]
        found = scan.select(what).collect().row(0, named=True)
        rows.append({"table": name, **found, "version": lake.version(name)})
    return rows


def travelled(lake: Lake, at: str | None, table: str | None = None) -> Lake:
    """The lake as it was `at` a version of the table, or at a moment such as 2026-11-20 or 2026-11-20T15:00 (local time)."""
    if at is None:
        return lake
    if table is not None and at.isdecimal():
        return Lake(lake.uri, versions={table: int(at)})
    try:
        return lake.at(datetime.fromisoformat(at).astimezone())
    except ValueError:
        wanted = "a version such as 3, or a moment such as 2026-11-20T15:00" if table else "a moment such as 2026-11-20T15:00"
        raise KestrelError(f"--at {at} is not {wanted}. See: kestrel data history TABLE") from None


def sample(lake: Lake, name: str) -> list[dict[str, Any]]:
    """The last rows of a table."""
    return lake.read(name).tail(SAMPLE).to_dicts()


def factor_rows(uri: str, family: str | None) -> list[dict[str, Any]]:
    """Every factor of the library, or of a family of any set, with what it needs; where there is a lake, whether it has that."""
    columns, basis = _columns(Lake(uri))
    rows = []
    for factor in library(SETS).values() if family else library().values():
        if family in (None, factor.family):
            reason = factor.unavailable(columns, basis) if columns is not None else None
            state = {} if columns is None else {"available": f"unavailable: {reason}" if reason else "yes"}
            rows.append(
                {"name": factor.name, "family": factor.family, "lookback": factor.expr.lookback, **state, "about": factor.about.split("\n")[0]}
            )
    if not rows:
        families = ", ".join(dict.fromkeys(factor.family for factor in library(SETS).values()))
        raise KestrelError(f"There is no family '{family}'. There are: {families}.")
    return rows


def _columns(lake: Lake) -> tuple[set[str] | None, str]:
    """The panel columns that a lake can feed, judged by its first sessions' tables; None without a lake."""
    if not lake.has("about") or not lake.has("bars"):
        return None, "raw"
    from factors.panel import build_panel

    tables = {name: lake.read(name) for name in FACTOR_TABLES if lake.has(name) and name != "bars"}
    if "news_scores" in tables:
        # the columns are the same whoever scored, but for events, which not all tell
        tables["news_scores"] = tables["news_scores"].sort("event", nulls_last=True).head(1)
    days = lake.scan("bars").select(pl.col("date").max()).collect().item()
    bars = lake.read("bars", start=days)
    return set(build_panel({**tables, "bars": bars, "calendar": lake.read("calendar")}).columns), lake.price_basis
