"""The same lake on an object store: a local S3 server, and the URI as the only change."""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from data.errors import KestrelError
from data.ingest import import_folder, write_tables
from data.lake import Lake, open_lake
from data.query import sql
from data.vacuum import vacuum

Tables = dict[str, pl.DataFrame]
SIZE = 60  # stocks: the server is a Python one


@pytest.fixture
def small(tables: Tables) -> Tables:
    names = tables["securities"]["symbol"].head(SIZE).implode()
    return {name: frame.filter(pl.col("symbol").is_in(names)) if "symbol" in frame.columns else frame for name, frame in tables.items()}


def test_a_lake_on_an_object_store_gives_what_a_folder_gives(remote: str, small: Tables, tmp_path: Path) -> None:
    here, there = Lake(tmp_path / "lake"), Lake(remote)
    for lake in (here, there):
        write_tables(lake, small, "raw", {"import": "abc"})
        lake.replace("bars", small["bars"].with_columns(pl.col("close") + 1), date(2021, 3, 2), date(2021, 3, 3))
        lake.write("members", small["members"].head(5))
    assert open_lake(remote).facts() == here.facts()
    assert there.versions() == here.versions()
    for name in here.tables():
        assert there.read(name).equals(here.read(name)), name
    assert there.read("bars", columns=["close"], start=date(2021, 3, 3)).equals(here.read("bars", columns=["close"], start=date(2021, 3, 3)))
    query = "SELECT bars.date, sum(close) AS total FROM bars JOIN members USING (symbol) GROUP BY ALL ORDER BY 1"
    assert sql(there, query)["date"].equals(sql(here, query)["date"])
    assert sql(there, query)["total"].to_list() == pytest.approx(sql(here, query)["total"].to_list())
    assert Lake(remote, versions={"members": 0}).read("members").height == SIZE
    with pytest.raises(KestrelError, match="version 99 of bars at s3://"):
        Lake(remote, versions={"bars": 99}).read("bars")


def test_a_folder_of_files_is_imported_onto_an_object_store(remote: str, vendor: Path) -> None:
    written, _ = import_folder(Lake(remote), vendor, vendor / "mapping.toml")
    assert written["bars"] == 36
    assert import_folder(Lake(remote), vendor, vendor / "mapping.toml") == ({}, [])


def test_an_empty_prefix_is_no_lake(remote: str) -> None:
    with pytest.raises(KestrelError, match="There is no lake at s3://desk"):
        open_lake(remote)


def test_two_writers_of_an_object_store_are_kept_apart_by_its_conditional_writes(remote: str, small: Tables) -> None:
    Lake(remote).write("bars", small["bars"])
    days = small["bars"]["date"].unique().sort().to_list()[:4]

    def write(day: date) -> int:
        new = small["bars"].filter(pl.col("date") == day).with_columns(pl.col("close") + 100)
        return Lake(remote).replace("bars", new, day, day)

    with ThreadPoolExecutor(2) as pool:
        versions = list(pool.map(write, days))
    assert max(versions) == len(days)
    assert Lake(remote).read("bars").filter(pl.col("close") > 100).height == SIZE * len(days)


def test_vacuum_deletes_on_an_object_store_and_leaves_what_runs_need(remote: str, small: Tables) -> None:
    lake = Lake(remote)
    for count in (10, 20, 30):
        lake.write("bars", small["bars"].head(count))
    assert [one.files for one in vacuum(lake, {"bars": [1]}, hours=0, dry_run=False)] == [1]
    assert [Lake(remote, versions={"bars": version}).read("bars").height for version in (1, 2)] == [20, 30]
    assert lake.version("bars") == 2


def test_a_store_that_cannot_be_reached_is_one_clear_error(remote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_RETRIES": "0", "AWS_RETRY_TIMEOUT": "1s"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(KestrelError, match=r"s3://desk/.*can't be reached"):
        open_lake(remote)
    assert os.environ["AWS_ENDPOINT_URL"].endswith(":9")
