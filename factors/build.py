"""Factor tables: every factor that the lake can feed, over its whole history, as one (date, symbol) frame."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.errors import KestrelError
from data.panel import Axes, to_frame
from factors import compute
from factors.panel import Panel
from factors.registry import Factor

Rows = NDArray[np.float32]
BLOCK = 128  # sessions computed and written at once
FEW = 32  # of them where one session is wanted


@dataclass(frozen=True)
class Choice:
    """The factors a panel can feed, and for each of the others the reason why not."""

    available: list[Factor]
    unavailable: dict[str, str]


def choose(factors: Sequence[Factor], panel: Panel, price_basis: str) -> Choice:
    """Split factors by whether the panel's columns and price basis can feed them."""
    reasons = {factor.name: factor.unavailable(panel.columns, price_basis) for factor in factors}
    return Choice([factor for factor in factors if reasons[factor.name] is None], {name: reason for name, reason in reasons.items() if reason})


def blocks(
    factors: Sequence[Factor], panel: Panel, *, start: int = 0, stop: int | None = None, size: int = BLOCK
) -> Iterator[tuple[int, dict[str, Rows]]]:
    """(first session, {name: [B, N]}) of each block of the sessions start … stop-1; NaN = null, or the stock didn't trade.

    A session needs its own lookback alone.  The arrays are those of the next block too: copy what you keep.
    """
    columns = {name: values[:stop] for name, values in panel.columns.items()}
    alone = [factor for factor in factors if factor.fused is None]
    streams = [_computed(alone, columns, start, size)] if alone else []
    for fused in dict.fromkeys(factor.fused for factor in factors if factor.fused is not None):
        streams.append(fused(columns, [factor.name for factor in factors if factor.fused is fused], start, size))
    for parts in zip(*streams, strict=True):
        lo, found = parts[0][0], {name: rows for _, part in parts for name, rows in part.items()}
        for rows in found.values():
            rows[~panel.trading[lo : lo + len(rows)]] = np.nan
        yield lo, {factor.name: found[factor.name] for factor in factors}


def _computed(factors: Sequence[Factor], columns: Mapping[str, NDArray[np.float64]], start: int, size: int) -> Iterator[tuple[int, dict[str, Rows]]]:
    for lo, x_BFN in compute.blocks([factor.expr for factor in factors], columns, start=start, size=size):
        yield lo, {factor.name: x_BFN[:, place] for place, factor in enumerate(factors)}


def values(factors: Sequence[Factor], panel: Panel) -> dict[str, Rows]:
    """{name: [D, N]} of each factor over all sessions."""
    found = {factor.name: np.empty(panel.axes.shape, np.float32) for factor in factors}
    for lo, block in blocks(factors, panel):
        for name, rows in block.items():
            found[name][lo : lo + len(rows)] = rows
    return found


def session(factors: Sequence[Factor], panel: Panel, row: int) -> dict[str, Rows]:
    """{name: [N]} of one session.

    Later sessions are there to be seen, as they are when a table is built: the proof shows that nobody looks.
    """
    for _, found in blocks(factors, panel, start=row, size=FEW):
        return {name: rows[0] for name, rows in found.items()}
    return {}


def frames(factors: Sequence[Factor], panel: Panel, *, start: int = 0, stop: int | None = None) -> Iterator[pl.DataFrame]:
    """The factor table of the sessions start … stop-1, in blocks: date, symbol, one Float32 column a factor; a row for each stock that traded.

    Raises KestrelError where there is no factor to build.
    """
    if not factors:
        raise KestrelError("None of the factors can be fed by this lake. See what each one needs: kestrel factors list")
    for lo, block in blocks(factors, panel, start=start, stop=stop):
        part = slice(lo, lo + len(next(iter(block.values()))))
        yield to_frame(block, panel.trading[part], Axes(panel.axes.dates[part], panel.axes.symbols))


def key(factors: Sequence[Factor], versions: Mapping[str, int], *how: str | float | None) -> str:
    """A hash of the definitions, of the versions of the tables they are computed from, and of how these are read.

    Equal keys mean equal factor tables.
    """
    definition = {"factors": {factor.name: factor.expr.text for factor in factors}, "versions": dict(sorted(versions.items())), "how": how}
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()
