"""Imports are whole or not at all: what checks refuse, what a second or an interrupted import does, what a later pack needs."""

from pathlib import Path

import polars as pl
import pytest

from data.errors import ChecksFailed, KestrelError
from data.ingest import import_folder, write_tables
from data.lake import Lake, open_lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake that is still empty."""
    return Lake(tmp_path / "lake")


def imported(lake: Lake, folder: Path) -> dict[str, int]:
    return import_folder(lake, folder, folder / "mapping.toml")[0]


def edit(folder: Path, old: str, new: str, *, file: str = "mapping.toml") -> None:
    """Change a text of a file that must be there."""
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")


def put(folder: Path, name: str, frame: pl.DataFrame) -> None:
    frame.write_parquet(folder / name) if name.endswith(".parquet") else frame.write_csv(folder / name)


def test_a_wrong_unit_is_refused_by_the_checks_and_nothing_is_written(lake: Lake, vendor: Path, quotes: pl.DataFrame) -> None:
    put(vendor, "bars.csv", quotes.with_columns(pl.col("volume") / 100))
    with pytest.raises(
        ChecksFailed, match=r"(?s)is refused, nothing was written:\n  bars: 34 rows: amount / volume misses the price by a power of ten.*map its unit"
    ) as error:
        imported(lake, vendor)
    assert error.value.exit_code == 3
    assert not Path(lake.uri).exists()


def test_a_refused_import_leaves_an_earlier_lake_as_it_was(lake: Lake, vendor: Path, quotes: pl.DataFrame) -> None:
    imported(lake, vendor)
    before, facts = lake.versions(), lake.facts()
    put(vendor, "bars.csv", quotes.with_columns(pl.col("low") - 20))
    with pytest.raises(ChecksFailed, match="a price at or below zero comes of additive adjustment"):
        imported(lake, vendor)
    assert (lake.versions(), lake.facts()) == (before, facts)


def test_importing_again_does_nothing(lake: Lake, vendor: Path) -> None:
    imported(lake, vendor)
    before = lake.versions()
    assert import_folder(lake, vendor, vendor / "mapping.toml") == ({}, [])
    assert lake.versions() == before


def test_a_changed_file_or_mapping_is_imported_again(lake: Lake, vendor: Path) -> None:
    imported(lake, vendor)
    edit(vendor, "0.5", "0.6", file="dividends.csv")
    assert imported(lake, vendor)["dividends"] == 1
    assert lake.read("dividends")["cash"][0] == 0.6
    edit(vendor, 'bonus = { column = "bonus", null = 0.0 }', "bonus = { value = 0.1 }")
    assert imported(lake, vendor)
    assert imported(lake, vendor) == {}


def test_an_interrupted_import_runs_again(lake: Lake, vendor: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imported(lake, vendor)
    edit(vendor, "0.5", "0.6", file="dividends.csv")
    write = Lake.write

    def die(self: Lake, name: str, frame: pl.DataFrame) -> int:
        if name == "dividends":
            raise OSError("disk full")
        return write(self, name, frame)

    monkeypatch.setattr(Lake, "write", die)
    with pytest.raises(OSError, match="disk full"):
        imported(lake, vendor)
    assert lake.read("dividends")["cash"][0] == 0.5
    monkeypatch.undo()
    edit(vendor, "0.6", "0.5", file="dividends.csv")  # even the files of the last whole import are imported again
    assert imported(lake, vendor)["dividends"] == 1


def test_an_interrupted_first_import_runs_again(lake: Lake, vendor: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(self: Lake, changes: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Lake, "state", die)
    with pytest.raises(OSError, match="disk full"):
        imported(lake, vendor)
    monkeypatch.undo()
    with pytest.raises(KestrelError, match="There is no lake"):
        open_lake(lake.uri)
    assert imported(lake, vendor)["bars"] == 36


def test_what_the_lake_said_of_earlier_contents_no_longer_holds(lake: Lake, vendor: Path) -> None:
    imported(lake, vendor)
    lake.state({"simulated": "seed 7", "factors": "abc"})
    edit(vendor, "0.5", "0.6", file="dividends.csv")
    imported(lake, vendor)
    assert lake.facts()["simulated"] == "interrupted"
    assert lake.facts()["factors"] == "abc"  # names the versions that it was built from, so it stays true


def test_tables_without_bars_leave_the_price_basis(lake: Lake, vendor: Path) -> None:
    imported(lake, vendor)
    lake.state({"price_basis": "adjusted"})
    write_tables(lake, {"calendar": lake.read("calendar")}, "raw", {})
    assert lake.price_basis == "adjusted"
    write_tables(lake, {"bars": lake.read("bars")}, "raw", {})
    assert lake.price_basis == "raw"


def test_a_later_pack_with_the_same_columns_needs_its_mapping_alone(lake: Lake, vendor: Path, quotes: pl.DataFrame, tmp_path: Path) -> None:
    imported(lake, vendor)
    later, shift = tmp_path / "later", pl.duration(days=28)
    later.mkdir()
    put(later, "quotes_2021_04.csv", quotes.with_columns(pl.col("date") + shift))
    put(later, "sessions.csv", pl.DataFrame({"cal_date": quotes["date"].unique().sort() + pl.Series([28]).cast(pl.Duration("ms")) * 86_400_000}))
    put(later, "paid.csv", pl.read_csv(vendor / "dividends.csv"))
    text = (vendor / "mapping.toml").read_text()
    for old, new in {"bars.csv": "quotes_*.csv", "calendar.csv": "sessions.csv", "dividends.csv": "paid.csv"}.items():
        text = text.replace(old, new)
    (later / "mapping.toml").write_text(text)
    other = Lake(tmp_path / "other")
    assert imported(other, later)["bars"] == 36
    moved = lake.read("bars").with_columns(pl.col("date") + shift)
    assert other.read("bars").equals(moved)
