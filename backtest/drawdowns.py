"""The times that wealth spent below its highest point, one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from data.panel import Floats


@dataclass(frozen=True)
class Drawdown:
    """One time below the high.  depth is negative; sessions counts those below; recovered is None where it lasts."""

    start: date  # the first session below
    trough: date
    recovered: date | None  # the first session at the high again
    depth: float
    sessions: int


def worst(dates: Sequence[date], wealth_D: Floats, count: int = 5) -> list[Drawdown]:
    """The `count` deepest drawdowns of a wealth that started at 1, deepest first, the earlier one first where they are alike."""
    below_D = wealth_D / np.maximum(np.maximum.accumulate(wealth_D), 1.0) - 1
    under_D = np.concatenate([[False], below_D < 0, [False]])
    turns = np.flatnonzero(under_D[1:] != under_D[:-1])
    found = []
    for first, stop in zip(turns[::2].tolist(), turns[1::2].tolist(), strict=True):
        trough = first + int(np.argmin(below_D[first:stop]))
        recovered = dates[stop] if stop < len(dates) else None
        found.append(Drawdown(dates[first], dates[trough], recovered, float(below_D[trough]), stop - first))
    return sorted(found, key=lambda one: one.depth)[:count]
