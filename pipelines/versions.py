"""Versions: which tables a run read, at which version; what a vacuum must therefore leave."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from data.lake import ABOUT, Lake, version_at
from pipelines.holdout import until_of
from pipelines.publication import git_sha
from pipelines.runs import DONE, read_json, write_json

READ = "versions.json"
RECORDS = (DONE, "config.json", "manifest.json", "identity.json")


def record(folder: Path, lake: Lake) -> None:
    """Write beside a run's results which lake it read, every table's version, where it was sealed, and the commit of the code that ran."""
    versions = lake.versions() | {ABOUT: lake.version(ABOUT)}
    write_json(folder / READ, {"lake": lake.uri, "versions": versions, **until_of(lake), "git": git_sha()})


def needed(lake: Lake, *homes: Path) -> dict[str, set[int]]:
    """{table: versions} that the runs and signals in these folders read.

    A run of before versions were recorded needs, of each table that it doesn't name, the version that was the newest when it began.
    """
    found: dict[str, set[int]] = {}
    histories = {name: lake.history(name) for name in [*lake.tables(), ABOUT]}
    for folder, named, whole in _runs(homes):
        for name, history in histories.items():
            if name in named:
                found.setdefault(name, set()).add(int(named[name]))
            elif not whole:
                found.setdefault(name, set()).add(max(version_at(history, _began(folder)), 0))
    return found


def _runs(homes: tuple[Path, ...]) -> Iterator[tuple[Path, Mapping[str, int], bool]]:
    """(folder, versions, whether these are all that it read) of each run, of whichever lake: to keep too much harms nobody."""
    for home in homes:
        for folder in sorted(path for path in home.glob("*") if path.is_dir()) if home.is_dir() else ():
            if (folder / READ).is_file():
                yield folder, read_json(folder / READ)["versions"], True
            elif any((folder / name).is_file() for name in RECORDS):
                yield folder, _said(folder), False


def _said(folder: Path) -> Mapping[str, int]:
    """The versions that an older run wrote among other facts."""
    for name in ("identity.json", "manifest.json"):
        if (folder / name).is_file():
            versions: Mapping[str, int] = read_json(folder / name).get("versions") or {}
            return versions
    return {}


def _began(folder: Path) -> datetime:
    """When the first of a run's files was written."""
    return datetime.fromtimestamp(min((folder / name).stat().st_mtime for name in RECORDS if (folder / name).is_file()), UTC)
