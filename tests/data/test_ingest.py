"""Imports of a hand-made vendor: what is read, and what is refused with a word on its place."""

from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from data import calendar
from data.errors import KestrelError
from data.ingest import import_folder
from data.lake import Lake, open_lake

NEWS = """
[news]
file = "news.csv"
columns = { published_at = "time", symbols = "codes", title = "title" }
"""
SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake that is still empty."""
    return Lake(tmp_path / "lake")


def imported(lake: Lake, folder: Path) -> dict[str, int]:
    return import_folder(lake, folder, folder / "mapping.toml")[0]


def refused(lake: Lake, folder: Path) -> str:
    """The message of a refused import, which leaves the lake as it was."""
    before = lake.versions()
    with pytest.raises(KestrelError) as error:
        imported(lake, folder)
    assert lake.versions() == before
    return str(error.value)


def edit(folder: Path, old: str, new: str, *, file: str = "mapping.toml") -> None:
    """Change a text of a file that must be there."""
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")


def put(folder: Path, name: str, frame: pl.DataFrame) -> None:
    frame.write_parquet(folder / name) if name.endswith(".parquet") else frame.write_csv(folder / name)


def news(folder: Path, *times: object, codes: str = "600000") -> None:
    """News at these times, and their mapping."""
    put(folder, "news.csv", pl.DataFrame({"time": list(times), "codes": [codes] * len(times), "title": [f"title {n}" for n in range(len(times))]}))
    with (folder / "mapping.toml").open("a", encoding="utf-8") as file:
        file.write(NEWS)


# -- what is read


def test_a_vendors_folder_becomes_a_lake(lake: Lake, vendor: Path, quotes: pl.DataFrame) -> None:
    rows = imported(lake, vendor)
    assert rows == {"calendar": 12, "bars": 36, "caps": 34, "dividends": 1, "securities": 3}
    bars = open_lake(lake.uri).read("bars")
    expected = quotes.sort("date", "code")
    assert bars["symbol"].to_list() == expected["code"].to_list()
    assert bars["close"].to_list() == expected["close"].to_list()
    assert bars["volume"].to_list() == expected["volume"].to_list()
    assert bars["is_trading"].to_list() == (expected["tradestatus"] == 1).to_list()
    assert lake.price_basis == "raw"


def test_parquet_gives_the_same_tables_as_csv(lake: Lake, vendor: Path, quotes: pl.DataFrame, tmp_path: Path) -> None:
    imported(lake, vendor)
    put(vendor, "bars.parquet", quotes)
    edit(vendor, 'file = "bars.csv"', 'file = "bars.parquet"')
    other = Lake(tmp_path / "other")
    imported(other, vendor)
    for name in lake.tables():
        assert other.read(name).equals(lake.read(name)), name


def test_a_vendor_that_gives_everything_as_text_gives_the_same_tables(lake: Lake, vendor: Path, quotes: pl.DataFrame, tmp_path: Path) -> None:
    imported(lake, vendor)
    blank = pl.when(pl.col("tradestatus") == 0).then(pl.lit("")).otherwise(pl.col("volume").cast(pl.String)).alias("volume")
    put(vendor, "bars.parquet", quotes.with_columns(blank).with_columns(pl.all().cast(pl.String)))
    edit(vendor, 'file = "bars.csv"', 'file = "bars.parquet"')
    edit(vendor, 'column = "isST", equals = 1', 'column = "isST", equals = "1"')
    edit(vendor, 'column = "tradestatus", equals = 1', 'column = "tradestatus", equals = "1"')
    other = Lake(tmp_path / "other")
    imported(other, vendor)
    assert other.read("bars").equals(lake.read("bars"))


@pytest.mark.parametrize("form", ["%Y%m%d", "%Y/%m/%d", "%Y-%m-%d 00:00:00"])
def test_dates_are_read_in_the_forms_vendors_write(lake: Lake, vendor: Path, quotes: pl.DataFrame, tmp_path: Path, form: str) -> None:
    imported(lake, vendor)
    put(vendor, "bars.csv", quotes.with_columns(pl.col("date").dt.strftime(form)))
    other = Lake(tmp_path / "other")
    imported(other, vendor)
    assert other.read("bars").equals(lake.read("bars"))


def test_lots_and_thousands_are_taken_to_shares_and_cny(lake: Lake, vendor: Path, quotes: pl.DataFrame) -> None:
    put(vendor, "bars.csv", quotes.with_columns(pl.col("volume") / 100, pl.col("amount") / 1000))
    edit(vendor, 'unit = "shares"', 'unit = "lots"')
    edit(vendor, 'unit = "CNY"', 'unit = "thousand CNY"')
    imported(lake, vendor)
    expected = quotes.sort("date", "code")
    assert lake.read("bars")["volume"].to_list() == expected["volume"].to_list()
    assert lake.read("bars")["amount"].to_list() == pytest.approx(expected["amount"].to_list())


def test_symbols_of_any_spelling_become_ours(lake: Lake, vendor: Path, quotes: pl.DataFrame) -> None:
    spelled = pl.col("code").str.slice(7).str.to_lowercase() + "." + pl.col("code").str.slice(0, 6)
    put(vendor, "bars.csv", quotes.with_columns(spelled.alias("code")))
    imported(lake, vendor)
    assert lake.read("securities")["symbol"].to_list() == ["000001.SZ", "300750.SZ", "600000.SH"]
    assert lake.read("dividends")["symbol"].to_list() == ["600000.SH"]


def test_a_glob_reads_every_file_and_where_keeps_some_rows(lake: Lake, vendor: Path, quotes: pl.DataFrame) -> None:
    middle = date(2021, 3, 8)
    put(vendor, "bars-1.csv", quotes.filter(pl.col("date") < middle).with_columns(kind=pl.lit("stock")))
    put(
        vendor,
        "bars-2.csv",
        quotes.filter(pl.col("date") >= middle).with_columns(
            kind=pl.when(pl.col("code") == "600000.SH").then(pl.lit("fund")).otherwise(pl.lit("stock"))
        ),
    )
    edit(vendor, 'file = "bars.csv"', 'file = "bars-*.csv"\nwhere = { kind = "stock" }')
    assert imported(lake, vendor)["bars"] == 36 - 7


def test_two_sources_of_a_table_may_differ_in_what_they_leave_out(lake: Lake, vendor: Path) -> None:
    put(vendor, "a.csv", pl.DataFrame({"day": [date(2021, 3, 1)], "level": [6000]}))
    put(vendor, "b.csv", pl.DataFrame({"day": [date(2021, 3, 2)], "level": [6001.5], "tr": [8000.0]}))
    columns = 'date = "day", index = { value = "000905.SH" }, close = "level"'
    with (vendor / "mapping.toml").open("a", encoding="utf-8") as file:
        file.write(
            f'[[index_bars]]\nfile = "a.csv"\ncolumns = {{ {columns} }}\n[[index_bars]]\nfile = "b.csv"\ncolumns = {{ {columns}, close_tr = "tr" }}\n'
        )
    imported(lake, vendor)
    assert lake.read("index_bars").select("close", "close_tr").rows() == [(6000.0, None), (6001.5, 8000.0)]


def test_news_without_a_zone_is_in_shanghai_and_names_each_stock_once(lake: Lake, vendor: Path) -> None:
    news(vendor, "2021-03-04 14:59:59", "2021-03-04 15:00:01", codes="600000,000001.SZ; 600000 AAPL")
    imported(lake, vendor)
    found = lake.read("news").sort("published_at")
    assert found["published_at"].to_list() == [datetime(2021, 3, 4, 14, 59, 59, tzinfo=SHANGHAI), datetime(2021, 3, 4, 15, 0, 1, tzinfo=SHANGHAI)]
    assert found["symbols"].to_list() == [["600000.SH", "000001.SZ"]] * 2
    assert found["id"].n_unique() == 2


def test_news_in_another_zone_keep_their_instant(lake: Lake, vendor: Path) -> None:
    news(vendor, "2021-03-04 06:59:59")
    utc = pl.DataFrame({"time": [datetime(2021, 3, 4, 6, 59, 59, tzinfo=ZoneInfo("UTC"))], "codes": ["600000"], "title": ["a"]})
    put(vendor, "news.parquet", utc)
    edit(vendor, "news.csv", "news.parquet")
    imported(lake, vendor)
    assert lake.read("news")["published_at"][0] == datetime(2021, 3, 4, 14, 59, 59, tzinfo=SHANGHAI)


def test_without_a_calendar_the_exchanges_own_is_seeded(lake: Lake, vendor: Path) -> None:
    edit(vendor, '[calendar]\nfile = "calendar.csv"\ncolumns = { date = "cal_date" }\n', "")
    imported(lake, vendor)
    assert lake.read("calendar").equals(calendar.seed())


# -- what is refused


def test_a_file_that_is_not_there_is_named(lake: Lake, vendor: Path) -> None:
    (vendor / "bars.csv").unlink()
    assert f"There is no file {vendor / 'bars.csv'}. Check the folder and the mapping's 'file' entry." in refused(lake, vendor)


@pytest.mark.parametrize("path", ["../mapping.toml", "/etc/passwd", "a/../../x.csv"])
def test_a_path_that_leaves_the_folder_is_refused(lake: Lake, vendor: Path, path: str) -> None:
    edit(vendor, 'file = "bars.csv"', f'file = "{path}"')
    assert f"{path} leaves the folder to import" in refused(lake, vendor)


def test_a_column_that_the_file_lacks_is_named_beside_those_it_has(lake: Lake, vendor: Path) -> None:
    edit(vendor, 'close = "close"', 'close = "closing"')
    message = refused(lake, vendor)
    assert "bars.csv has no column closing that [bars] maps. It has: date, code, open" in message


def test_text_in_a_number_names_the_file_and_the_row(lake: Lake, vendor: Path) -> None:
    lines = (vendor / "bars.csv").read_text().splitlines()
    cells = lines[5].split(",")
    edit(vendor, lines[5], ",".join([*cells[:5], "n/a", *cells[6:]]), file="bars.csv")
    message = refused(lake, vendor)
    assert f"{vendor / 'bars.csv'} row 5: close is 'n/a', not a number (1 such rows)" in message


def test_rows_are_counted_in_the_file_even_where_only_some_are_kept(lake: Lake, vendor: Path, quotes: pl.DataFrame) -> None:
    texts = quotes.with_columns(
        pl.when(pl.int_range(pl.len()).is_in([2, 20])).then(pl.lit("?")).otherwise(pl.col("open").cast(pl.String)).alias("open")
    )
    put(vendor, "bars.csv", texts)
    edit(vendor, 'file = "bars.csv"', 'file = "bars.csv"\nwhere = { code = "300750.SZ" }')
    assert "row 21: open is '?', not a number (1 such rows)" in refused(lake, vendor)


def test_a_date_that_is_none_names_the_file_and_the_row(lake: Lake, vendor: Path) -> None:
    edit(vendor, "2021-03-02", "2021-13-02", file="bars.csv")
    assert "bars.csv row 2: date is '2021-13-02', not a date, such as 2021-03-04" in refused(lake, vendor)


def test_news_with_a_day_but_no_time_must_say_so(lake: Lake, vendor: Path) -> None:
    news(vendor, "2021-03-04")
    assert "time is a date without a time, and published_at wants both. Map it with date_only = true." in refused(lake, vendor)
    edit(vendor, 'published_at = "time"', 'published_at = { column = "time", date_only = true }')
    imported(lake, vendor)
    assert lake.read("news")["published_at"][0] == datetime(2021, 3, 4, 23, 59, 59, tzinfo=SHANGHAI)


def test_a_time_that_is_none_names_the_file_and_the_row(lake: Lake, vendor: Path) -> None:
    news(vendor, "2021-03-04 10:00:00", "soon")
    assert "news.csv row 2: time is 'soon', not a date with its time" in refused(lake, vendor)


def test_bare_digits_of_a_csv_keep_their_zeros(lake: Lake, vendor: Path, quotes: pl.DataFrame) -> None:
    put(vendor, "bars.csv", quotes.with_columns(pl.col("code").str.slice(0, 6)))
    imported(lake, vendor)
    assert lake.read("securities")["symbol"].to_list() == ["000001.SZ", "300750.SZ", "600000.SH"]


def test_codes_of_a_csv_that_lost_their_zeros_are_refused(lake: Lake, vendor: Path) -> None:
    edit(vendor, "000001.SZ", "1", file="bars.csv")
    assert "'1' is not an A-share code" in refused(lake, vendor)


def test_codes_that_lost_their_zeros_are_refused(lake: Lake, vendor: Path, quotes: pl.DataFrame) -> None:
    put(vendor, "bars.parquet", quotes.with_columns(pl.col("code").str.slice(0, 6).cast(pl.Int64)))
    edit(vendor, 'file = "bars.csv"', 'file = "bars.parquet"')
    assert "Column symbol is Int64, not text: leading zeros of codes like 000001 are lost" in refused(lake, vendor)


def test_a_code_that_is_none_is_refused(lake: Lake, vendor: Path) -> None:
    edit(vendor, "600000.SH", "GOOGL", file="bars.csv")
    assert "'GOOGL' is not an A-share code" in refused(lake, vendor)


def test_a_comparison_of_text_with_a_number_is_refused_with_a_hint(lake: Lake, vendor: Path) -> None:
    edit(vendor, 'column = "isST", equals = 1', 'column = "code", equals = 1')
    assert "bars.csv doesn't fit the mapping of [bars]: cannot compare string with numeric" in refused(lake, vendor)


def test_a_duplicate_key_is_named(lake: Lake, vendor: Path, quotes: pl.DataFrame) -> None:
    put(vendor, "bars.csv", pl.concat([quotes, quotes[4]]))
    assert "bars has 2 rows with the same date, symbol (first: 2021-03-05 000001.SZ)" in refused(lake, vendor)


@pytest.mark.parametrize("column", ["close", "preclose", "tradestatus", "date"])
def test_an_empty_cell_where_a_value_must_be_is_named(lake: Lake, vendor: Path, quotes: pl.DataFrame, column: str) -> None:
    put(vendor, "bars.csv", quotes.with_columns(pl.when(pl.int_range(pl.len()) == 4).then(None).otherwise(column).alias(column)))
    assert "bars has 1 rows with" in refused(lake, vendor)


def test_a_flag_written_as_text_is_refused(lake: Lake, vendor: Path) -> None:
    edit(vendor, 'is_st = { column = "isST", equals = 1 }', 'is_st = "code"')
    assert "bars has 36 rows whose is_st is not a Boolean" in refused(lake, vendor)


def test_a_flag_written_as_0_and_1_needs_no_more_than_its_column(lake: Lake, vendor: Path) -> None:
    edit(vendor, 'is_trading = { column = "tradestatus", equals = 1 }', 'is_trading = "tradestatus"')
    imported(lake, vendor)
    assert lake.read("bars").filter(~pl.col("is_trading")).height == 2


@pytest.mark.parametrize("name", ["bars.csv", "bars.parquet"])
def test_a_broken_file_is_named(lake: Lake, vendor: Path, name: str) -> None:
    (vendor / name).write_bytes(b"" if name.endswith("csv") else b"PAR1 this is none")
    edit(vendor, 'file = "bars.csv"', f'file = "{name}"')
    assert f"{vendor / name} can't be read: " in refused(lake, vendor)


def test_a_file_of_another_kind_is_refused(lake: Lake, vendor: Path) -> None:
    (vendor / "bars.xlsx").write_bytes(b"x")
    edit(vendor, 'file = "bars.csv"', 'file = "bars.xlsx"')
    assert "bars.xlsx is neither CSV nor Parquet" in refused(lake, vendor)


def test_turnover_without_bars_is_refused(lake: Lake, vendor: Path) -> None:
    text = (vendor / "mapping.toml").read_text()
    (vendor / "mapping.toml").write_text(text[: text.index("[bars]")] + text[text.index("[caps]") :])
    assert "[caps] maps turnover, but there are no bars" in refused(lake, vendor)
