"""Finished pieces of an unfinished fetch, kept as files beside the lake, so that an interruption costs one piece."""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

PLAN = "plan.json"


class Staging:
    """A folder of pieces that belong to one question; another question starts it anew.

    A piece is written whole or not at all, with the source that gave it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, question: dict[str, Any], until: str) -> str:
        """The last day of this fetch: that of an unfinished one that asked the same, else `until`."""
        plan = self.folder / PLAN
        try:
            found = json.loads(plan.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = {}
        if found.get("question") == question:
            return str(found["until"])
        self.clear()
        self.folder.mkdir(parents=True)
        _write_whole(plan, json.dumps({"question": question, "until": until}, indent=1).encode())
        return until

    def piece(self, function: str, args: Sequence[Any]) -> tuple[str, pl.DataFrame] | None:
        """(source, rows) of a finished piece; None where it isn't there or can't be read."""
        file = self._file(function, args)
        try:
            return pl.read_parquet_metadata(file)["source"], pl.read_parquet(file)
        except (OSError, KeyError, pl.exceptions.PolarsError):
            return None

    def keep(self, function: str, args: Sequence[Any], source: str, rows: pl.DataFrame) -> None:
        """Keep a finished piece."""
        file = self._file(function, args)
        file.parent.mkdir(exist_ok=True)
        part = file.with_suffix(".part")
        rows.write_parquet(part, metadata={"source": source})
        os.replace(part, file)

    def clear(self) -> None:
        """Forget every piece."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, function: str, args: Sequence[Any]) -> Path:
        words = [str(part) for arg in args for part in (arg if isinstance(arg, tuple) else (arg,))]
        name = "_".join(words) or "all"
        if not name.replace("_", "").replace("-", "").replace(".", "").isalnum():
            name = hashlib.sha256(name.encode()).hexdigest()
        return self.folder / function / f"{name}.parquet"


def beside(uri: str) -> Path:
    """The folder for pieces of a lake: beside it, or in the working folder for a lake on an object store."""
    if "://" in uri:
        return Path(f".fetch-{hashlib.sha256(uri.encode()).hexdigest()[:12]}")
    return Path(f"{uri}.fetch")


def _write_whole(file: Path, content: bytes) -> None:
    part = file.with_suffix(".part")
    part.write_bytes(content)
    os.replace(part, file)
