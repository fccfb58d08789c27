"""Equality: what a run left behind held against what it left behind another time, and where they part first."""

import hashlib
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.runs import read_json

Row = dict[str, Any]


def digest_of(frame: pl.DataFrame) -> str:
    """A hash of a table's bytes: names, types and every value."""
    held = BytesIO()
    frame.rechunk().write_ipc(held, compression="uncompressed")
    return hashlib.sha256(held.getvalue()).hexdigest()[:16]


def of_frames(what: str, was: pl.DataFrame, now: pl.DataFrame, keys: Sequence[str]) -> Row:
    """A row {what, was, now (hashes), equal, first difference} for two tables in the order of their keys."""
    before, after = digest_of(was), digest_of(now)
    return _row(what, before, after, "" if before == after else _parted(was, now, keys))


def of_values(what: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> Row:
    """As of_frames, for named values, each of which must be the same to the last bit; NaN is itself."""
    parted = [name for name in dict.fromkeys([*was, *now]) if _text(was, name) != _text(now, name)]
    first = f"{parted[0]}: {_text(was, parted[0])} became {_text(now, parted[0])}" if parted else ""
    more = f", and {len(parted) - 1} more of {len(was)}" if len(parted) > 1 else ""
    return _row(what, _sum(was), _sum(now), first + more)


def of_files(what: str, was: Mapping[str, Path], now: Mapping[str, Path]) -> Row:
    """As of_values, for the bytes of files; one that is gone has no hash."""
    sums = [{name: _file(path) for name, path in sorted(files.items())} for files in (was, now)]
    return of_values(what, *sums)


def named(rows: Sequence[Mapping[str, Any]], *keys: str) -> dict[str, Any]:
    """Rows as one mapping: {'key of the row: column': value}."""
    return {
        f"{' '.join(str(row[key]) for key in keys if key in row)}: {name}": value for row in rows for name, value in row.items() if name not in keys
    }


def plain(path: Path) -> dict[str, Any]:
    """A JSON file's mapping; nothing where there is no file."""
    return dict(read_json(path)) if path.is_file() else {}


def _row(what: str, was: str, now: str, parted: str) -> Row:
    return {"what": what, "was": was, "now": now, "equal": was == now, "first difference": parted}


def _parted(was: pl.DataFrame, now: pl.DataFrame, keys: Sequence[str]) -> str:
    """Where two tables part, in words."""
    if was.schema != now.schema:
        return f"columns: {dict(was.schema)} became {dict(now.schema)}"
    if was.height != now.height:
        return f"rows: {was.height:,} became {now.height:,}"
    for place in range(was.height):
        one, other = was.row(place, named=True), now.row(place, named=True)
        for name in was.columns:
            if repr(one[name]) != repr(other[name]):
                at = " ".join(str(one[key]) for key in keys)
                return f"{at} {name}: {one[name]!r} became {other[name]!r} (row {place + 1:,} of {was.height:,})"
    return "bytes alone"


def _text(values: Mapping[str, Any], name: str) -> str:
    return repr(values[name]) if name in values else "nothing"


def _sum(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(repr(sorted((name, repr(value)) for name, value in values.items())).encode()).hexdigest()[:16]


def _file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else "gone"
