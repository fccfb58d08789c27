"""What was known when: the tables as they stood at the close of a session."""

from collections.abc import Callable, Mapping
from datetime import date, time

import polars as pl
from deltalake import DeltaTable

CLOSE = time(15, 0)
EARLIEST = "min.date"  # of a file's rows, in the table's log


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
    return known_on(name).is_null() | (known_on(name) <= day)


def known_on(name: str) -> pl.Expr:
    """The first day at whose close a row of a table is known; null where it always was.  Scores are known with the news they belong to."""
    days: dict[str, pl.Expr] = {
        "securities": pl.col("list_date"),
        "reports": pl.col("announced_on") + pl.duration(days=1),  # announced after the close
        "dividends": pl.min_horizontal("ex_date", "announced_on"),
        "industries": pl.col("start"),
        "names": pl.col("start"),
        "minute_bars": _closing("time"),
        "news": _closing("published_at"),
        "news_scores": pl.lit(None, dtype=pl.Date),
    }
    return days.get(name, pl.col("date"))


def _closing(column: str) -> pl.Expr:
    """The day of an instant in Shanghai, the next one after the close."""
    moment = pl.col(column)
    return moment.dt.date() + pl.when(moment.dt.time() > CLOSE).then(pl.duration(days=1)).otherwise(pl.duration(days=0))


def first_difference(name: str, before: pl.DataFrame, after: pl.DataFrame) -> date | None:
    """The first day at whose close the rows of two versions of a table differ; None where they hold the same rows.

    Both frames carry the table's columns; those of one alone are a difference from the first day on.
    """
    if before.columns != after.columns:
        return _first(name, pl.concat([before, after], how="diagonal"))
    old, new = (frame.with_columns(frame.hash_rows(seed=7).alias("_row")) for frame in (before, after))
    changed = pl.concat([old.join(new, on="_row", how="anti"), new.join(old, on="_row", how="anti")])
    return _first(name, changed)


def unshared(before: DeltaTable, after: DeltaTable) -> date | None:
    """A day before which two versions of a table hold the same rows, since they share the files; None where that isn't known.

    A day's commit adds a file, so that a comparison from this day on reads a little of a table and not all of it.
    """
    if before.schema() != after.schema():
        return None
    old, new = (pl.DataFrame(table.get_add_actions(flatten=True)) for table in (before, after))
    if not {"path", EARLIEST} <= {*old.columns} & {*new.columns}:
        return None
    apart = pl.concat([one.join(other, on="path", how="anti")[EARLIEST] for one, other in ((old, new), (new, old))])
    first = apart.min()
    return first if isinstance(first, date) and not apart.has_nulls() else None


def _first(name: str, frame: pl.DataFrame) -> date | None:
    if not frame.height:
        return None
    days = frame.select(known_on(name).alias("day"))["day"]
    found = days.min()
    return found if isinstance(found, date) and not days.has_nulls() else date.min


def _same(frame: pl.DataFrame, day: date) -> pl.DataFrame:
    del day
    return frame


def _undelisted(securities: pl.DataFrame, day: date) -> pl.DataFrame:
    """A delisting to come isn't known: its date is null until it is there."""
    return securities.with_columns(pl.when(pl.col("delist_date") <= day).then("delist_date").alias("delist_date"))


_AFTERTHOUGHTS: dict[str, Callable[[pl.DataFrame, date], pl.DataFrame]] = {"securities": _undelisted}
