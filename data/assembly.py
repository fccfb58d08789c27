"""Fetched pieces become tables that continue those of a lake: suspended sessions get their row, factors go on where they stood."""

from collections.abc import Mapping
from datetime import date

import polars as pl

from data import mapping
from data.completion import completed
from data.lake import Lake
from data.reports import numbered
from data.tables import TABLES
from data.validation import keys, validated

CAPS = ("total_shares", "float_shares", "pe_ttm", "pb", "ps_ttm", "pcf_ttm")
SETTLED = 0.5  # a session at the end with fewer of its stocks than this isn't published yet
JUMP = 1e-9


def settled(bars: pl.DataFrame, securities: pl.DataFrame, asked: list[str]) -> tuple[pl.DataFrame, list[str]]:
    """(bars up to the last session that most of the listed stocks asked for have a row of, a note on each one left out)."""
    stocks = securities.filter(pl.col("symbol").is_in(asked))
    counts = bars.group_by("date").len().sort("date", descending=True)
    notes, last = [], None
    for day, found in counts.iter_rows():
        listed = stocks.filter((pl.col("list_date") <= day).fill_null(True), (pl.col("delist_date") > day).fill_null(True)).height
        if found >= SETTLED * listed:
            last = day
            break
        notes.append(f"{day} is left out: {found} of {listed} stocks have bars so far. Fetch again later.")
    return bars.filter(pl.col("date") <= last) if last is not None else bars.clear(), notes


def with_suspended(bars: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """Bars with a row for every session between a stock's first and last: where it didn't trade, flat at the last close.

    bars may leave prices null (or 0) where is_trading is false.  days: date.  Rows before a stock's first price are left out.
    """
    spans = bars.group_by("symbol").agg(pl.col("date").min().alias("first"), pl.col("date").max().alias("last"))
    here = days.select("date").filter(pl.col("date").is_between(bars["date"].min(), bars["date"].max()))
    grid = spans.join(here, how="cross").filter(pl.col("date").is_between("first", "last"))
    absent = grid.select("date", "symbol").join(bars, on=["date", "symbol"], how="anti")
    full = pl.concat([bars, absent], how="diagonal").sort("symbol", "date").with_columns(pl.col("is_trading").fill_null(False))
    idle = ~pl.col("is_trading")
    full = full.with_columns(pl.when(idle & (pl.col(name) == 0)).then(None).otherwise(name).alias(name) for name in ("close", "pre_close"))
    last = pl.col("close").forward_fill().over("symbol", order_by="date")
    full = full.with_columns(pl.when(idle).then(last).otherwise("close").alias("close"))
    before = pl.col("close").shift(1).over("symbol", order_by="date")
    return full.with_columns(
        *(pl.when(idle).then("close").otherwise(name).alias(name) for name in ("open", "high", "low")),
        *(pl.when(idle).then(0.0).otherwise(name).alias(name) for name in ("volume", "amount")),
        pl.when(idle).then(pl.coalesce("pre_close", before, "close")).otherwise("pre_close").alias("pre_close"),
        pl.col("is_st").forward_fill().over("symbol", order_by="date").fill_null(False),
    ).filter(pl.col("is_trading") | pl.col("close").is_not_null())


def assembled(new: pl.DataFrame, context: pl.DataFrame, securities: pl.DataFrame, calendar: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Bars, caps, securities and calendar out of fetched bars.

    context: the lake's last bar of each stock before its new ones; its factor goes on.  A limit that the vendor gives replaces the
    computed one, NaN there meaning that there is none.
    """
    known = context.select([name for name in new.columns if name in context.columns])
    bars = with_suspended(pl.concat([known, new], how="diagonal_relaxed"), calendar)
    given: list[str] = [name for name in ("limit_up", "limit_down") if name in new.columns]
    caps = [name for name in CAPS if name in new.columns]
    raw = {"bars": bars.drop(*given, *caps), "securities": securities, "calendar": calendar}
    tables = completed(raw, mapping.Mapping(price_basis="raw", tables={}))
    factors = context.select("symbol", pl.col("date").alias("before"), pl.col("adj").alias("start"))
    full = tables["bars"].join(factors, on="symbol", how="left")
    full = full.with_columns(pl.col("adj") * pl.col("start").fill_null(1.0)).filter((pl.col("date") > pl.col("before")).fill_null(True))
    tables["bars"] = _with_given(full.drop("start", "before"), new, given)
    if caps:
        tables["caps"] = new.select("date", "symbol", *caps).filter(pl.any_horizontal(pl.col(caps).is_not_null()))
    return tables


def _with_given(bars: pl.DataFrame, new: pl.DataFrame, given: list[str]) -> pl.DataFrame:
    """Bars with the vendor's own limits where it gives them."""
    if not given:
        return bars
    both = bars.join(new.select("date", "symbol", *given), on=["date", "symbol"], how="left", suffix="_given")
    return both.with_columns(
        pl.when(pl.col(f"{name}_given").is_nan()).then(None).otherwise(pl.coalesce(f"{name}_given", name)).alias(name) for name in given
    ).drop(f"{name}_given" for name in given)


def ex_days(bars: pl.DataFrame, context: pl.DataFrame) -> dict[str, tuple[date, date]]:
    """{symbol: (first, last)} of the sessions on which a stock's factor moved."""
    both = pl.concat([context.select("date", "symbol", "adj"), bars.select("date", "symbol", "adj")]).sort("symbol", "date")
    before = pl.col("adj").shift(1).over("symbol", order_by="date")
    moved = both.filter((pl.col("adj") / before - 1).abs() > JUMP)
    spans = moved.group_by("symbol").agg(pl.col("date").min().alias("first"), pl.col("date").max().alias("last")).sort("symbol")
    return {symbol: (first, last) for symbol, first, last in spans.iter_rows()}


def merged(lake: Lake, tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Each table whole, as it will be: the lake's rows, with the new ones in place of those of the same key; reports keep every filing."""
    whole = {}
    for name, frame in tables.items():
        if name == "reports":
            filed = [lake.read(name).drop("revision"), frame] if lake.has(name) else [frame]
            whole[name] = validated(name, numbered(pl.concat(filed, how="diagonal_relaxed"))).sort(keys(name))
            continue
        new = validated(name, frame)
        old = [lake.read(name)] if lake.has(name) and name != "calendar" else []
        whole[name] = pl.concat([new, *old]).unique(keys(name), keep="first").sort(keys(name))
    return whole


def commit(lake: Lake, new: Mapping[str, pl.DataFrame], whole: Mapping[str, pl.DataFrame]) -> None:
    """Write each table in one commit, of a dated one the sessions that changed alone; bars come last, since they say how far a fetch has come."""
    for name in sorted((name for name in TABLES if name in new and new[name].height), key=lambda name: name == "bars"):
        if name != "calendar" and keys(name)[0] == "date":
            days = new[name]["date"].sort()
            lake.replace(name, whole[name], days[0], days[-1])
        else:
            lake.write(name, whole[name])
