from datetime import date, datetime
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from data.calendar import table
from data.history import as_of, first_difference

SHANGHAI = ZoneInfo("Asia/Shanghai")
THU, FRI, SAT, MON = date(2021, 3, 4), date(2021, 3, 5), date(2021, 3, 6), date(2021, 3, 8)


def at(day: date, hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=SHANGHAI)


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    moments = [at(FRI, 14, 59), at(FRI, 15), at(FRI, 15, 0, 1), at(SAT, 9), at(MON, 9)]
    return {
        "calendar": table([THU, FRI, MON]),
        "bars": pl.DataFrame({"date": [THU, FRI, MON], "symbol": "600000.SH", "close": [1.0, 2.0, 3.0]}),
        "members": pl.DataFrame({"date": [THU, MON], "symbol": ["600000.SH", "000001.SZ"]}),
        "securities": pl.DataFrame(
            {"symbol": ["600000.SH", "000001.SZ", "300750.SZ"], "list_date": [None, THU, MON], "delist_date": [FRI, MON, None]},
            schema_overrides={"list_date": pl.Date, "delist_date": pl.Date},
        ),
        "reports": pl.DataFrame({"announced_on": [THU, FRI, SAT]}),
        "dividends": pl.DataFrame(
            {"ex_date": [FRI, MON, MON, MON], "announced_on": [None, None, FRI, MON]}, schema_overrides={"announced_on": pl.Date}
        ),
        "industries": pl.DataFrame({"start": [THU, MON], "code": ["a", "b"]}),
        "news": pl.DataFrame({"id": list("abcde"), "published_at": moments}).with_columns(
            pl.col("published_at").dt.convert_time_zone("Asia/Shanghai")
        ),
        "minute_bars": pl.DataFrame({"time": moments}).with_columns(pl.col("time").dt.convert_time_zone("Asia/Shanghai")),
        "news_scores": pl.DataFrame({"id": list("abcde"), "score": [1.0] * 5}),
    }


def test_a_cut_table_ends_with_the_session(tables: dict[str, pl.DataFrame]) -> None:
    known = as_of(tables, FRI)
    assert known["bars"]["date"].to_list() == [THU, FRI]
    assert known["members"]["date"].to_list() == [THU]
    assert known["industries"]["code"].to_list() == ["a"]
    assert known["minute_bars"]["time"].max() == at(FRI, 15)


def test_the_calendar_is_known_years_ahead(tables: dict[str, pl.DataFrame]) -> None:
    assert as_of(tables, THU)["calendar"].equals(tables["calendar"])


def test_a_report_is_known_the_session_after_its_announcement(tables: dict[str, pl.DataFrame]) -> None:
    assert as_of(tables, THU)["reports"].height == 0
    assert as_of(tables, FRI)["reports"]["announced_on"].to_list() == [THU]
    assert as_of(tables, MON)["reports"]["announced_on"].to_list() == [THU, FRI, SAT]  # a weekend's report on Monday


def test_a_dividend_is_known_when_announced_or_on_its_ex_date_at_the_latest(tables: dict[str, pl.DataFrame]) -> None:
    assert as_of(tables, THU)["dividends"].height == 0
    assert as_of(tables, FRI)["dividends"].rows() == [(FRI, None), (MON, FRI)]
    assert as_of(tables, MON)["dividends"].height == 4


def test_news_are_known_up_to_15_00_in_shanghai(tables: dict[str, pl.DataFrame]) -> None:
    assert as_of(tables, THU)["news"].height == 0
    assert as_of(tables, FRI)["news"]["id"].to_list() == ["a", "b"]
    assert as_of(tables, MON)["news"]["id"].to_list() == list("abcde")


def test_stocks_are_known_from_their_listing_and_delistings_when_they_come(tables: dict[str, pl.DataFrame]) -> None:
    assert as_of(tables, THU)["securities"].select("symbol", "delist_date").rows() == [("600000.SH", None), ("000001.SZ", None)]
    assert as_of(tables, FRI)["securities"]["delist_date"].to_list() == [FRI, None]
    assert as_of(tables, MON)["securities"]["delist_date"].to_list() == [FRI, MON, None]


def test_what_was_known_then_is_part_of_what_is_known_later(tables: dict[str, pl.DataFrame]) -> None:
    for name, frame in as_of(as_of(tables, MON), FRI).items():
        assert frame.equals(as_of(tables, FRI)[name]), name


def test_versions_with_the_same_rows_do_not_differ(tables: dict[str, pl.DataFrame]) -> None:
    for name in ("bars", "reports", "dividends", "news"):
        assert first_difference(name, tables[name], tables[name].sample(fraction=1.0, shuffle=True, seed=1)) is None


@pytest.mark.parametrize(
    ("name", "rows", "day"),
    [
        ("bars", [2], MON),  # a row more
        ("reports", [0], FRI),  # announced on Thursday evening
        ("news", [2], SAT),  # after Friday's close
        ("news", [1, 4], FRI),
        ("industries", [1], MON),
        ("securities", [0], date.min),  # nobody knows since when
    ],
)
def test_a_difference_begins_where_its_first_row_is_known(name: str, rows: list[int], day: date, tables: dict[str, pl.DataFrame]) -> None:
    whole = tables[name].with_row_index("row")
    less = whole.filter(~pl.col("row").is_in(rows)).drop("row")
    assert first_difference(name, less, tables[name]) == day
    assert first_difference(name, tables[name], less) == day


def test_a_changed_value_is_a_difference_and_so_is_a_column_more(tables: dict[str, pl.DataFrame]) -> None:
    bars = tables["bars"]
    moved = bars.with_columns(pl.when(pl.col("date") == FRI).then(2.5).otherwise("close").alias("close"))
    assert first_difference("bars", bars, moved) == FRI
    assert first_difference("bars", bars, bars.with_columns(open=1.0)) == THU
