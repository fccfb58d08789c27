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
from data.progress import Track, silent
from factors.compute import BLOCK, blocks
from factors.panel import Panel
from factors.registry import Factor


@dataclass(frozen=True)
class Choice:
    """The factors a panel can feed, and for each of the others the reason why not."""

    available: list[Factor]
    unavailable: dict[str, str]


def choose(factors: Sequence[Factor], panel: Panel, price_basis: str) -> Choice:
    """Split factors by whether the panel's columns and price basis can feed them."""
    reasons = {factor.name: factor.unavailable(panel.columns, price_basis) for factor in factors}
    return Choice([factor for factor in factors if reasons[factor.name] is None], {name: reason for name, reason in reasons.items() if reason})


def values(factors: Sequence[Factor], panel: Panel, *, track: Track = silent) -> dict[str, NDArray[np.float32]]:
    """{name: [D, N]} of each factor, on the stocks that traded in the session; NaN = null."""
    alone = [factor for factor in factors if factor.fused is None]
    found = {factor.name: np.empty(panel.axes.shape, np.float32) for factor in alone}
    steps = track(range(0, len(panel.axes.dates), BLOCK), "factors")
    for (lo, x_BFN), _ in zip(blocks([factor.expr for factor in alone], panel.columns), steps, strict=True):
        for place, factor in enumerate(alone):
            found[factor.name][lo : lo + len(x_BFN)] = x_BFN[:, place]
    for fused in dict.fromkeys(factor.fused for factor in factors if factor.fused is not None):
        found |= fused(panel.columns, [factor.name for factor in factors if factor.fused is fused])
    for values in found.values():
        values[~panel.trading] = np.nan
    return {factor.name: found[factor.name] for factor in factors}


def session(factors: Sequence[Factor], panel: Panel, row: int) -> dict[str, NDArray[np.float32]]:
    """{name: [N]} of one session, out of its own lookback; NaN = null, or the stock didn't trade."""
    return {name: found[row] for name, found in values(factors, panel).items()}


def frames(factors: Sequence[Factor], panel: Panel, *, start: int = 0, stop: int | None = None) -> Iterator[pl.DataFrame]:
    """The factor table of the sessions start … stop-1, in blocks: date, symbol, one Float32 column a factor; a row for each stock that traded.

    Raises KestrelError where there is no factor to build.
    """
    if not factors:
        raise KestrelError("None of the factors can be fed by this lake. See what each one needs: kestrel factors list")
    found = values(factors, panel)
    end = len(panel.axes.dates) if stop is None else stop
    for lo in range(start, end, BLOCK):
        part = slice(lo, min(lo + BLOCK, end))
        axes = Axes(panel.axes.dates[part], panel.axes.symbols)
        yield to_frame({name: rows[part] for name, rows in found.items()}, panel.trading[part], axes)


def key(factors: Sequence[Factor], versions: Mapping[str, int]) -> str:
    """A hash of the definitions and of the versions of the tables they are computed from: equal keys mean equal factor tables."""
    definition = {"factors": {factor.name: factor.expr.text for factor in factors}, "versions": dict(sorted(versions.items()))}
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()
