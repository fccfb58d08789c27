"""The ledger: dates that were looked at are no fresh evidence, so every look is counted, every opening of a holdout, every promotion."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.sqlite import created, opened

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS evaluations (kind TEXT, idea TEXT, first TEXT, last TEXT, at TEXT, PRIMARY KEY (kind, idea, first, last))",
    "CREATE TABLE IF NOT EXISTS openings (family TEXT, first TEXT, last TEXT, run TEXT, at TEXT)",
    "CREATE TABLE IF NOT EXISTS promotions (challenger TEXT, champion TEXT, first TEXT, last TEXT, outcome TEXT, evidence TEXT, at TEXT)",
)
FOREVER = "9999-12-31"  # the last day of a holdout that has no end


class Opening(NamedTuple):
    """Who opened a holdout's sessions, and when (UTC).  last: None without an end."""

    family: str
    first: date
    last: date | None
    run: str
    at: str


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
        now = _now()
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

    def open(self, family: str, first: date, last: date | None, run: str) -> Opening:
        """Note that a run of this family sees the sessions first..last, unless one was opened on any of them; returns the opening that holds."""
        end = FOREVER if last is None else last.isoformat()
        there = "SELECT 1 FROM openings WHERE family = ? AND first <= ? AND last >= ?"
        values = (family, first.isoformat(), end, run, _now(), family, end, first.isoformat())
        with opened(self.path) as connection:  # one statement, so that of two at once one is first
            connection.execute(f"INSERT INTO openings SELECT ?, ?, ?, ?, ? WHERE NOT EXISTS ({there})", values)
        return next(one for one in self.openings() if one.family == family and one.first.isoformat() <= end and (one.last or date.max) >= first)

    def openings(self) -> list[Opening]:
        """Every opening, oldest first."""
        with opened(self.path) as connection:
            rows = connection.execute("SELECT family, first, last, run, at FROM openings ORDER BY rowid").fetchall()
        ends = [None if row[2] == FOREVER else date.fromisoformat(row[2]) for row in rows]
        return [Opening(row[0], date.fromisoformat(row[1]), end, row[3], row[4]) for row, end in zip(rows, ends, strict=True)]

    def promote(self, challenger: str, champion: str, first: date | None, last: date | None, outcome: str, evidence: Mapping[str, Any]) -> None:
        """Note what came of a challenger's trial against the champion; without dates there was none."""
        span = [day.isoformat() if day else None for day in (first, last)]
        values = (challenger, champion, *span, outcome, json.dumps(evidence, default=str), _now())
        with opened(self.path) as connection:
            connection.execute("INSERT INTO promotions VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def promotions(self) -> list[dict[str, Any]]:
        """Every trial of a challenger, oldest first: challenger, champion, first, last, outcome, evidence, at."""
        names = ("challenger", "champion", "first", "last", "outcome", "evidence", "at")
        with opened(self.path) as connection:
            rows = connection.execute(f"SELECT {', '.join(names)} FROM promotions ORDER BY rowid").fetchall()
        return [{**dict(zip(names, row, strict=True)), "evidence": json.loads(row[5])} for row in rows]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
