"""Checks of indices: how many members, what they weigh, whether they have bars."""

import polars as pl

from data.checks.check import Check, Tables, rows

SIZES = {"000300.SH": 300, "000905.SH": 500, "000852.SH": 1000}


def _counts(tables: Tables) -> pl.DataFrame:
    """Dates of an index whose number of members isn't the one that its rules fix."""
    counts = tables["members"].group_by("date", "index").agg(pl.col("symbol").n_unique())
    return counts.filter(pl.col("symbol") != pl.col("index").replace_strict(SIZES, default=None, return_dtype=pl.UInt32))


def _weights(tables: Tables) -> pl.DataFrame:
    """Dates of an index whose weights don't add up; dates without any are left out."""
    weighed = tables["members"].filter(pl.col("weight").is_not_null()).unique(["date", "index", "symbol"])
    return weighed.group_by("date", "index").agg(pl.col("weight").sum()).filter((pl.col("weight") - 1).abs() > 0.005)


def _without_bars(tables: Tables) -> pl.DataFrame:
    if "bars" not in tables:
        return tables["members"].clear()
    return tables["members"].join(tables["bars"].select("symbol").unique(), on="symbol", how="anti")


CHECKS = [
    Check("members", "members", "warning", "an index date without exactly the 300, 500 or 1000 members that its rules fix", _counts),
    Check("weights", "members", "warning", "weights of a date that don't add up to 1 within 0.005: percent, or members are missing", _weights),
    Check("members with bars", "members", "warning", "members whose bars are missing: results cover the others alone", _without_bars),
    Check(
        "index", "index_bars", "blocking", "an index level at or below zero", rows("index_bars", (pl.col("close") <= 0) | (pl.col("close_tr") <= 0))
    ),
]
