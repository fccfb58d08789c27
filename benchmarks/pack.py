"""What the portfolio benchmarks read of a lake of the research pack: panels on one pair of axes, all known at the close of their session."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.lake import open_lake
from data.members import drifted_panel, members_panel
from data.panel import Axes, Floats, to_panels
from factors.panel import axes_of, carried
from pipelines.explain import STYLES
from pipelines.prepare import factor_panels, industries

INDEX, FIRST = "000905.SH", date(2012, 1, 4)
SIZE = "log_float_cap"


@dataclass(frozen=True)
class Ground:
    """The pack from FIRST on.  member_DN: of the index, and before anyone knows its members every stock; index_DN: drifted weights, 0 outside."""

    axes: Axes
    bars: pl.DataFrame
    returns_DN: Floats
    styles: dict[str, Floats]
    cap_DN: Floats
    member_DN: NDArray[np.bool_]
    index_DN: Floats
    groups_DN: NDArray[np.int64] | None
    groups: list[str]
    remarks: list[str]


def ground(path: Path) -> Ground:
    """Everything of the lake at `path`, whose factor table has the styles."""
    lake = open_lake(path)
    bars = lake.read("bars", start=FIRST)
    axes = axes_of(bars, lake.read("calendar"))
    panels = to_panels(bars, ["close", "adj", "is_trading"], axes)
    close_DN, trading_DN = panels["close"] * panels["adj"], panels["is_trading"] == 1
    both_DN = trading_DN[1:] & trading_DN[:-1]
    returns_DN = np.full(axes.shape, np.nan)
    returns_DN[1:] = np.where(both_DN, close_DN[1:] / close_DN[:-1] - 1, np.nan)
    there = set(lake.scan("factors").collect_schema().names())
    styles = {style: name for style, name in STYLES.items() if name in there}
    known = factor_panels(lake, list(styles.values()), axes)
    member_DN, known_D = members_panel(lake.read("members"), axes, INDEX)
    index_DN, _ = drifted_panel(lake.read("members"), axes, INDEX, close_DN)
    groups_DN, groups, remarks = industries(lake, axes)
    return Ground(
        axes,
        bars,
        returns_DN,
        {style: known[name] for style, name in styles.items()},
        np.exp(carried(known[SIZE])),
        (member_DN | ~known_D[:, None]) & np.isfinite(close_DN),
        np.nan_to_num(index_DN),
        groups_DN,
        groups,
        remarks,
    )
