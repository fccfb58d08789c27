from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from data.errors import KestrelError
from data.mapping import COLUMN_UNITS, UNITS, Column, read_mapping
from data.tables import TABLES
from data.validation import schema

EXAMPLES = Path(__file__).parents[2] / "examples"
GOOD = """
price_basis = "raw"
[index_bars]
file = "index.csv"
columns = { date = "date", index = { value = "000905.SH" }, close = "close" }
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "mapping.toml"
    file.write_text(text, encoding="utf-8")
    return file


def refused(folder: Path, text: str) -> str:
    """The message with which a mapping is refused."""
    with pytest.raises(KestrelError) as error:
        read_mapping(written(folder, text))
    assert "mapping.toml" in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["pack.toml", "pack_hs300.toml"])
def test_the_mappings_that_ship_are_good(name: str) -> None:
    assert "bars" in read_mapping(EXAMPLES / name).tables


def test_a_table_may_have_one_source_or_several(tmp_path: Path) -> None:
    several = GOOD.replace("[index_bars]", "[[index_bars]]") + '[[index_bars]]\nfile = "more.csv"\n' + GOOD.splitlines()[-1]
    assert [source.file for source in read_mapping(written(tmp_path, several)).tables["index_bars"]] == ["index.csv", "more.csv"]
    assert len(read_mapping(written(tmp_path, GOOD)).tables["index_bars"]) == 1


def test_prices_are_raw_unless_said_otherwise(tmp_path: Path) -> None:
    assert read_mapping(written(tmp_path, GOOD.replace('price_basis = "raw"', ""))).price_basis == "raw"


def test_a_mapping_that_is_not_there_is_refused_with_an_example_to_follow(tmp_path: Path) -> None:
    with pytest.raises(KestrelError, match=r"There is no mapping file .*none\.toml\. examples/pack\.toml shows"):
        read_mapping(tmp_path / "none.toml")


def test_what_is_not_toml_is_refused_by_its_line(tmp_path: Path) -> None:
    assert "is not TOML: " in refused(tmp_path, "[bars\nfile = 3")
    assert "line 1" in refused(tmp_path, "[bars\nfile = 3")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"raw"', '"adjusted-backward"', "price_basis: Input should be 'raw' or 'adjusted'"),
        ("[index_bars]", "[index_bar]", "[index_bar] is not a table. There are: calendar, securities, bars"),
        ('close = "close"', 'close = "close", clsoe = "x"', "index_bars.columns.clsoe is not a column of index_bars. There are: date, index, open"),
        ('file = "index.csv"', 'file = "index.csv"\nfolder = "x"', "index_bars.0.folder: Extra inputs are not permitted"),
        ('file = "index.csv"', "", "index_bars.0.file: Field required"),
        ('file = "index.csv"', "file = 3", "index_bars.0.file: Input should be a valid string"),
        ('close = "close"', 'close = { column = "close", units = "CNY" }', "units: Extra inputs are not permitted"),
        (
            'close = "close"',
            'close = { column = "close", unit = "lots" }',
            "index_bars.columns.close.unit = 'lots' doesn't fit. Use one of: none, leave it out.",
        ),
        (', close = "close"', "", "index_bars.columns lacks close, without which there is no index_bars."),
    ],
)
def test_an_entry_that_kestrel_does_not_know_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    assert said in refused(tmp_path, GOOD.replace(old, new))


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    bars = """
[bars]
file = "bars.csv"
[bars.columns]
date = "date"
symbol = "code"
open = "o"
close = "c"
adjusted = "a"
volume = { column = "vol", unit = "CNY" }
amount = { column = "amt", unit = "lots" }
"""
    message = refused(tmp_path, bars)
    assert "bars.columns.adjusted is not a column" in message
    assert "bars.columns lacks high, low," in message
    assert "bars.columns.volume.unit = 'CNY' doesn't fit. Use one of: shares, lots." in message
    assert "bars.columns.amount.unit = 'lots' doesn't fit. Use one of: CNY, thousand CNY" in message
    assert len(message.splitlines()) == 4


def test_a_unit_that_does_not_exist_is_refused_with_those_that_do(tmp_path: Path) -> None:
    bad = GOOD.replace('close = "close"', 'close = { column = "close", unit = "furlongs" }')
    assert "Input should be 'shares', 'lots', 'CNY'" in refused(tmp_path, bad)


def test_every_column_with_a_unit_is_a_column_and_every_unit_has_a_factor() -> None:
    columns = {column for name in TABLES for column in schema(name).columns()} | {"turnover"}
    assert set(COLUMN_UNITS) <= columns
    assert {unit for units in COLUMN_UNITS.values() for unit in units} <= set(UNITS)


@pytest.mark.parametrize(
    ("column", "given", "expected"),
    [
        (Column(column="x", unit="lots"), [3.0, None], [300.0, None]),
        (Column(column="x", unit="thousand CNY"), [1.5, None], [1500.0, None]),
        (Column(column="x", unit="percent"), [50.0, None], [0.5, None]),
        (Column(column="x", null=0.0), [1.0, None], [1.0, 0.0]),
        (Column(column="x", equals=1), [1, 0, None], [True, False, None]),
        (Column(column="x", equals="ST"), ["ST", ""], [True, False]),
        (Column(value=200.0), [1, 2], [200.0, 200.0]),
    ],
)
def test_a_column_is_read_as_its_mapping_says(column: Column, given: list[object], expected: list[object]) -> None:
    frame = pl.DataFrame({"x": given})
    assert frame.with_columns(column.expr().alias("y"))["y"].to_list() == expected


def test_a_day_without_a_time_is_known_from_its_last_second() -> None:
    frame = pl.DataFrame({"x": [date(2021, 3, 4)], "y": [datetime(2021, 3, 4, 9)]})
    expected = datetime(2021, 3, 4, 23, 59, 59, tzinfo=ZoneInfo("Asia/Shanghai"))
    for name in ("x", "y"):
        assert frame.select(Column(column=name, date_only=True).expr()).item() == expected
