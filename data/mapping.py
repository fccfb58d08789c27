"""A mapping says, in TOML, which file becomes which table: columns, units, constants and the basis of the prices."""

import tomllib
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.errors import KestrelError
from data.tables import TABLES
from data.validation import schema

# Each unit as the factor that takes it to the table's own unit: shares, CNY, a fraction.
UNITS = {
    "shares": 1.0,
    "lots": 100.0,
    "CNY": 1.0,
    "thousand CNY": 1e3,
    "ten thousand CNY": 1e4,
    "million CNY": 1e6,
    "fraction": 1.0,
    "percent": 0.01,
}
# Which units make sense for which column; a column not named here has none.
COLUMN_UNITS = {
    "volume": ("shares", "lots"),
    "total_shares": ("shares", "ten thousand CNY"),
    "float_shares": ("shares",),
    "amount": ("CNY", "thousand CNY", "ten thousand CNY", "million CNY"),
    "turnover": ("fraction", "percent"),
    "weight": ("fraction", "percent"),
}
# Columns that an import computes where no source brings them (data/completion.py).
COMPUTED = {
    "calendar": ("session",),
    "securities": ("board",),
    "bars": ("pre_close", "amount", "adj", "is_st", "is_trading"),
    "reports": ("revision",),
    "news": ("id",),
}
Unit = Literal["shares", "lots", "CNY", "thousand CNY", "ten thousand CNY", "million CNY", "fraction", "percent"]


class Column(BaseModel):
    """Where one column of a table comes from: a column of the file, or the same value in every row."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    column: str | None = None
    value: str | float | int | bool | date | None = None
    unit: Unit | None = None
    equals: str | float | int | None = None  # true where the file's column has this value
    null: float | None = None  # what an empty cell means, where the vendor leaves zeros out
    date_only: bool = False  # a day without a time: known from that day's last second

    def expr(self) -> pl.Expr:
        """This column as a polars expression over the file's columns."""
        if self.column is None:
            return pl.lit(self.value)
        found = pl.col(self.column)
        if self.equals is not None:
            found = found == self.equals
        if self.null is not None:
            found = found.fill_null(self.null)
        if self.unit is not None:
            found = found * UNITS[self.unit]
        if self.date_only:
            found = (found.cast(pl.Datetime("us")).dt.truncate("1d") + timedelta(days=1, seconds=-1)).dt.replace_time_zone("Asia/Shanghai")
        return found


class Source(BaseModel):
    """One file (or glob) that feeds a table."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    file: str
    columns: dict[str, str | Column]
    where: dict[str, str | float | int | bool] = Field(default_factory=dict)  # keep the rows with these values
    needs: list[str] = Field(default_factory=list)  # leave rows out in which one of these columns of the file is empty

    def column(self, name: str) -> Column:
        """The mapping of one column."""
        found = self.columns[name]
        return Column(column=found) if isinstance(found, str) else found


class Mapping(BaseModel):
    """A whole folder: the basis of its prices, and the sources of each table."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    price_basis: Literal["raw", "adjusted"] = "raw"
    tables: dict[str, list[Source]]


def read_mapping(path: Path) -> Mapping:
    """A mapping file, checked: every table, column and unit is one that Kestrel knows.

    Raises KestrelError naming the entry that isn't, all of them at once.
    """
    if not path.is_file():
        raise KestrelError(f"There is no mapping file {path}. examples/pack.toml shows what one looks like.")
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise KestrelError(f"{path} is not TOML: {error}.") from None
    basis = {"price_basis": raw.pop("price_basis")} if "price_basis" in raw else {}
    tables = {name: found if isinstance(found, list) else [found] for name, found in raw.items()}
    try:
        mapping = Mapping.model_validate({**basis, "tables": tables})
    except ValidationError as error:
        raise KestrelError("\n".join(f"{path}: {_where(item['loc'])}: {item['msg']}" for item in error.errors())) from None
    problems = [problem for name, sources in mapping.tables.items() for source in sources for problem in _problems(name, source)]
    if problems:
        raise KestrelError("\n".join(f"{path}: {problem}" for problem in problems))
    return mapping


def _where(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location if part != "tables")


def _problems(name: str, source: Source) -> list[str]:
    """What is wrong with the mapping of one source."""
    if name not in TABLES:
        return [f"[{name}] is not a table. There are: {', '.join(TABLES)}."]
    known = [*schema(name).columns(), *(["turnover"] if name == "caps" else [])]
    problems = [
        f"{name}.columns.{column} is not a column of {name}. There are: {', '.join(known)}." for column in source.columns if column not in known
    ]
    given = {*COMPUTED.get(name, ()), *source.columns}
    lacking = [column for column, kind in schema(name).columns().items() if not kind.nullable and column not in given]
    if lacking:
        problems.append(f"{name}.columns lacks {', '.join(lacking)}, without which there is no {name}.")
    for column in source.columns:
        unit = source.column(column).unit
        allowed = COLUMN_UNITS.get(column, ())
        if unit is not None and unit not in allowed:
            problems.append(f"{name}.columns.{column}.unit = '{unit}' doesn't fit. Use one of: {', '.join(allowed) or 'none, leave it out'}.")
    return problems
