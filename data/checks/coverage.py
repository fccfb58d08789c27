"""Checks of what is there at all: duplicates, sessions, gaps, sudden drops, and a universe of survivors."""

from functools import partial

import polars as pl

from data.checks.check import Check, Tables
from data.tables import TABLES
from data.validation import keys

DROP = 0.05  # of the stocks of the sessions before
FEWEST = 5  # stocks whose loss is more than a handful of gaps
STOCK_YEARS = 500  # in which about 2 to 5 stocks of any A-share universe are delisted
SESSIONS_A_YEAR = 243


def _duplicates(name: str, tables: Tables) -> pl.DataFrame:
    return tables[name].filter(tables[name].select(keys(name)).is_duplicated())


def _off_calendar(tables: Tables) -> pl.DataFrame:
    return tables["bars"].join(tables["calendar"], on="date", how="anti")


def _missing_sessions(tables: Tables) -> pl.DataFrame:
    """Sessions between the first and the last bar on which no stock at all has a bar."""
    days = tables["bars"]["date"]
    between = tables["calendar"].filter(pl.col("date").is_between(days.min(), days.max()))
    return between.join(tables["bars"].select("date").unique(), on="date", how="anti")


def _drops(tables: Tables) -> pl.DataFrame:
    """Sessions with notably fewer stocks than the twenty before."""
    counts = tables["bars"].join(tables["calendar"], on="date", how="semi").group_by("date").agg(pl.col("symbol").n_unique()).sort("date")
    usual = pl.col("symbol").cast(pl.Float64).rolling_median(20, min_samples=1).shift(1)
    return counts.filter(pl.col("symbol") < usual * (1 - DROP), pl.col("symbol") <= usual - FEWEST).select("date")


def _gaps(tables: Tables) -> pl.DataFrame:
    """Stocks whose rows skip sessions between their first and last, other than sessions that most stocks lack."""
    lacking = pl.concat([_missing_sessions(tables).select("date"), _drops(tables)])
    whole = tables["calendar"].sort("date").with_columns((~pl.col("date").is_in(lacking["date"].implode())).cum_sum().alias("place"))
    placed = tables["bars"].select("date", "symbol").join(whole.select("date", "place"), on="date")
    return placed.filter(pl.col("place").diff().over("symbol", order_by="date") > 1)


def _survivors(tables: Tables) -> pl.DataFrame:
    """The last row of every stock, where so many over so long a time have all lived to the end."""
    bars, last = tables["bars"], tables["bars"]["date"].max()
    years = bars["date"].n_unique() / SESSIONS_A_YEAR
    ends = bars.group_by("symbol").agg(pl.col("date").max())
    gone = ends.filter(pl.col("date") < last).height
    if "securities" in tables:
        gone += tables["securities"].filter(pl.col("delist_date") <= last).height
    return ends.clear() if gone or ends.height * years < STOCK_YEARS else ends


CHECKS = [
    *(
        Check(
            f"duplicates of {name}", name, "blocking", "two rows with the same key: which of them holds depends on chance", partial(_duplicates, name)
        )
        for name in TABLES
    ),
    Check("calendar", "bars", "blocking", "bars on a day that is no session of the exchange", _off_calendar),
    Check("sessions without bars", "bars", "warning", "sessions on which no stock has a bar: an incomplete download", _missing_sessions),
    Check("coverage", "bars", "warning", "a session has over 5 % fewer stocks than the ones before: a download that broke off", _drops),
    Check("gaps", "bars", "warning", "a stock's rows skip sessions; suspended sessions should keep their row", _gaps),
    Check(
        "survivors",
        "bars",
        "warning",
        "over 500 stock-years no stock was delisted: the universe was chosen by who lived, and its returns are too good",
        _survivors,
    ),
]
