"""A frame becomes a table: the right columns, types, keys and order, or one sentence about the first row that isn't."""

from collections.abc import Sequence
from typing import Any

import dataframely as dy
import polars as pl

from data.errors import KestrelError
from data.tables import OPEN_TABLES, TABLES


def keys(name: str) -> list[str]:
    """The key columns of a table, in sorting order."""
    return OPEN_TABLES[name] if name in OPEN_TABLES else schema(name).primary_key()


def schema(name: str) -> type[dy.Schema]:
    """The schema of a table by its name."""
    if name not in TABLES:
        raise KestrelError(f"'{name}' is not a table. There are: {', '.join([*TABLES, *OPEN_TABLES])}.")
    return TABLES[name]


def validated(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame in its table's columns, types and order.  Raises KestrelError that names the first bad row.

    A nullable column that is absent becomes null.  Text in a number, a missing column, a null and a duplicate key are refused.
    """
    if name in OPEN_TABLES:
        found = frame.sort(OPEN_TABLES[name])
        _refuse_duplicates(name, found, OPEN_TABLES[name])
        return found
    table = schema(name)
    columns = table.columns()
    missing = [column for column in columns if column not in frame.columns]
    required = [column for column in missing if not columns[column].nullable]
    if required:
        raise KestrelError(f"{name} has no column {', '.join(required)} (it has: {', '.join(frame.columns)}). Map it, or see data/tables.py.")
    full = frame.with_columns(pl.lit(None).alias(column) for column in missing).select(list(columns))
    # A number that is none is no value: engines disagree on whether it equals itself, sorts last or is skipped.
    full = full.with_columns(pl.col(column).fill_nan(None) for column in columns if columns[column].nullable and full[column].dtype.is_float())
    full = full.with_columns(_cast(name, full, column, column_type.dtype, table.primary_key()) for column, column_type in columns.items())
    good, failure = table.filter(full, cast=False)
    if len(failure):
        raise KestrelError(_failure(name, table, full, failure))
    return good.sort(table.primary_key())


def typed(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with those of its columns that the table has in the table's types; raises KestrelError as `validated` does."""
    table = schema(name)
    known = {column: kind.dtype for column, kind in table.columns().items() if column in frame.columns}
    key = [column for column in table.primary_key() if column in known]
    return frame.with_columns(_cast(name, frame, column, dtype, key) for column, dtype in known.items())


def refuse_nulls(name: str, frame: pl.DataFrame, columns: Sequence[str]) -> None:
    """Raise KestrelError on the first null in these columns."""
    for column in columns:
        bad = frame.filter(pl.col(column).is_null())
        if bad.height:
            found = f"{name} has {bad.height} rows with {column} null (first: {_row(bad, [*keys(name), column])})"
            raise KestrelError(f"{found}. Mend the source or its mapping.")


def _cast(name: str, frame: pl.DataFrame, column: str, dtype: pl.DataType, key: list[str]) -> pl.Series:
    """One column in its table's type; what isn't of that type is refused, not nulled."""
    found = frame[column]
    if found.dtype == dtype:
        return found
    as_date = found.dtype == pl.String and dtype == pl.Date
    try:
        cast = found.str.to_date(strict=False) if as_date else found.cast(dtype, strict=False)
    except pl.exceptions.InvalidOperationError:  # types that have nothing to do with each other, such as text and a flag
        cast = pl.Series(column, [None] * frame.height, dtype=dtype)
    lost = frame.filter(found.is_not_null() & cast.is_null())
    if lost.height:
        first = _row(lost, [*key, column])
        raise KestrelError(f"{name} has {lost.height} rows whose {column} is not a {dtype} (first: {first}). Mend the source or its mapping.")
    return cast


def _refuse_duplicates(name: str, frame: pl.DataFrame, key: list[str]) -> None:
    twice = frame.filter(frame.select(key).is_duplicated())
    if twice.height:
        raise KestrelError(f"{name} has {twice.height} rows with the same {', '.join(key)} (first: {_row(twice, key)}). Remove the duplicates.")


def _failure(name: str, table: type[dy.Schema], frame: pl.DataFrame, failure: Any) -> str:
    """One sentence on what a frame breaks: 'bars has 3 rows with close null (first: 2021-03-04 600519.SH)'."""
    key = table.primary_key()
    rule, count = max(failure.counts().items(), key=lambda item: item[1])
    column, _, broken = rule.partition("|")
    if rule == "primary_key":
        twice = frame.filter(frame.select(key).is_duplicated())
        return f"{name} has {twice.height} rows with the same {', '.join(key)} (first: {_row(twice, key)}). Remove the duplicates."
    bad = frame.filter(pl.col(column).is_null()) if broken == "nullability" else failure.invalid()
    what = {"nullability": "null", "dtype": f"not {table.columns()[column].dtype}"}.get(broken, f"against its rule '{broken}'")
    return f"{name} has {count} rows with {column} {what} (first: {_row(bad, [*key, column])}). Mend the source or its mapping."


def _row(frame: pl.DataFrame, columns: list[str]) -> str:
    return " ".join(str(value) for value in frame.select(list(dict.fromkeys(columns))).row(0)) if frame.height else "?"
