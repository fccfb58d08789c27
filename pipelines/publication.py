"""Publication: a session's folder of plain files, there whole or not at all, with a manifest that says what it was made of."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from datetime import date
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from data.errors import KestrelError
from pipelines.runs import read_json, write_json

MANIFEST = "manifest.json"
MEMORY = "memory.json"
Content = pl.DataFrame | Mapping[str, Any]


def folder_of(signals: Path, day: date) -> Path:
    """Where a session's signal is published."""
    return signals / day.isoformat()


def published(signals: Path) -> dict[date, dict[str, Any]]:
    """{session: its manifest} of everything that is published, in order."""
    found = {}
    for path in sorted(signals.glob(f"*/{MANIFEST}")):
        if not path.parent.name.startswith("."):
            manifest = manifest_of(path.parent)
            found[date.fromisoformat(str(manifest["session"]))] = manifest
    return found


def manifest_of(folder: Path) -> dict[str, Any]:
    """A published folder's manifest; raises KestrelError where it is missing or damaged."""
    path = folder / MANIFEST
    return _manifest(path, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=1000)
def _manifest(path: Path, changed: int) -> dict[str, Any]:
    """Read once for as long as the file stays as it is: an evening asks for each several times."""
    del changed
    made: dict[str, Any] = read_json(path)
    return made


def publish(folder: Path, contents: Mapping[str, Content], manifest: Mapping[str, Any]) -> None:
    """Write the files beside, then move the folder into place; the manifest holds their hashes.  What was there before goes last.

    Frames become CSV, mappings JSON.  Raises OSError where the disk refuses; then nothing is left of it.
    """
    beside, old = _beside(folder, "new"), _beside(folder, "old")
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(beside, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    try:
        beside.mkdir()
        sums = {name: _written(beside / name, content) for name, content in contents.items()}
        write_json(beside / MANIFEST, json.loads(json.dumps({**manifest, "sha256": sums}, default=str)))
        _sync(beside / MANIFEST)
        _sync(beside)
    except OSError:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    if folder.exists():
        os.rename(folder, old)
    os.rename(beside, folder)
    _sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def mend(signals: Path) -> None:
    """Clear away what a process that was killed while it published left behind; a folder that it had moved aside comes back."""
    for old in signals.glob(".*.old"):
        folder = old.with_name(old.name[1:-4])
        if folder.exists():
            shutil.rmtree(old)
        else:
            os.rename(old, folder)
    for beside in signals.glob(".*.new"):
        shutil.rmtree(beside)


def read_published(signals: Path, day: date, name: str, types: Mapping[str, Any] | None = None) -> pl.DataFrame:
    """A CSV of a published session; raises KestrelError where it isn't what was published.

    types: of its columns, by default told from all rows.
    """
    path, manifest = folder_of(signals, day) / name, manifest_of(folder_of(signals, day))
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != manifest["sha256"].get(name):
        raise KestrelError(f"{path} isn't what was published (its sha256 differs from the manifest's). Restore it, or publish again: --again")
    return pl.read_csv(content, infer_schema_length=None) if types is None else pl.read_csv(content, schema_overrides=types, infer_schema_length=0)


@cache
def git_sha() -> str | None:
    """The commit of the code that runs, with '+' where files differ from it; None where it is no checkout."""
    here = Path(__file__).parent.parent
    try:
        sha = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True).stdout.strip()
        dirty = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=here, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return sha + ("+" if dirty else "")


def _written(path: Path, content: Content) -> str:
    """Write one file and return its sha256."""
    text = content.write_csv(float_precision=6) if isinstance(content, pl.DataFrame) else json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    path.write_bytes(text.encode())
    _sync(path)
    return hashlib.sha256(text.encode()).hexdigest()


def _sync(path: Path) -> None:
    """Make a file or folder outlive the power."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _beside(folder: Path, what: str) -> Path:
    return folder.with_name(f".{folder.name}.{what}")
