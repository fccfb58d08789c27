"""Vacuum: the files of old versions are deleted, but for those that a run needs; nothing is committed, so no version moves."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pyarrow.fs
from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler

from data.faults import writing
from data.lake import ABOUT, Lake
from data.tables import OPEN_TABLES, TABLES


@dataclass(frozen=True)
class Swept:
    """What was, or would be, taken from a table, and the older versions that stay for runs."""

    table: str
    files: int
    bytes: int
    kept: tuple[int, ...]


def vacuum(lake: Lake, needed: Mapping[str, Collection[int]], *, hours: int, dry_run: bool) -> list[Swept]:
    """Delete files that only versions replaced more than `hours` ago use, and what killed writers left, but none of a needed version.

    needed: {table: versions that runs read}; the newest version always stays.
    """
    found = []
    for name in [*TABLES, *OPEN_TABLES, ABOUT]:
        if lake.has(name):
            kept = tuple(sorted(set(needed.get(name, ()))))
            table = lake.opened(name)
            with writing(name, lake.uri):
                found.append(_swept(name, table, [version for version in kept if version <= table.version()], hours, dry_run))
    return found


def _swept(name: str, table: DeltaTable, kept: list[int], hours: int, dry_run: bool) -> Swept:
    # Delta's own vacuum would commit twice, and a run's record of versions would no longer be the newest; so it only names the files.
    files = table.vacuum(hours, dry_run=True, enforce_retention_duration=False, full=True, keep_versions=kept or None)
    store = pyarrow.fs.PyFileSystem(DeltaStorageHandler.from_table(table._table))
    there = {info.path: info.size or 0 for info in store.get_file_info(pyarrow.fs.FileSelector("", recursive=True))} if files else {}
    files = [file for file in files if file in there]  # Delta's log names those that an earlier vacuum took, too
    for file in () if dry_run else files:
        store.delete_file(file)
    return Swept(name, len(files), sum(there[file] for file in files), tuple(kept))
