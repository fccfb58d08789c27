"""What goes wrong below a table — a full disk, a lock, another writer, a broken file — as one sentence that says what to do."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

from data.errors import KestrelError

FAULTS = (DeltaError, OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException)
FULL = ("No space left", "File too large", "Disk quota exceeded", "os error 28", "os error 27", "os error 122")
LOCKED = ("Permission denied", "Read-only file system", "os error 13", "os error 30", "AccessDenied", "Forbidden")


class Conflict(KestrelError):
    """Another process changed the table between reading and writing it."""


@contextmanager
def writing(name: str, uri: str) -> Iterator[None]:
    """Turn what stops a write into a KestrelError; nothing of the write is visible then, and the version before stays the newest."""
    try:
        yield
    except FAULTS as error:
        text = str(error)
        kept = "Nothing was written; the version before is untouched."
        if isinstance(error, CommitFailedError) or "already exists" in text.lower():
            raise Conflict(f"Another process wrote {name} at the same moment. {kept} Run this again.") from None
        if any(sign in text for sign in FULL):
            raise KestrelError(f"No room to write {name} at {uri}: {_first_line(text)}. {kept} Free some space, or: kestrel data vacuum") from None
        if any(sign in text for sign in LOCKED):
            raise KestrelError(f"{uri} can't be written: {_first_line(text)}. {kept} Give yourself the right to write there.") from None
        raise KestrelError(f"{name} at {uri} can't be written: {_first_line(text)}. {kept} See: kestrel data history {name}") from None


@contextmanager
def reading(name: str, uri: str, version: int | None) -> Iterator[None]:
    """Turn what stops a read into a KestrelError that names the version."""
    try:
        yield
    except FAULTS as error:
        which = name if version is None else f"version {version} of {name}"
        gone = isinstance(error, FileNotFoundError) or "not found" in str(error).lower()
        advice = "kestrel data vacuum took its files, or someone did" if gone else "A file or a log entry of it is broken"
        raise KestrelError(
            f"{which} at {uri} can't be read: {_first_line(str(error))}. {advice}. Read an earlier one: kestrel data history {name}, "
            f"then kestrel data show {name} --at VERSION; go back to it: kestrel data restore {name} --to VERSION"
        ) from None


@contextmanager
def reaching(uri: str) -> Iterator[None]:
    """Turn what keeps a lake from being seen at all into a KestrelError."""
    try:
        yield
    except FAULTS as error:
        why = _plain(str(error))[-1:] or ["no reason given"]
        store = " Check AWS_ENDPOINT_URL, AWS_REGION and the credentials." if local(uri) is None else ""
        raise KestrelError(f"{uri} can't be reached: {why[0]}.{store}") from None


def refuse_broken(name: str, table: DeltaTable) -> None:
    """Raise KestrelError where a file of a local table is missing or cut short, or its newest log entry is empty.

    The length of every file stands in the log, so that a torn one is met here and not as a wrong answer or a panic inside a reader;
    an empty log entry is no commit, but would be read as one that changes nothing.
    """
    root = local(table.table_uri)
    if root is None:
        return
    entry = root / "_delta_log" / f"{table.version():020}.json"
    if entry.is_file() and not entry.stat().st_size:
        raise KestrelError(
            f"{name}: the log entry {entry} is empty, a write that never ended. Delete this file to go back to version {table.version() - 1}."
        )
    sizes = pl.DataFrame(table.get_add_actions()).select("path", "size_bytes")
    for path, size in sizes.iter_rows():
        try:
            found = os.stat(root / path).st_size
        except FileNotFoundError:
            found = -1
        if found != size:
            what = "is missing" if found < 0 else f"has {found} bytes, not {size}"
            raise KestrelError(
                f"{name} version {table.version()}: {root / path} {what}. Read an earlier version: kestrel data show {name} --at VERSION; "
                f"go back to it: kestrel data restore {name} --to VERSION; or import or fetch the data again."
            )


def local(uri: str) -> Path | None:
    """The folder of a URI, None where it is on an object store."""
    path = uri.removeprefix("file://")
    return None if "://" in path else Path(path)


def _first_line(text: str) -> str:
    return next(iter(_plain(text)), "no reason given")


def _plain(text: str) -> list[str]:
    """The lines of a message without the colours and arrows of a terminal."""
    bare = re.sub(r"\x1b\[[0-9;]*m|↳", "", text)
    return [line.strip().rstrip(".") for line in bare.splitlines() if line.strip()]
