"""The ledger of evaluations: dates that were looked at are no fresh evidence, so every look is counted."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from pipelines.sqlite import created, opened

SCHEMA = ("CREATE TABLE IF NOT EXISTS evaluations (kind TEXT, idea TEXT, first TEXT, last TEXT, at TEXT, PRIMARY KEY (kind, idea, first, last))",)


class Ledger:
    """SQLite beside the runs.  An evaluation is one idea (a model or factor under one config and data) judged on some dates."""

    def __init__(self, path: Path) -> None:
        self.path = created(path, SCHEMA)
        with opened(path) as connection:
            # Ledgers of before p-values were kept lack the column.
            if "p" not in [column[1] for column in connection.execute("PRAGMA table_info(evaluations)")]:
                connection.execute("ALTER TABLE evaluations ADD COLUMN p REAL")

    def record(self, kind: str, ideas: Sequence[str], first: date, last: date, p: Sequence[float] | None = None) -> int:
        """Note that these ideas were judged on first..last (again counts once); returns how many have been, on dates that overlap.

        p: of each idea's test where there is one, NaN = unknown.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        found = [None if value != value else value for value in p or [float("nan")] * len(ideas)]
        rows = [(kind, idea, first.isoformat(), last.isoformat(), now, value) for idea, value in zip(ideas, found, strict=True)]
        keep = "ON CONFLICT DO UPDATE SET p = coalesce(excluded.p, p)"
        with opened(self.path) as connection:
            connection.executemany(f"INSERT INTO evaluations (kind, idea, first, last, at, p) VALUES (?, ?, ?, ?, ?, ?) {keep}", rows)
        return self.count(first, last)

    def tries(self, first: date, last: date) -> dict[tuple[str, str], float]:
        """{(kind, idea): p} of all that was judged on dates that overlap first..last, oldest first; NaN where no p was kept.

        An idea that was judged on several such spans has the largest of its p's: what it showed where it was weakest.
        """
        query = "SELECT kind, idea, max(p) FROM evaluations WHERE first <= ? AND last >= ? GROUP BY kind, idea ORDER BY min(rowid)"
        with opened(self.path) as connection:
            rows = connection.execute(query, (last.isoformat(), first.isoformat())).fetchall()
        return {(kind, idea): float("nan") if p is None else float(p) for kind, idea, p in rows}

    def count(self, first: date, last: date) -> int:
        """Distinct ideas judged so far on dates that overlap first..last."""
        return len(self.tries(first, last))
