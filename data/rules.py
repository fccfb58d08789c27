"""The exchange's rules by date: one table (rules.toml), read by the simulator, the backtester and the order generator alike."""

import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.errors import KestrelError


class Row(NamedTuple):
    """A value in force from a day on, and what it rests on: F found in a public source, K known, U the user's."""

    start: date
    value: float
    evidence: str


class Rules:
    """Every dated rule under (name, key), such as ('limit', 'chinext_st') or ('stamp_duty', 'sell')."""

    def __init__(self, rows: Mapping[tuple[str, str], list[Row]]) -> None:
        self.rows = dict(rows)

    def at(self, name: str, key: str, day: date) -> float:
        """The value in force on `day`; NaN before the rule existed."""
        return float(self.over(name, key, np.array([day], dtype="datetime64[D]"))[0])

    def over(self, name: str, key: str, dates: NDArray[np.datetime64]) -> NDArray[np.float64]:
        """The value in force on each date.  dates [D] -> [D] float64, NaN before the rule existed."""
        rows = self._find(name, key)
        starts = np.array([row.start for row in rows], dtype="datetime64[D]")
        values = np.array([np.nan, *(row.value for row in rows)])
        return values[np.searchsorted(starts, dates.astype("datetime64[D]"), side="right")]

    def overridden(self, changes: Mapping[str, Mapping[str, Any]]) -> "Rules":
        """These rules with some keys replaced whole: {'limit': {'main_st': [[2026-07-06, 0.1]]}}."""
        rows = dict(self.rows)
        for name, keys in changes.items():
            for key, found in keys.items():
                self._find(name, key)
                rows[name, key] = _rows(f"rules.{name}.{key}", found, "U")
        return Rules(rows)

    def _find(self, name: str, key: str) -> list[Row]:
        try:
            return self.rows[name, key]
        except KeyError:
            known = ", ".join(f"{n}.{k}" for n, k in sorted(self.rows) if n == name) or ", ".join(sorted({n for n, _ in self.rows}))
            raise KestrelError(f"rules.{name}.{key} is not a rule. There is: {known}.") from None


@cache
def exchange_rules() -> Rules:
    """The rules that ship with Kestrel."""
    table = tomllib.loads((Path(__file__).parent / "rules.toml").read_text(encoding="utf-8"))
    return Rules({(name, key): _rows(f"{name}.{key}", rows, "K") for name, keys in table.items() for key, rows in keys.items()})


def _rows(where: str, found: list[list[Any]], evidence: str) -> list[Row]:
    """Check and sort the rows of one rule."""
    rows = []
    for item in found:
        if not (isinstance(item, list) and len(item) in (2, 3) and isinstance(item[0], date) and isinstance(item[1], int | float)):
            raise KestrelError(f"{where}: {item!r} is not a rule row. Write [2023-08-28, 0.0005]: first day in force, then the value.")
        rows.append(Row(item[0], float(item[1]), item[2] if len(item) == 3 else evidence))
    return sorted(rows)
