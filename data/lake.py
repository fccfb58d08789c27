"""The lake: one folder (or object-store prefix) of Delta tables.  Every write is one validated commit; every read can name a version."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal

import dataframely as dy
import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from data.errors import KestrelError
from data.tables import OPEN_TABLES, SCHEMA_VERSION, TABLES
from data.validation import keys, validated

PriceBasis = Literal["raw", "adjusted"]


class Lake:
    """The tables under one URI, as they stood when it was opened or as later writes of this object left them.

    versions: {table: version} pins tables for time travel; unpinned tables are read at their newest version.
    """

    def __init__(self, uri: str | Path, *, versions: Mapping[str, int] | None = None) -> None:
        self.uri = str(uri).rstrip("/")
        self.pinned = dict(versions or {})

    # -- what is there

    def path(self, name: str) -> str:
        """The URI of a table."""
        return f"{self.uri}/{name}"

    def has(self, name: str) -> bool:
        """Whether the table exists."""
        return bool(DeltaTable.is_deltatable(self.path(name)))

    def tables(self) -> list[str]:
        """Names of the tables that exist, in the order of data/tables.py."""
        return [name for name in [*TABLES, *OPEN_TABLES] if self.has(name)]

    def version(self, name: str) -> int:
        """The Delta version a read of this table would give."""
        return self.pinned[name] if name in self.pinned else int(self._open(name).version())

    def versions(self) -> dict[str, int]:
        """{table: version} of everything, to pin a run with."""
        return {name: self.version(name) for name in self.tables()}

    def history(self, name: str) -> list[dict[str, Any]]:
        """Delta's own log of a table, newest first."""
        return list(self._open(name).history())

    # -- reading

    def scan(self, name: str) -> pl.LazyFrame:
        """The table, lazily.  Raises KestrelError where the lake has no such table or version."""
        if not self.has(name):
            raise self._missing(name)
        try:
            rows = pl.scan_delta(DeltaTable(self.path(name), version=self.pinned.get(name)))  # opened here, so that a missing version is met here
            # Delta keeps instants in UTC; a table says in which zone it means them.
            columns = TABLES[name].columns() if name in TABLES else {}
            return rows.with_columns(pl.col(column).cast(kind.dtype) for column, kind in columns.items() if isinstance(kind, dy.Datetime))
        except DeltaError as error:
            raise KestrelError(f"{self.path(name)} can't be read: {error}. See: kestrel data history {name}") from None

    def read(self, name: str, *, columns: Sequence[str] | None = None, start: date | None = None, end: date | None = None) -> pl.DataFrame:
        """Rows sorted by the table's keys, optionally some columns and sessions start..end, both included."""
        rows = self.scan(name)
        if start is not None:
            rows = rows.filter(pl.col("date") >= start)
        if end is not None:
            rows = rows.filter(pl.col("date") <= end)
        rows = rows.sort(keys(name))
        return (rows if columns is None else rows.select(columns)).collect()

    # -- writing

    def write(self, name: str, frame: pl.DataFrame) -> int:
        """Validate and replace the whole table in one commit; returns its version."""
        valid = validated(name, frame)
        valid.write_delta(self.path(name), mode="overwrite", delta_write_options={"schema_mode": "overwrite"})
        self.pinned.pop(name, None)
        return self.version(name)

    def replace(self, name: str, frame: pl.DataFrame, start: date, end: date) -> int:
        """Validate and replace the sessions start..end in one commit; every other session stays."""
        if not self.has(name):
            return self.write(name, frame)
        valid = validated(name, frame.filter(pl.col("date").is_between(start, end)))
        where = f"date >= '{start.isoformat()}' AND date <= '{end.isoformat()}'"
        valid.write_delta(self.path(name), mode="overwrite", delta_write_options={"predicate": where})
        self.pinned.pop(name, None)
        return self.version(name)

    # -- facts about the whole

    def facts(self) -> dict[str, str]:
        """What the lake says of itself: schema_version, price_basis, fingerprints of what was imported."""
        if not self.has("about"):
            raise KestrelError(f"There is no lake at {self.uri}. Make one: kestrel data import FOLDER --mapping FILE, or: kestrel data simulate")
        about = pl.read_delta(self.path("about"), version=self.pinned.get("about"))
        return dict(zip(about["key"].to_list(), about["value"].to_list(), strict=True))

    def state(self, changes: Mapping[str, str]) -> None:
        """Add to the lake's facts, or change them."""
        facts = (self.facts() if self.has("about") else {"schema_version": str(SCHEMA_VERSION)}) | dict(changes)
        pl.DataFrame({"key": sorted(facts), "value": [facts[key] for key in sorted(facts)]}).write_delta(self.path("about"), mode="overwrite")

    @property
    def price_basis(self) -> PriceBasis:
        """'raw' where prices are as traded, 'adjusted' where the vendor sells only adjusted ones."""
        return "adjusted" if self.facts().get("price_basis") == "adjusted" else "raw"

    def _open(self, name: str) -> DeltaTable:
        try:
            return DeltaTable(self.path(name))
        except TableNotFoundError:
            raise self._missing(name) from None

    def _missing(self, name: str) -> KestrelError:
        there = ", ".join(self.tables()) or "nothing"
        return KestrelError(f"The lake at {self.uri} has no table '{name}' (it has: {there}). See: kestrel data show")


def open_lake(uri: str | Path, *, versions: Mapping[str, int] | None = None) -> Lake:
    """An existing lake of this schema version.  Raises KestrelError where there is none, or one of another version."""
    lake = Lake(uri, versions=versions)
    found = int(lake.facts().get("schema_version", "0"))
    if found > SCHEMA_VERSION:
        raise KestrelError(f"The lake at {uri} has schema {found}; this Kestrel reads {SCHEMA_VERSION}. Upgrade Kestrel.")
    if found < SCHEMA_VERSION:
        raise KestrelError(f"The lake at {uri} has schema {found}; this Kestrel reads {SCHEMA_VERSION}. Bring it up: kestrel data migrate")
    return lake


def migrate(uri: str | Path) -> list[str]:
    """Bring an older lake to this schema: columns added since are null, types are widened.  Returns the tables rewritten."""
    lake = Lake(uri)
    found = int(lake.facts().get("schema_version", "0"))
    if found > SCHEMA_VERSION:
        raise KestrelError(f"The lake at {uri} has schema {found}, newer than this Kestrel's {SCHEMA_VERSION}. Upgrade Kestrel.")
    if found == SCHEMA_VERSION:
        return []
    frames = {name: lake.read(name) for name in lake.tables() if name in TABLES}
    for name, frame in frames.items():
        validated(name, frame)  # all of them before the first is written
    for name, frame in frames.items():
        lake.write(name, frame)
    lake.state({"schema_version": str(SCHEMA_VERSION)})
    return list(frames)
