"""A named rule about a table, with a reason, and what it finds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import polars as pl

from data.validation import keys

Tables = dict[str, pl.DataFrame]
Severity = Literal["blocking", "warning"]
CENT = 0.0051  # half a tick and the noise of a float32 vendor


@dataclass(frozen=True)
class Check:
    """A rule about one table: `bad` finds the rows that break it.  Shares are fractions of the table's rows.

    Up to `tolerated` rows may break it unseen; a warning becomes blocking above `blocks_above`.
    """

    name: str
    table: str
    severity: Severity
    why: str
    bad: Callable[[Tables], pl.DataFrame]
    basis: Literal["raw", "adjusted", "any"] = "any"
    tolerated: float = 0.0
    blocks_above: float = 1.0

    def find(self, tables: Tables) -> "Finding | None":
        """What breaks the rule in these tables, None where nothing does."""
        bad = self.bad(tables)
        share = bad.height / max(tables[self.table].height, 1)
        if not bad.height or share <= self.tolerated:
            return None
        key = [column for column in keys(self.table) if column in bad.columns] or bad.columns
        first = " ".join(str(value) for value in bad.select(key).sort(key).row(0))
        return Finding(self.name, self.table, "blocking" if share > self.blocks_above else self.severity, bad.height, share, first, self.why)


@dataclass(frozen=True)
class Finding:
    """What a check found: how many rows, and the keys of the first."""

    check: str
    table: str
    severity: Severity
    rows: int
    share: float
    first: str
    why: str


def rows(table: str, condition: pl.Expr) -> Callable[[Tables], pl.DataFrame]:
    """A check of single rows: those for which the condition holds break it."""
    return lambda tables: tables[table].filter(condition)


def before(column: str) -> pl.Expr:
    """A stock's value one row earlier."""
    return pl.col(column).shift(1).over("symbol", order_by="date")
