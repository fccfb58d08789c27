"""The look-ahead proof on a lake."""

from collections.abc import Sequence

import numpy as np

from data.lake import Lake
from data.progress import Track, silent
from factors.build import choose
from factors.panel import axes_of, build_panel
from factors.prove import Breach, prove
from factors.registry import select
from pipelines.build import Asked

EARLIEST = 20  # sessions: long before most windows are full


def prove_on(lake: Lake, asked: Asked, names: Sequence[str], dates: int, *, track: Track = silent) -> tuple[int, list[Breach]]:
    """(factors proved, breaches) on this lake's tables, at sessions spread over its span from an early one on."""
    tables = asked.tables(lake)
    factors = choose(select(names or None, sets=asked.sets), build_panel(tables), lake.price_basis).available
    sessions = axes_of(tables["bars"], tables["calendar"]).dates
    places = np.unique(np.linspace(min(EARLIEST, len(sessions) - 2), len(sessions) - 2, max(dates, 1)).astype(int))
    return len(factors), prove(factors, tables, [sessions[place] for place in places], track=track)
