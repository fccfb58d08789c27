"""The files of a run: a folder a key, each file written whole or not at all, the results last."""

import json
import os
from pathlib import Path
from typing import Any

import polars as pl

from data.errors import KestrelError

DONE = "results.json"  # its presence means that the run is finished


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


def write_json(path: Path, value: object) -> None:
    """Write a JSON file whole or not at all."""
    write_text(path, json.dumps(value, indent=1, default=str, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """A JSON file's value; raises KestrelError where it is missing or broken."""
    if not path.is_file():
        raise KestrelError(f"{path} is missing. Run: kestrel train")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise KestrelError(f"{path} is damaged: it isn't JSON. Delete it and run the command again that wrote it.") from None


def write_frame(path: Path, frame: pl.DataFrame) -> None:
    """Write a Parquet file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    frame.write_parquet(beside)
    os.replace(beside, path)


def latest(runs: Path, prefix: str) -> Path:
    """The newest finished run folder of a kind; raises KestrelError where there is none."""
    done = [path for path in runs.glob(f"{prefix}-*") if (path / DONE).is_file()]
    if not done:
        raise KestrelError(f"There is no finished {prefix} run in {runs}. Run: kestrel {prefix}")
    return max(done, key=lambda path: (path / DONE).stat().st_mtime_ns)
