"""AKShare replayed: scraped sites in Chinese, a fallback within, factors by date, and pages that aren't what they were."""

import sys
from collections.abc import Callable
from datetime import date
from types import SimpleNamespace
from typing import Any

import pandas as pd
import polars as pl
import pytest

from data.fetch import Wish, fetch
from data.lake import Lake
from data.sources.akshare import Akshare
from data.sources.baostock import Baostock
from data.sources.chain import Chain
from data.sources.source import Busy, Span, VendorError

START, END = date(2024, 5, 6), date(2024, 6, 28)
SPAN = Span(START, END)
JSON_ERROR = ValueError("Expecting value: line 1 column 1 (char 0)")  # a page that says 'too many requests' where JSON should be


class FakeAkshare(SimpleNamespace):
    """akshare 1.19.5: functions that read public sites."""

    def __init__(self, exchange: Any) -> None:
        super().__init__()
        self.exchange = exchange
        for name in [name for name in dir(type(self)) if name[0] != "_"]:
            setattr(self, name, self._faulty(name, getattr(self, name)))

    def _faulty(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def answer(**asked: Any) -> Any:
            told = self.exchange.asked(name, **asked)
            if isinstance(told, Exception):
                raise told
            return call(**asked) if told is None else told

        return answer

    def _stock(self, symbol: str, start: str = "19900101", end: str = "21000101") -> pl.DataFrame:
        rows = self.exchange.seen(date.fromisoformat(start), date.fromisoformat(end), f"{symbol[2:]}.{symbol[:2].upper()}")
        return rows.filter("is_trading")  # the sites have no row of a suspended stock

    def tool_trade_date_hist_sina(self) -> pd.DataFrame:
        return pd.DataFrame({"trade_date": self.exchange.days})

    def stock_zh_a_daily(self, symbol: str, adjust: str, start_date: str = "", end_date: str = "") -> pd.DataFrame:
        if adjust == "hfq-factor":
            factors = self.exchange.bars.filter(pl.col("symbol") == f"{symbol[2:]}.{symbol[:2].upper()}").sort("date")
            moved = factors.filter((pl.col("adj") != pl.col("adj").shift(1)).fill_null(True)).reverse()  # newest first, as text
            return pd.DataFrame({"date": pd.to_datetime(moved["date"].to_list()), "hfq_factor": [f"{cell:.12f}" for cell in moved["adj"]]})
        rows = self._stock(symbol, start_date, end_date).with_columns(
            outstanding_share="float_shares", turnover=pl.col("volume") / pl.col("float_shares")
        )
        names = ["date", "open", "high", "low", "close", "volume", "amount", "outstanding_share", "turnover"]
        return pd.DataFrame(rows.select(names).to_dicts(), columns=names)

    def stock_zh_a_hist_tx(self, symbol: str, start_date: str, end_date: str, adjust: str, timeout: int) -> pd.DataFrame:
        rows = self._stock(symbol, start_date, end_date).with_columns(turnover=pl.col("volume") / pl.col("float_shares"))
        names = ["date", "open", "close", "high", "low", "volume", "turnover", "amount"]
        return pd.DataFrame(rows.select(names).to_dicts(), columns=names)

    def stock_tfp_em(self, date: str) -> pd.DataFrame:
        day = type(START).fromisoformat(date)
        idle = self.exchange.seen(day, day).filter(~pl.col("is_trading"))["symbol"].to_list()
        rows = [(stock[:6], START, pd.NaT, "连续停牌") for stock in idle] + [("600000", day, day, "盘中停牌")]
        return pd.DataFrame(rows, columns=["代码", "停牌时间", "停牌截止时间", "停牌期限"])

    def stock_info_sh_name_code(self, symbol: str) -> pd.DataFrame:
        prefix = {"主板A股": "60", "科创板": "68"}[symbol]
        return self._listed(lambda stock, gone: stock.startswith(prefix) and not gone, ("证券代码", "证券简称", "上市日期"))

    def stock_info_sz_name_code(self, symbol: str) -> pd.DataFrame:
        assert symbol == "A股列表"
        return self._listed(lambda stock, gone: stock.endswith("SZ") and not gone, ("A股代码", "A股简称", "A股上市日期"))

    def stock_info_bj_name_code(self) -> pd.DataFrame:
        return pd.DataFrame([("430047", "诺思兰德", date(2020, 11, 24))], columns=["证券代码", "证券简称", "上市日期"])

    def stock_info_sh_delist(self, symbol: str) -> pd.DataFrame:
        return pd.DataFrame(
            [("900935", "阳晨B股", date(1995, 7, 27), date(2016, 12, 26))], columns=["公司代码", "公司简称", "上市日期", "暂停上市日期"]
        )

    def stock_info_sz_delist(self, symbol: str) -> pd.DataFrame:
        found = self._listed(lambda stock, gone: stock.endswith("SZ") and bool(gone), ("证券代码", "证券简称", "上市日期"))
        return found.assign(终止上市日期=date(2024, 6, 3))

    def _listed(self, wanted: Callable[[str, Any], bool], names: tuple[str, str, str]) -> pd.DataFrame:
        rows = [(stock[:6], name, listed) for stock, (name, _, _, listed, gone) in self.exchange.stocks.items() if wanted(stock, gone)]
        return pd.DataFrame(rows, columns=list(names))

    def index_stock_cons_weight_csindex(self, symbol: str) -> pd.DataFrame:
        rows = [(date(2024, 5, 31), symbol, code, 25.0) for code in ("000001", "300750", "600000", "688001")]
        return pd.DataFrame(rows, columns=["日期", "指数代码", "成分券代码", "权重"])

    def stock_zh_index_daily(self, symbol: str) -> pd.DataFrame:
        return pd.DataFrame(self.exchange.index.drop("close_tr").with_columns(volume=pl.lit(1)).to_dicts())

    def stock_zh_index_hist_csindex(self, symbol: str, start_date: str, end_date: str) -> pd.DataFrame:
        assert symbol == "H00905"
        return pd.DataFrame({"日期": self.exchange.index["date"].to_list(), "收盘": self.exchange.index["close_tr"].to_list()})

    def stock_history_dividend_detail(self, symbol: str, indicator: str) -> pd.DataFrame:
        paid, split = self.exchange.events["dividend"], self.exchange.events["split"]
        rows = {
            "600000": [
                (date(2024, 6, 5), 0.0, 0.0, 5.0, "实施", paid, date(2024, 6, 11)),
                (date(2024, 4, 30), 0.0, 0.0, 5.0, "预案", pd.NaT, pd.NaT),
            ],
            "300750": [(date(2024, 5, 14), 0.0, 10.0, 0.0, "实施", split, date(2024, 5, 17))],
        }
        return pd.DataFrame(rows.get(symbol, []), columns=["公告日期", "送股", "转增", "派息", "进度", "除权除息日", "股权登记日"])

    def stock_industry_clf_hist_sw(self) -> pd.DataFrame:
        rows = [("600000", date(2014, 2, 21), "480101", START), ("600000", date(2021, 7, 30), "480301", START)]
        return pd.DataFrame(rows, columns=["symbol", "start_date", "industry_code", "update_time"])

    def stock_news_em(self, symbol: str) -> pd.DataFrame:
        rows = [("浦发银行一季报", "正文", f"2024-06-{day} 17:05:00", "证券时报") for day in ("12", "29")]
        return pd.DataFrame(rows, columns=["新闻标题", "新闻内容", "发布时间", "文章来源"])


@pytest.fixture(autouse=True)
def fake(exchange: Any, monkeypatch: pytest.MonkeyPatch) -> FakeAkshare:
    """The package of akshare in place of the real one."""
    found = FakeAkshare(exchange)
    monkeypatch.setitem(sys.modules, "akshare", found)
    return found


NAMED = ("000001.SZ", "001234.SZ", "300750.SZ", "600000.SH", "688001.SH")
WISH = Wish(since=START, index=None, symbols=NAMED, tables=("bars", "dividends", "industries", "news"))


def test_a_fetch_fills_a_lake_that_passes_the_checks(lake: Lake, chain: Callable[..., Chain], passes: Any, same_bars: Any) -> None:
    outcome = fetch(lake, chain(Akshare()), WISH, until=END)
    assert outcome is not None
    assert outcome.notes == []
    passes(lake)
    same_bars(lake, NAMED, firsts=False)
    paid = lake.read("dividends").select("symbol", "cash", "bonus", "transfer", "announced_on").rows()
    assert paid == [("300750.SZ", 0.0, 0.0, 1.0, date(2024, 5, 14)), ("600000.SH", 0.5, 0.0, 0.0, date(2024, 6, 5))]
    assert lake.read("industries")["code"].to_list() == ["480101", "480301"]
    assert lake.read("news")["published_at"].dt.to_string().to_list() == ["2024-06-12 17:05:00.000000+08:00"] * 5
    gone = lake.read("securities").filter(pl.col("delist_date").is_not_null())
    assert gone.select("symbol", "delist_date").rows() == [("000024.SZ", date(2024, 6, 3))]  # the B share is none of ours


def test_it_goes_on_where_another_source_stopped_with_its_flags(
    lake: Lake, exchange: Any, chain: Callable[..., Chain], replay: Any, same_bars: Any
) -> None:
    wish = Wish(since=START, index=None, symbols=tuple(exchange.stocks), tables=("bars",))
    exchange.faults.append(lambda name, said: Busy("shut") if said.get("by") == "first" and exchange.until == END else None)
    exchange.until = exchange.days[-4]
    fetch(lake, chain(replay("first"), Akshare(), tries=0), wish, until=exchange.until)
    exchange.until = END
    outcome = fetch(lake, chain(replay("first"), Akshare(), tries=0), wish, until=END)
    assert outcome is not None
    assert outcome.answers["bars"] == {"akshare": 6}
    same_bars(lake)


def test_members_are_of_the_latest_list_alone() -> None:
    assert Akshare().members("000905.SH", SPAN)["weight"].to_list() == [0.25] * 4
    assert Akshare().members("000905.SH", Span(START, date(2024, 5, 30))).height == 0


def test_a_history_of_members_is_not_made_up(lake: Lake, chain: Callable[..., Chain]) -> None:
    with pytest.raises(VendorError, match=r"members\(000905.SH, 2024-04-01 to 2024-04-30\):\n  akshare: gave no rows"):
        fetch(lake, chain(Akshare()), Wish(since=date(2024, 4, 1)), until=END)


def test_total_return_comes_from_the_index_company(exchange: Any) -> None:
    assert Akshare().total_returns("000905.SH", SPAN)["close_tr"].to_list() == exchange.index["close_tr"].to_list()
    assert Akshare().index_bars("000905.SH", SPAN)["close"].to_list() == exchange.index["close"].to_list()


@pytest.mark.parametrize("error", [JSON_ERROR, ConnectionError("Remote end closed connection"), KeyError("data")])
def test_tencent_stands_in_for_sina(exchange: Any, error: Exception) -> None:
    source = Akshare()
    sina = source.bars("600000.SH", SPAN)
    exchange.faults.append(lambda name, said: error if name == "stock_zh_a_daily" and not said["adjust"] else None)
    tencent = source.bars("600000.SH", SPAN)
    assert tencent.select(sorted(tencent.columns)).drop("float_shares").equals(sina.select(sorted(sina.columns)).drop("float_shares"))
    exchange.calls.clear()
    source.bars("300750.SZ", SPAN)
    assert [name for name, said in exchange.calls if not said.get("adjust")] == ["stock_zh_a_hist_tx"]  # Sina isn't asked again


def test_too_many_requests_is_busy(exchange: Any) -> None:
    exchange.faults.append(lambda name, said: JSON_ERROR)
    with pytest.raises(Busy, match="stock_zh_a_hist_tx broke off"):
        Akshare().bars("600000.SH", SPAN)


def test_a_site_that_changed_is_not_asked_for_ever(exchange: Any, chain: Callable[..., Chain]) -> None:
    exchange.faults.append(lambda name, said: TypeError("'NoneType' object is not subscriptable"))
    asking = chain(Akshare())
    for _ in range(4):
        with pytest.raises(VendorError, match="No source answers"):
            asking.ask("index_bars", "000905.SH", SPAN)
    assert len(exchange.calls) == 3


def test_a_column_that_is_gone_is_named(exchange: Any, fake: FakeAkshare) -> None:
    frame = fake.index_stock_cons_weight_csindex(symbol="000905").rename(columns={"权重": "weight"})
    exchange.faults.append(lambda name, said: frame if name == "index_stock_cons_weight_csindex" else None)
    with pytest.raises(VendorError, match="has no column 权重"):
        Akshare().members("000905.SH", SPAN)


def test_a_function_that_is_gone_is_named(fake: FakeAkshare) -> None:
    fake.stock_zh_index_daily = None
    with pytest.raises(VendorError, match="has no function stock_zh_index_daily any more"):
        Akshare().index_bars("000905.SH", SPAN)


def test_a_remembered_answer_is_forgotten_first(fake: FakeAkshare) -> None:
    forgotten = []
    fake.stock_info_bj_name_code.cache_clear = lambda: forgotten.append(True)
    Akshare().securities()
    assert forgotten == [True]


def test_the_chain_falls_back_to_it_without_the_package_of_another(
    exchange: Any, chain: Callable[..., Chain], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "baostock", None)
    assert chain(Baostock(), Akshare()).ask("index_bars", "000905.SH", SPAN)[0] == "akshare"
