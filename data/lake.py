"""The lake: one folder (or object-store prefix) of Delta tables.  Every write is one validated commit; every read can name a version.

On an object store the URI is all that differs: credentials and endpoint come from the environment (AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL), and two writers are kept apart by its conditional writes.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import dataframely as dy
import polars as pl
import pyarrow as pa
from deltalake import DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import TableNotFoundError

from data.ahead import ahead
from data.errors import KestrelError
from data.faults import Conflict, local, reaching, reading, refuse_broken, writing
from data.tables import OPEN_TABLES, SCHEMA_VERSION, TABLES
from data.validation import keys, validated

PriceBasis = Literal["raw", "adjusted"]
ABOUT = "about"
# Delta forgets versions older than 30 days by default, a run's too; here only `kestrel data vacuum` takes any.
KEPT = {"delta.logRetentionDuration": "interval 36500 days", "delta.enableExpiredLogCleanup": "false"}
# Rows lie in the order of their keys, so the statistics of small row groups let a read of some sessions skip all others.
LAYOUT = WriterProperties(compression="ZSTD", compression_level=3, max_row_group_size=1 << 17)
ATTEMPTS = 10  # of a replacement that others' commits overtake
FILES, ENTRIES = 32, 20  # of a table: files from which on they are joined, entries of its log after which it is summed up


class Lake:
    """The tables under one URI.

    versions: {table: version} pins tables for time travel; unpinned tables are read at their newest version.
    """

    def __init__(self, uri: str | Path, *, versions: Mapping[str, int] | None = None) -> None:
        self.uri = str(uri).rstrip("/")
        self.pinned = dict(versions or {})
        self._opened: dict[tuple[str, int], DeltaTable] = {}  # at a version, which never changes; lakes pinned from this one share them
        self._facts: dict[int, dict[str, str]] = {}  # by the version of what the lake says of itself

    # -- what is there

    @property
    def remote(self) -> bool:
        """Whether the lake lies on an object store."""
        return local(self.uri) is None

    def path(self, name: str) -> str:
        """The URI of a table."""
        return f"{self.uri}/{name}"

    def has(self, name: str) -> bool:
        """Whether the table exists, or existed at the time that the lake is pinned to."""
        with reaching(self.uri):
            return self.pinned.get(name, 0) >= 0 and (self._newest(name) is not None or DeltaTable.is_deltatable(self.path(name)))

    def tables(self) -> list[str]:
        """Names of the tables that exist, in the order of data/tables.py."""
        return [name for name in [*TABLES, *OPEN_TABLES] if self.has(name)]

    def version(self, name: str) -> int:
        """The Delta version a read of this table would give."""
        if name in self.pinned:
            return self.pinned[name]
        return int(self.open(name).version())

    def versions(self) -> dict[str, int]:
        """{table: version} of everything, to pin a run with."""
        return {name: self.version(name) for name in self.tables()}

    def pin(self) -> "Lake":
        """This lake as it is now: whatever others write later, every read gives the same rows."""
        return self.fixed(self.pinned | self.versions() | ({ABOUT: self.version(ABOUT)} if self.has(ABOUT) else {}))

    def fixed(self, versions: Mapping[str, int]) -> "Lake":
        """This lake with these tables at these versions."""
        lake = Lake(self.uri, versions=versions)
        lake._opened, lake._facts = self._opened, self._facts
        return lake

    def at(self, moment: datetime) -> "Lake":
        """This lake as it was: each table at its newest version committed by then; tables begun later aren't there."""
        names = [*self.tables(), *([ABOUT] if self.has(ABOUT) else [])]
        return self.fixed({name: version_at(self.history(name), moment) for name in names})

    def history(self, name: str) -> list[dict[str, Any]]:
        """Delta's own log of a table, newest first."""
        table = self.open(name)
        with reading(name, self.uri, None):
            return list(table.history())

    def open(self, name: str, version: int | None = None) -> DeltaTable:
        """The Delta table at a version, by default its newest, to read from.  Raises KestrelError where there is none, or its log can't be read."""
        if version is not None and version < 0:
            raise KestrelError(f"The lake at {self.uri} had no table '{name}' yet. See: kestrel data history {name}")
        known = self._newest(name) if version is None else version
        if known is not None and (name, known) in self._opened:
            return self._opened[name, known]
        table = self.opened(name, version)
        self._opened[name, int(table.version())] = table
        return table

    def opened(self, name: str, version: int | None = None) -> DeltaTable:
        """The same for the caller alone, who may change the table by it."""
        with reading(name, self.uri, version):
            try:
                return DeltaTable(self.path(name), version=version)
            except TableNotFoundError:
                raise self._missing(name) from None

    def _newest(self, name: str) -> int | None:
        """The number of a local table's last log entry, for which nothing has to be opened; None where only opening tells."""
        root = local(self.path(name))
        entries = [] if root is None else [entry.stem for entry in root.glob("_delta_log/*.json")]
        return max((int(stem) for stem in entries if stem.isdecimal()), default=None)

    # -- reading

    def scan(self, name: str) -> pl.LazyFrame:
        """The table, lazily.  Raises KestrelError where the lake has no such table or version, or a file of it is broken."""
        if not self.has(name):
            raise self._missing(name)
        table = self.open(name, self.pinned.get(name))
        refuse_broken(name, table)
        # Delta keeps instants in UTC; a table says in which zone it means them.
        columns = TABLES[name].columns() if name in TABLES else {}
        zoned = [pl.col(column).cast(kind.dtype) for column, kind in columns.items() if isinstance(kind, dy.Datetime)]
        return pl.scan_delta(table).with_columns(zoned)

    def read(self, name: str, *, columns: Sequence[str] | None = None, start: date | None = None, end: date | None = None) -> pl.DataFrame:
        """Rows sorted by the table's keys, optionally some columns and sessions start..end, both included."""
        rows = self.scan(name)
        if start is not None:
            rows = rows.filter(pl.col("date") >= start)
        if end is not None:
            rows = rows.filter(pl.col("date") <= end)
        rows = rows.sort(keys(name))
        with reading(name, self.uri, self.pinned.get(name)):
            return (rows if columns is None else rows.select(columns)).collect()

    # -- writing

    def write(self, name: str, frame: pl.DataFrame) -> int:
        """Validate and replace the whole table in one commit; returns its version."""
        return self._commit(name, validated(name, frame), schema_mode="overwrite")

    def stream(self, name: str, frames: Iterator[pl.DataFrame]) -> int:
        """Replace the whole table by frames that follow each other in the order of its keys, in one commit; returns its version.

        For tables too wide to hold at once.  Raises KestrelError where a frame breaks the table's rules or the order, and nothing is written.
        """
        # The writer asks for rows from within its own runtime, where nothing may read a lake: they are made in another thread.
        faults: list[BaseException] = []
        batches = ahead(_noting(_batches(name, frames), faults))
        first = next(batches, None)
        if first is None:
            raise ValueError(f"no frame of {name} to write")
        reader = pa.RecordBatchReader.from_batches(first.schema, chain([first], batches))
        with _raised(faults), writing(name, self.uri):
            write_deltalake(self.path(name), reader, mode="overwrite", schema_mode="overwrite", configuration=KEPT, writer_properties=LAYOUT)
        self.pinned.pop(name, None)
        return self.version(name)

    def replace(self, name: str, frame: pl.DataFrame, start: date, end: date) -> int:
        """Validate and replace the sessions start..end in one commit; every other session stays, those that others write meanwhile too."""
        if not self.has(name):
            return self.write(name, frame)
        valid = validated(name, frame.filter(pl.col("date").is_between(start, end)))
        where = f"date >= '{start.isoformat()}' AND date <= '{end.isoformat()}'"
        for _ in range(1, ATTEMPTS):
            with suppress(Conflict):
                return self._commit(name, valid, predicate=where)
        return self._commit(name, valid, predicate=where)

    def restore(self, name: str, version: int) -> int:
        """Make an earlier version the newest again, in a commit of its own; returns its version."""
        refuse_broken(name, self.open(name, version))
        table = self.opened(name)
        with writing(name, self.uri):
            table.restore(version)
        self.pinned.pop(name, None)
        return self.version(name)

    def _commit(self, name: str, frame: pl.DataFrame, **options: str) -> int:
        """One Delta commit that overwrites all rows, or those of a predicate; returns the table's version."""
        with writing(name, self.uri):
            table = self.opened(name) if DeltaTable.is_deltatable(self.path(name)) else None
            settings = {"configuration": KEPT, "writer_properties": LAYOUT, **options}
            frame.write_delta(table or self.path(name), mode="overwrite", delta_write_options=settings)
        self.pinned.pop(name, None)
        return self._tidied(name, table or self.opened(name))

    def _tidied(self, name: str, table: DeltaTable) -> int:
        """The table's version, once small files are joined and the log is summed up where opening them would take longer than reading.

        No row changes.  Where it fails, because others write or the disk is full, it is left to the next commit.
        """
        with suppress(KestrelError), writing(name, self.uri):
            if len(table.file_uris()) > FILES:
                table.optimize.compact(writer_properties=LAYOUT)
            if table.version() % ENTRIES == ENTRIES - 1:
                table.create_checkpoint()
        self._opened[name, int(table.version())] = table  # as it is from here on
        return int(table.version())

    # -- facts about the whole

    def facts(self) -> dict[str, str]:
        """What the lake says of itself: schema_version, price_basis, fingerprints of what was imported."""
        if not self.has(ABOUT):
            raise KestrelError(f"There is no lake at {self.uri}. Make one: kestrel data import FOLDER --mapping FILE, or: kestrel data simulate")
        about = self.open(ABOUT, self.pinned.get(ABOUT))
        version = int(about.version())
        if version not in self._facts:
            refuse_broken(ABOUT, about)
            with reading(ABOUT, self.uri, self.pinned.get(ABOUT)):
                rows = pl.scan_delta(about).collect()
            self._facts[version] = dict(zip(rows["key"].to_list(), rows["value"].to_list(), strict=True))
        return dict(self._facts[version])

    def state(self, changes: Mapping[str, str]) -> None:
        """Add to the lake's facts, or change them."""
        facts = (self.facts() if self.has(ABOUT) else {"schema_version": str(SCHEMA_VERSION)}) | dict(changes)
        self._commit(ABOUT, pl.DataFrame({"key": sorted(facts), "value": [facts[key] for key in sorted(facts)]}))

    @property
    def price_basis(self) -> PriceBasis:
        """'raw' where prices are as traded, 'adjusted' where the vendor sells only adjusted ones."""
        return "adjusted" if self.facts().get("price_basis") == "adjusted" else "raw"

    def _missing(self, name: str) -> KestrelError:
        there = ", ".join(self.tables()) or "nothing"
        return KestrelError(f"The lake at {self.uri} has no table '{name}' (it has: {there}). See: kestrel data show")


def _batches(name: str, frames: Iterator[pl.DataFrame]) -> Iterator[pa.RecordBatch]:
    """Validated frames as record batches; refuses one that doesn't come after the one before."""
    last: tuple[Any, ...] | None = None
    for frame in frames:
        valid = validated(name, frame)
        if not valid.height:
            continue
        ends = valid.select(keys(name))
        if last is not None and ends.row(0) <= last:
            raise KestrelError(f"{name}: rows from {ends.row(0)} on come after {last}, against the order of its keys.")
        last = ends.row(-1)
        yield from valid.to_arrow(compat_level=pl.CompatLevel.oldest()).to_batches()


def _noting(items: Iterator[pa.RecordBatch], faults: list[BaseException]) -> Iterator[pa.RecordBatch]:
    """The same items; what their making raises is noted before it passes through the writer, which makes a text of it."""
    try:
        yield from items
    except Exception as error:
        faults.append(error)
        raise


@contextmanager
def _raised(faults: list[BaseException]) -> Iterator[None]:
    """Whatever fails inside, a fault that was noted is the reason."""
    try:
        yield
    except Exception:
        if faults:
            raise faults[0] from None
        raise


def version_at(history: Sequence[Mapping[str, Any]], moment: datetime) -> int:
    """The newest version of a table's history that was committed by then; -1 before the first."""
    stamp = moment.timestamp() * 1000
    return max((int(commit["version"]) for commit in history if commit["timestamp"] <= stamp), default=-1)


def open_lake(uri: str | Path, *, versions: Mapping[str, int] | None = None) -> Lake:
    """An existing lake of this schema version.  Raises KestrelError where there is none, or one of another version."""
    lake = Lake(uri, versions=versions)
    found = schema_of(lake)
    if found != SCHEMA_VERSION:
        advice = "Upgrade Kestrel." if found > SCHEMA_VERSION else "Bring it up: kestrel data migrate"
        raise KestrelError(f"The lake at {uri} has schema {found}; this Kestrel reads {SCHEMA_VERSION}. {advice}")
    return lake


def schema_of(lake: Lake) -> int:
    """The schema version that the lake says it has."""
    said = lake.facts().get("schema_version", "0")
    if not said.isdecimal():
        raise KestrelError(
            f"The lake at {lake.uri} says that its schema is '{said}', which is no number: {lake.path(ABOUT)} was written by other hands."
        )
    return int(said)
