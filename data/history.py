"""What was known when: the tables as they stood at the close of a session."""

from collections.abc import Callable, Mapping
from datetime import date, datetime, time

import polars as pl

CLOSE = time(15, 0)


def as_of(tables: Mapping[str, pl.DataFrame], day: date) -> dict[str, pl.DataFrame]:
    """Every table cut to the rows known at the close of `day`; the calendar, published years ahead, stays whole."""
    known = {
        name: frame if name == "calendar" else frame.filter(known_by(name, day)).pipe(_AFTERTHOUGHTS.get(name, _same), day)
        for name, frame in tables.items()
    }
    if "news_scores" in known and "news" in known:
        known["news_scores"] = known["news_scores"].join(known["news"], on="id", how="semi", maintain_order="left")
    return known


def known_by(name: str, day: date) -> pl.Expr:
    """Which rows of a table are known at the close of `day`."""
    close = pl.lit(datetime.combine(day, CLOSE)).dt.replace_time_zone("Asia/Shanghai")
    moments: dict[str, pl.Expr] = {
        "securities": pl.col("list_date").is_null() | (pl.col("list_date") <= day),
        "reports": pl.col("announced_on") < day,  # announced after the close: known the session after
        "dividends": pl.min_horizontal("ex_date", "announced_on") <= day,
        "industries": pl.col("start") <= day,
        "names": pl.col("start") <= day,
        "minute_bars": pl.col("time") <= close,
        "news": pl.col("published_at") <= close,
        "news_scores": pl.lit(True),  # known with the news that they belong to
    }
    return moments.get(name, pl.col("date") <= day)


def _same(frame: pl.DataFrame, day: date) -> pl.DataFrame:
    del day
    return frame


def _undelisted(securities: pl.DataFrame, day: date) -> pl.DataFrame:
    """A delisting to come isn't known: its date is null until it is there."""
    return securities.with_columns(pl.when(pl.col("delist_date") <= day).then("delist_date").alias("delist_date"))


_AFTERTHOUGHTS: dict[str, Callable[[pl.DataFrame, date], pl.DataFrame]] = {"securities": _undelisted}
