"""Reproduce: a finished run once more, from the table versions and the config that it recorded, and whether it comes out equal."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from data.errors import KestrelError
from data.lake import ABOUT, Lake, open_lake
from data.progress import Track, silent
from data.tables import OPEN_TABLES, TABLES
from models.files import HEAD
from pipelines.build import current_factors
from pipelines.config import Config, stored
from pipelines.equality import Row, named, of_files, of_frames, of_values, plain
from pipelines.holdout import Sealed
from pipelines.lookup import Found, find
from pipelines.publication import git_sha
from pipelines.runs import DONE, read_json, write_json
from pipelines.trade import Source, backtest
from pipelines.train import fits_of, home_of, seed_scores, train
from pipelines.versions import READ

REPRODUCED = "reproduced.json"


def reproduce(here: Config, name: str, *, track: Track = silent) -> tuple[Path, list[Row]]:
    """(the run's folder, a row {what, was, now, equal, first difference} for each thing that it left behind), the run made again.

    Nothing is taken over: every fit is fitted again, in a folder that is deleted in the end.  What came of it is kept beside the run in
    reproduced.json.  Raises KestrelError for a run that didn't record its versions, for a version that was vacuumed, and where the code of
    the factors isn't what made the run's factor table.
    """
    found = find(here, name, ("train", "backtest"))
    with TemporaryDirectory(prefix=".again-", dir=here.runs) as again:
        own = stored(found.folder / "config.json", here, whole=True).model_copy(update={"runs": again})
        lake = lake_then(here.lake, found.folder)
        rows = (_training if found.kind == "train" else _accounts)(found, lake, own, Path(here.runs), track)
    equal = all(row["equal"] for row in rows)
    made = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "git": git_sha(), "equal": equal, "parts": rows}
    write_json(found.folder / REPRODUCED, made)
    return found.folder, rows


def lake_then(uri: str, folder: Path) -> Lake:
    """The lake as a run read it: every table at the version that the run recorded, tables begun later not there."""
    if not (folder / READ).is_file():
        raise KestrelError(f"{folder.name} was made before runs recorded the versions of their tables, so nobody knows what it read.")
    made = read_json(folder / READ)
    versions = dict.fromkeys((*TABLES, *OPEN_TABLES, ABOUT), -1) | made["versions"]
    lake = open_lake(uri, versions=versions)
    return Sealed(uri, versions=versions, until=date.fromisoformat(made["until"])) if "until" in made else lake


def verdict(folder: Path, rows: Sequence[Row]) -> str:
    """What came of it, in one sentence."""
    parted = [row["what"] for row in rows if not row["equal"]]
    if not parted:
        return f"{folder.name} came out equal: {len(rows)} of {len(rows)} parts, to the bit."
    made = plain(folder / READ).get("git")
    code = f" It was made by the code of commit {made}, this is {git_sha()}." if made != git_sha() else ""
    return f"{folder.name} came out different in {len(parted)} of {len(rows)} parts: {', '.join(parted)}.{code}"


def _training(found: Found, lake: Lake, own: Config, runs: Path, track: Track) -> list[Row]:
    """A training: its fits' files, the scores and daily correlations of each model, its results."""
    try:
        current_factors(lake)
    except KestrelError as error:
        made = plain(found.folder / READ).get("git")
        raise KestrelError(f"{error} For a run of the past: check out the code that made it (commit {made}).") from None
    again, _ = train(lake, own, track=track)
    rows = [of_values("identity", plain(found.folder / "identity.json"), plain(again / "identity.json"))]
    files = [{_named(entry): home_of(folder, entry) / "model" / HEAD for entry in fits_of(folder)} for folder in (found.folder, again)]
    rows.append(of_files("files of the fits", *files))
    for file, keys in (("scores.parquet", ("date", "symbol")), ("daily.parquet", ("horizon", "date"))):
        was, now = (pl.read_parquet(folder / file).partition_by("model", as_dict=True, maintain_order=True) for folder in (found.folder, again))
        for key in was | now:
            empty = next(iter(was.values())).clear()
            rows.append(of_frames(f"{file.partition('.')[0]} of {key[0]}", was.get(key, empty), now.get(key, empty), keys))
    return [*rows, _results(found.folder, again, "model", "horizon")]


def _accounts(found: Found, lake: Lake, own: Config, runs: Path, track: Track) -> list[Row]:
    """A backtest: every table of each account, its last holdings, its results."""
    results, scores = read_json(found.folder / DONE), pl.read_parquet(found.folder / "scores.parquet")
    training = runs / results["source"]
    seeds = seed_scores(training) if (training / DONE).is_file() else None
    again, _ = backtest(lake, own, Source(scores, results["source"], results["source"], None, seeds), track=track)
    rows = []
    for model in (row["model"] for row in results["models"]):
        for file in sorted((found.folder / model).glob("*.parquet")):
            other = again / model / file.name
            was = pl.read_parquet(file)
            keys = [key for key in ("date", "symbol") if key in was.columns]
            rows.append(of_frames(f"{file.stem} of {model}", was, pl.read_parquet(other) if other.is_file() else was.clear(), keys))
        rows.append(of_values(f"positions of {model}", *(plain(folder / model / "positions.json") for folder in (found.folder, again))))
    return [*rows, _results(found.folder, again, "model")]


def _results(was: Path, now: Path, *keys: str) -> Row:
    """The summary of a run; the name of where its scores came from isn't a result."""
    one, other = read_json(was / DONE), read_json(now / DONE)
    sides = [{"span": found["span"], "chosen": found.get("chosen"), **named(found["models"], *keys)} for found in (one, other)]
    return of_values("results", *sides)


def _named(entry: dict[str, Any]) -> str:
    return f"{entry['fold']} {entry['model']} {entry['seed']}"
