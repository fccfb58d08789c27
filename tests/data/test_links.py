"""Which companies a piece of news is about, as of its day."""

from datetime import date, datetime

import polars as pl

from data.links import Links, linked, links

SECURITIES = pl.DataFrame({"symbol": ["600000.SH", "000001.SZ", "300024.SZ"], "name": ["浦发银行", "平安银行", "机器人"]})
NAMES = pl.DataFrame(
    {
        "symbol": ["000001.SZ", "000001.SZ"],
        "start": [date(1991, 4, 3), date(2012, 8, 2)],
        "name": ["深发展A", "平安银行"],
    }
)
ALIASES = pl.DataFrame(
    {"symbol": ["600000.SH", "600000.SH"], "alias": ["浦发", "老浦发"], "start": [date(2000, 1, 1)] * 2, "end": [None, date(2010, 1, 1)]},
    schema_overrides={"end": pl.Date},
)
NOW = date(2020, 1, 6)


def found() -> Links:
    return links(SECURITIES, NAMES, ALIASES)


def test_a_company_is_found_by_code_short_name_and_alias_in_the_order_of_mention() -> None:
    assert found().of("平安银行与浦发合作", NOW) == ["000001.SZ", "600000.SH"]
    assert found().of("快讯（600000）、000001.SZ", NOW) == ["600000.SH", "000001.SZ"]
    assert found().of("合同编号16000001", NOW) == []


def test_a_name_links_only_while_it_held() -> None:
    assert found().of("深发展A发布年报", date(2012, 8, 1)) == ["000001.SZ"]
    assert found().of("深发展A发布年报", date(2012, 8, 2)) == []
    assert found().of("平安银行发布年报", date(2012, 8, 1)) == []
    assert found().of("老浦发的故事", date(2010, 1, 1)) == ["600000.SH"]
    assert found().name("000001.SZ", date(2012, 8, 1)) == "深发展A"
    assert found().name("000001.SZ", date(2012, 8, 2)) == "平安银行"


def test_a_name_that_is_also_a_word_links_only_at_the_head() -> None:
    assert found().of("机器人：中标2亿元项目", NOW) == ["300024.SZ"]
    assert found().of("国内工业机器人产量大增", NOW) == []


def test_symbols_of_the_source_come_before_what_a_text_names() -> None:
    news = pl.DataFrame(
        {
            "id": ["a", "b", "c"],
            "published_at": pl.Series([datetime(2020, 1, 6, 10)] * 3).dt.replace_time_zone("Asia/Shanghai"),
            "symbols": [["600000.SH"], [], None],
            "title": ["平安银行与浦发合作", "平安银行与浦发合作", "大盘上涨"],
            "body": [None, None, "其中300024领涨"],
        },
        schema_overrides={"symbols": pl.List(pl.String)},
    )
    assert linked(news, found())["symbols"].to_list() == [["600000.SH"], ["000001.SZ", "600000.SH"], ["300024.SZ"]]
