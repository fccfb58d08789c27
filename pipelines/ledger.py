"""The ledger of evaluations: dates that were looked at are no fresh evidence, so every look is counted."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path


class Ledger:
    """SQLite beside the runs.  An evaluation is one idea (a model or factor under one config and data) judged on some dates."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        with self._open() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS evaluations (kind TEXT, idea TEXT, first TEXT, last TEXT, at TEXT, PRIMARY KEY (kind, idea, first, last))"
            )

    def record(self, kind: str, ideas: Sequence[str], first: date, last: date) -> int:
        """Note that these ideas were judged on first..last (again counts once); returns how many have been, on dates that overlap."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        rows = [(kind, idea, first.isoformat(), last.isoformat(), now) for idea in ideas]
        with self._open() as connection:
            connection.executemany("INSERT OR IGNORE INTO evaluations VALUES (?, ?, ?, ?, ?)", rows)
        return self.count(first, last)

    def count(self, first: date, last: date) -> int:
        """Distinct ideas judged so far on dates that overlap first..last."""
        query = "SELECT count(*) FROM (SELECT DISTINCT kind, idea FROM evaluations WHERE first <= ? AND last >= ?)"
        with self._open() as connection:
            return int(connection.execute(query, (last.isoformat(), first.isoformat())).fetchone()[0])

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=30)
        try:
            with connection:
                yield connection
        finally:
            connection.close()
