"""Names and codes that change."""

from datetime import date

import polars as pl

from data.names import is_st, names_at, one_code

NAMES = pl.DataFrame(
    {
        "symbol": ["600000.SH", "600000.SH", "600000.SH", "001872.SZ", "000002.SZ", "920001.BJ", "920001.BJ"],
        "start": [date(2000, 1, 1), date(2019, 5, 6), date(2020, 6, 1), date(2018, 12, 26), date(2006, 1, 4), date(2021, 1, 4), date(2024, 1, 2)],
        "name": ["浦东", "*ST浦东", "浦东", "招商港口", "S*ST万科", "甲", "甲"],
        "former": [None, None, None, "000022.SZ", None, "430001.BJ", "830001.BJ"],
    }
)


def test_a_name_holds_from_its_day_until_the_next() -> None:
    assert names_at(NAMES, date(2019, 5, 5)).filter(pl.col("symbol") == "600000.SH")["name"].item() == "浦东"
    assert names_at(NAMES, date(2019, 5, 6)).filter(pl.col("symbol") == "600000.SH")["name"].item() == "*ST浦东"
    assert "920001.BJ" not in names_at(NAMES, date(2020, 1, 1))["symbol"]


def test_a_stock_is_st_while_its_name_says_so() -> None:
    days = [date(2020, 6, 1), date(2019, 5, 5), date(2019, 5, 6), date(2010, 1, 4), date(2019, 1, 2)]
    rows = pl.DataFrame({"date": days, "symbol": ["600000.SH", "600000.SH", "600000.SH", "000002.SZ", "688981.SH"]})
    assert is_st(rows, NAMES).to_list() == [False, False, True, True, False]


def test_a_company_has_one_symbol_through_every_change_of_its_code() -> None:
    turned = NAMES.with_columns(pl.when(pl.col("former") == "430001.BJ").then(pl.lit("830001.BJ")).otherwise("symbol").alias("symbol"))
    bars = pl.DataFrame({"date": [date(2018, 1, 2)] * 3, "symbol": ["000022.SZ", "430001.BJ", "600000.SH"], "close": [1.0, 2.0, 3.0]})
    news = pl.DataFrame({"id": ["a"], "symbols": [["000022.SZ", "600000.SH"]]})
    found = one_code({"names": turned, "bars": bars, "news": news})
    assert found["bars"]["symbol"].to_list() == ["001872.SZ", "920001.BJ", "600000.SH"]
    assert found["news"]["symbols"].to_list() == [["001872.SZ", "600000.SH"]]


def test_tables_without_changes_of_code_stay_as_they_are() -> None:
    tables = {"bars": pl.DataFrame({"symbol": ["000022.SZ"]})}
    assert one_code(tables) is tables
