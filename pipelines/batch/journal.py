"""The run ledger: every batch with what came of it, and how long each of its steps took."""

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pipelines.sqlite import created, opened

FILE = "batch.db"
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS runs (id INTEGER PRIMARY KEY, session TEXT NOT NULL, began TEXT NOT NULL, pid INTEGER NOT NULL,"
    " seconds REAL, outcome TEXT, reason TEXT, orders INTEGER, warnings TEXT)",
    "CREATE TABLE IF NOT EXISTS steps (run INTEGER NOT NULL, name TEXT NOT NULL, seconds REAL NOT NULL, PRIMARY KEY (run, name))",
)


class Journal:
    """SQLite beside the runs.  A run without an outcome was killed: only the holder of the lock writes here."""

    def __init__(self, path: Path) -> None:
        self.path = created(path, SCHEMA)

    def begin(self, session: date) -> int:
        """Note that a batch begins, and that those before it that never ended were killed; returns the run's number."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with opened(self.path) as connection:
            connection.execute("UPDATE runs SET outcome = 'killed', reason = 'the process ended without a word' WHERE outcome IS NULL")
            return int(connection.execute("INSERT INTO runs (session, began, pid) VALUES (?, ?, ?)", (str(session), now, os.getpid())).lastrowid or 0)

    def end(self, run: int, *, outcome: str, reason: str, orders: int, warnings: Sequence[str], seconds: float) -> None:
        """Note what came of it."""
        values = (outcome, reason, orders, json.dumps(list(warnings), ensure_ascii=False), seconds, run)
        with opened(self.path) as connection:
            connection.execute("UPDATE runs SET outcome = ?, reason = ?, orders = ?, warnings = ?, seconds = ? WHERE id = ?", values)

    @contextmanager
    def step(self, run: int, name: str) -> Iterator[None]:
        """Time a step; one that fails is timed too."""
        began = time.monotonic()
        try:
            yield
        finally:
            with opened(self.path) as connection:
                connection.execute("INSERT OR REPLACE INTO steps VALUES (?, ?, ?)", (run, name, time.monotonic() - began))

    def last(self, days: int) -> list[dict[str, Any]]:
        """A row a run of the last `days` sessions, oldest first, with the seconds of its steps by name."""
        query = "SELECT * FROM runs WHERE session IN (SELECT DISTINCT session FROM runs ORDER BY session DESC LIMIT ?) ORDER BY id"
        with opened(self.path) as connection:
            connection.row_factory = sqlite3.Row
            rows = [dict(row) for row in connection.execute(query, (days,))]
            for row in rows:
                row["steps"] = dict(connection.execute("SELECT name, seconds FROM steps WHERE run = ? ORDER BY rowid", (row["id"],)).fetchall())
                row["warnings"] = json.loads(row["warnings"] or "[]")
        return rows
