"""Answers of models and what they cost, in one SQLite file: a call's bill and its answer are one commit.

Money is whole 1e-6 CNY.  Before a call its worst case is reserved, after it the reservation becomes what it really cost.  A
process that dies in between leaves the reservation, which counts for good: nobody knows whether that call was billed.
"""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from data.errors import KestrelError

# Answers are long: with them in the leaves alone the tree of keys is shallow, and looking one up takes half as long.
SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS failures (key BLOB PRIMARY KEY, reason TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS calls (id INTEGER PRIMARY KEY, period TEXT NOT NULL, key BLOB NOT NULL, cost INTEGER NOT NULL, outcome TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS purses (period TEXT PRIMARY KEY, spent INTEGER NOT NULL, calls INTEGER NOT NULL) WITHOUT ROWID;
"""
OPEN = "open"  # the outcome of a call that isn't over


class CapReached(KestrelError):
    """The next call could cost more than is left."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A reservation: the number of the call, whose money it is, and how much."""

    call: int
    period: str
    worst: int


def key_of(*parts: str | bytes) -> bytes:
    """32 bytes that stand for these parts; each is measured, so that none can run into the next."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return digest.digest()


class Cache:
    """The file.  Safe under kill -9 at any point (write-ahead log), and under several processes: money is taken in one transaction."""

    def __init__(self, path: Path | str) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path = Path(path)
        try:
            self._db = sqlite3.connect(path, timeout=60, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA mmap_size = 268435456")
            self._db.executescript(SCHEMA)
        except sqlite3.DatabaseError as error:
            raise KestrelError(f"{path} can't be used as a cache of answers: {error}. Name another: --set sentiment.cache=FILE") from None

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    # -- answers

    def get(self, key: bytes) -> str | None:
        """The answer kept under a key."""
        found = self._db.execute("SELECT body FROM answers WHERE key = ?", (key,)).fetchone()
        return found[0] if found else None

    def put(self, key: bytes, body: str) -> None:
        """Keep an answer that cost nothing."""
        self._db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, body))

    # -- money

    def reserve(self, period: str, key: bytes, worst: int, cap: int) -> Ticket:
        """Set the worst case of a call aside; raises CapReached where the period's cap has less left."""
        with self._transaction():
            spent = self.spent(period)
            if spent + worst > cap:
                raise CapReached(
                    f"{spent / 1e6:.4f} CNY of {cap / 1e6:.4f} are spent or reserved in {period}, and the next call may cost {worst / 1e6:.4f}. "
                    "Raise sentiment.spending.cap; what was answered is kept."
                )
            self._take(period, worst, 1)
            row = self._db.execute("INSERT INTO calls (period, key, cost, outcome) VALUES (?, ?, ?, ?)", (period, key, worst, OPEN))
            return Ticket(int(row.lastrowid or 0), period, worst)

    def settle(self, ticket: Ticket, cost: int, outcome: str, key: bytes | None = None, body: str | None = None) -> None:
        """Turn a reservation into what the call cost and, where it brought an answer, keep that in the same commit."""
        with self._transaction():
            self._db.execute("UPDATE calls SET cost = ?, outcome = ? WHERE id = ?", (cost, outcome, ticket.call))
            self._take(ticket.period, cost - ticket.worst, 0)
            if key is not None and body is not None:
                self.put(key, body)

    def spent(self, period: str) -> int:
        """What was settled in a period and what is reserved."""
        found = self._db.execute("SELECT spent FROM purses WHERE period = ?", (period,)).fetchone()
        return int(found[0]) if found else 0

    def bill(self) -> list[dict[str, str | int | float]]:
        """A row a period: calls, CNY settled, and CNY of calls whose end nobody saw."""
        query = (
            "SELECT period, count(*), sum(cost), sum(CASE WHEN outcome = ? THEN cost ELSE 0 END), sum(outcome NOT IN ('ok', ?)) "
            "FROM calls GROUP BY period ORDER BY period"
        )
        rows = self._db.execute(query, (OPEN, OPEN)).fetchall()
        names = ("period", "calls", "spent_cny", "of_it_unseen_cny", "failed_calls")
        return [dict(zip(names, (period, calls, cost / 1e6, unseen / 1e6, bad), strict=True)) for period, calls, cost, unseen, bad in rows]

    # -- failures

    def failure(self, key: bytes) -> str | None:
        """Why there is no answer under a key."""
        found = self._db.execute("SELECT reason FROM failures WHERE key = ?", (key,)).fetchone()
        return found[0] if found else None

    def fail(self, key: bytes, reason: str) -> None:
        """Keep a failure, so that it isn't tried again unasked."""
        self._db.execute("INSERT OR REPLACE INTO failures VALUES (?, ?)", (key, reason))

    def forgive(self, key: bytes) -> None:
        """Forget a failure."""
        self._db.execute("DELETE FROM failures WHERE key = ?", (key,))

    # -- inside

    def _take(self, period: str, amount: int, calls: int) -> None:
        self._db.execute(
            "INSERT INTO purses VALUES (?, ?, ?) ON CONFLICT (period) DO UPDATE SET spent = spent + excluded.spent, calls = calls + excluded.calls",
            (period, amount, calls),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, one process at a time."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
