"""Reports as they were known: the newest period at its newest revision, each from the session after its announcement.

Taking the last announcement alone is wrong whenever a restatement of an old period comes after the report of a newer one.
"""

from datetime import date

import polars as pl

FILED = ["symbol", "announced_on", "period_end", "revision"]  # the order in which filings become known


def numbered(reports: pl.DataFrame) -> pl.DataFrame:
    """Reports with their revision: 0 as first filed, then 1, 2, ... in the order of announcement; rows that repeat another are dropped.

    Two filings of one period on one day keep the order of the source, so that every engine agrees on which is the later.
    """
    if "revision" in reports.columns:
        return reports
    period = ["symbol", "period_end"]
    ordered = reports.unique(maintain_order=True).sort(*period, "announced_on", maintain_order=True)
    return ordered.with_columns(pl.int_range(pl.len(), dtype=pl.Int32).over(period).alias("revision"))


def revised(reports: pl.DataFrame, day: date) -> pl.DataFrame:
    """Every period known at the close of `day`, at the newest revision known then; one row a symbol and period, sorted by them."""
    known = reports.filter(pl.col("announced_on") < day).sort("symbol", "period_end", "announced_on", "revision")
    return known.unique(["symbol", "period_end"], keep="last", maintain_order=True)


def newest(reports: pl.DataFrame, day: date) -> pl.DataFrame:
    """The newest period of each symbol known at the close of `day`, at its newest revision; one row a symbol."""
    return revised(reports, day).unique("symbol", keep="last", maintain_order=True)


def join_known(rows: pl.DataFrame, reports: pl.DataFrame) -> pl.DataFrame:
    """Rows (date, symbol, ...) with what was the newest report at the close of each date; null where none was announced before it.

    One pass instead of a `newest` a day: a filing changes what is newest only if its period is the newest one filed so far.
    """
    latest = pl.col("period_end") == pl.col("period_end").cum_max().over("symbol")
    states = reports.sort(FILED).filter(latest).unique(["symbol", "announced_on"], keep="last", maintain_order=True)
    joined = rows.sort("date", "symbol").join_asof(
        states.sort("announced_on", "symbol"),
        left_on="date",
        right_on="announced_on",
        by="symbol",
        strategy="backward",
        allow_exact_matches=False,  # announced after the close: known the session after
        coalesce=False,
        check_sortedness=False,  # polars can't see the order within groups
    )
    return joined.sort("date", "symbol")
