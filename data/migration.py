"""An older lake brought to this version's schema."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from data.errors import KestrelError
from data.faults import writing
from data.lake import KEPT, Lake, schema_of
from data.reports import numbered
from data.tables import SCHEMA_VERSION, TABLES
from data.validation import validated

# What a table needs beyond null columns and wider types; each step leaves a table that has it already as it is.
STEPS: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {"reports": numbered}


def migrate(uri: str | Path) -> list[str]:
    """Bring an older lake to this schema: columns added since are null or numbered, types are widened.  Returns the tables rewritten."""
    lake = Lake(uri)
    found = schema_of(lake)
    if found > SCHEMA_VERSION:
        raise KestrelError(f"The lake at {uri} has schema {found}, newer than this Kestrel's {SCHEMA_VERSION}. Upgrade Kestrel.")
    if found == SCHEMA_VERSION:
        return []
    # As they lie: an older table may lack a key that a sorted read would ask for.
    frames = {name: STEPS.get(name, _same)(lake.scan(name).collect()) for name in lake.tables() if name in TABLES}
    for name, frame in frames.items():
        validated(name, frame)  # all of them before the first is written
    for name, frame in frames.items():
        table = lake.opened(name)
        with writing(name, lake.uri):
            table.alter.set_table_properties(KEPT)
        lake.write(name, frame)
    lake.state({"schema_version": str(SCHEMA_VERSION)})
    return list(frames)


def _same(frame: pl.DataFrame) -> pl.DataFrame:
    return frame
