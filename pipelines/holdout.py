"""Holdout: sessions that no figure is made of until they are opened, once for a family of models.

All that evaluates reads the lake through `seen`, which ends it before these sessions, and shows what was evaluated earlier only
where `shown` allows it.  The daily batch and the paper account publish and tell what a desk does, and read the lake as it is.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict, model_validator

from data.lake import Lake
from pipelines.runs import read_json

OPENED = "holdout.json"  # in the folder of a run that was allowed to see the sessions


class HoldoutSettings(BaseModel):
    """The sessions held out: from `begin` on; an opened run sees them up to `end` (None: the lake's last).  Without a begin there are none."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    begin: date | None = None
    end: date | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "HoldoutSettings":
        if self.end is not None and (self.begin is None or self.end < self.begin):
            raise ValueError(f"holdout.begin is {self.begin} and holdout.end {self.end}. Name a begin that isn't after the end.")
        return self

    @property
    def last(self) -> date | None:
        """The last day that is seen while they are closed; None: every day is."""
        return None if self.begin is None else self.begin - timedelta(days=1)

    def __str__(self) -> str:
        """The sessions, for a person."""
        return f"{self.begin} to {self.end or 'the last session'}"


class Sealed(Lake):
    """A lake of which nothing dated after `until` is read.  The calendar is known ahead, and so whole."""

    def __init__(self, uri: str | Path, *, versions: Mapping[str, int] | None = None, until: date) -> None:
        super().__init__(uri, versions=versions)
        self.until = until

    def scan(self, name: str) -> pl.LazyFrame:
        """The table up to `until`."""
        rows = super().scan(name)
        columns = rows.collect_schema().names()
        for column in ("date", "time", "published_at") if name != "calendar" else ():
            if column in columns:
                rows = rows.filter(pl.col(column).dt.date() <= self.until if column != "date" else pl.col("date") <= self.until)
        return rows

    def fixed(self, versions: Mapping[str, int]) -> "Sealed":
        """As a lake's own, sealed as it is."""
        return Sealed(self.uri, versions=versions, until=self.until)


def seen(lake: Lake, held: HoldoutSettings, folder: Path | None = None) -> Lake:
    """The lake as an evaluation may read it: to the day before the holdout, or to its end for the folder of a run that was opened.

    A lake that is sealed already stays as it is.
    """
    if isinstance(lake, Sealed) or held.last is None:
        return lake
    return unsealed(lake, held) if folder is not None and opened(folder, held) else Sealed(lake.uri, versions=lake.pinned, until=held.last)


def unsealed(lake: Lake, held: HoldoutSettings) -> Lake:
    """The lake to the holdout's end, for a run that is opened, and for models that nobody is shown a figure of."""
    return lake if held.begin is None else Sealed(lake.uri, versions=lake.pinned, until=held.end or date.max)


def until_of(lake: Lake) -> dict[str, str]:
    """{"until": the last day that is read} of a sealed lake, so that what was made of it has a name of its own; nothing for a whole one."""
    return {"until": lake.until.isoformat()} if isinstance(lake, Sealed) else {}


def opened(folder: Path, held: HoldoutSettings) -> bool:
    """Whether a run's folder was opened for these sessions."""
    if not (folder / OPENED).is_file():
        return False
    found: dict[str, Any] = read_json(folder / OPENED)
    return bool(found["begin"] == str(held.begin))


def shown(folder: Path, last: date, held: HoldoutSettings) -> bool:
    """Whether the figures of a run whose dates end at `last` may be shown."""
    return held.last is None or last <= held.last or opened(folder, held)
