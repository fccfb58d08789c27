"""Tushare replayed: lots, thousands and ten thousands, pages, limits by the minute, and a token that must appear nowhere."""

import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import polars as pl
import pytest

from data.fetch import Wish, fetch
from data.lake import Lake
from data.sources.chain import Chain
from data.sources.source import Busy, Span, VendorError
from data.sources.tushare import Tushare

START, END = date(2024, 5, 6), date(2024, 6, 28)
SPAN = Span(START, END)
CANARY = "canary0123456789abcdef0123456789abcdef0123456789abcdef01"
QUOTES = ["ts_code", "trade_date", "open", "high", "low", "close", "pre_close", "vol", "amount"]


def written(day: date | None) -> str | None:
    return day.strftime("%Y%m%d") if day else None


def read(text: str) -> date:
    return date.fromisoformat(text)


class FakeTushare(SimpleNamespace):
    """tushare 1.4.29: one `query` for every interface."""

    def __init__(self, exchange: Any) -> None:
        super().__init__()
        self.exchange = exchange

    def pro_api(self, token: str, timeout: int) -> Any:
        assert (token, timeout) == (CANARY, 30)
        return self

    def query(self, api: str, fields: str, limit: int, offset: int, **asked: str) -> pd.DataFrame:
        told = self.exchange.asked(api, limit=limit, offset=offset, **asked)
        if isinstance(told, Exception):
            raise told
        frame = told if told is not None else getattr(self, api)(**asked)
        return frame.iloc[offset : offset + limit].reset_index(drop=True)

    def trade_cal(self, exchange: str, start_date: str, end_date: str) -> pd.DataFrame:
        days = pl.date_range(read(start_date), read(end_date), eager=True).to_list()
        return pd.DataFrame({"cal_date": [written(day) for day in days], "is_open": [int(day in self.exchange.days) for day in days]})

    def stock_basic(self, list_status: str) -> pd.DataFrame:
        rows = [(s, name, written(listed), written(gone)) for s, (name, _, _, listed, gone) in self.exchange.stocks.items()]
        kept = [row for row in rows if (row[3] is not None) == (list_status == "D") and list_status != "P"]
        return pd.DataFrame(kept, columns=["ts_code", "name", "list_date", "delist_date"])

    def _rows(self, trade_date: str = "", ts_code: str = "", start_date: str = "", end_date: str = "") -> pl.DataFrame:
        start, end = (read(trade_date), read(trade_date)) if trade_date else (read(start_date), read(end_date))
        return self.exchange.seen(start, end, ts_code or None).with_columns(ts_code="symbol", trade_date=pl.col("date").dt.strftime("%Y%m%d"))

    def daily(self, **asked: str) -> pd.DataFrame:
        rows = self._rows(**asked).filter("is_trading")  # a suspended stock has no row
        return rows.with_columns(vol=pl.col("volume") / 100, amount=pl.col("amount") / 1000).select(QUOTES).to_pandas()

    def daily_basic(self, **asked: str) -> pd.DataFrame:
        rows = (
            self._rows(**asked).filter("is_trading").with_columns(total_share=pl.col("float_shares") / 1e4, float_share=pl.col("float_shares") / 1e4)
        )
        ratios = rows.with_columns(pe_ttm=pl.col("pe"), ps_ttm=pl.lit(None, pl.Float64))
        return ratios.select("ts_code", "trade_date", "pe_ttm", "pb", "ps_ttm", "total_share", "float_share").to_pandas()

    def stk_limit(self, **asked: str) -> pd.DataFrame:
        free = (pl.col("symbol") == "001234.SZ") & (pl.col("date") < date(2024, 6, 13))
        up, down = (pl.col("pre_close") * 1.3).round(2), (pl.col("pre_close") * 0.7).round(2)
        rows = self._rows(**asked).with_columns(
            pl.when(free).then(99999.99).otherwise(up).alias("up_limit"), pl.when(free).then(0.01).otherwise(down).alias("down_limit")
        )
        return rows.select("ts_code", "trade_date", "up_limit", "down_limit").to_pandas()

    def suspend_d(self, suspend_type: str, **asked: str) -> pd.DataFrame:
        assert suspend_type == "S"
        rows = self._rows(**asked)
        halted = rows.filter(pl.col("symbol") == "600000.SH", "is_trading").head(1).with_columns(suspend_timing=pl.lit("09:30-10:00"))
        told = [rows.filter(~pl.col("is_trading")).with_columns(suspend_timing=pl.lit(None, pl.String)), halted]
        return pl.concat(told).select("ts_code", "trade_date", "suspend_timing").to_pandas()

    def namechange(self) -> pd.DataFrame:
        rows = [(s, name, "20100101") for s, (name, *_) in self.exchange.stocks.items()] + [("600000.SH", "ST浦发", "20050101")]
        return pd.DataFrame(rows, columns=["ts_code", "name", "start_date"])

    def index_weight(self, index_code: str, start_date: str, end_date: str) -> pd.DataFrame:
        days = [written(day) for day in (date(2024, 5, 31), date(2024, 6, 28)) if read(start_date) <= day <= read(end_date)]
        stocks = ("000001.SZ", "300750.SZ", "600000.SH", "688001.SH")
        return pd.DataFrame([(stock, day, 25.0) for day in days for stock in stocks], columns=["con_code", "trade_date", "weight"])

    def index_daily(self, ts_code: str, start_date: str, end_date: str) -> pd.DataFrame:
        rows = self.exchange.index.filter(pl.col("date").is_between(read(start_date), read(end_date)))
        rows = rows.with_columns(trade_date=pl.col("date").dt.strftime("%Y%m%d"))
        return (rows.with_columns(close="close_tr") if ts_code == "H00905.CSI" else rows).drop("date", "close_tr").to_pandas()

    def dividend(self, ts_code: str) -> pd.DataFrame:
        paid, split = (written(self.exchange.events[name]) for name in ("dividend", "split"))
        rows = {
            "600000.SH": [
                ("600000.SH", "实施", "20240605", 0.5, 0.0, 0.0, paid, "20240611", paid),
                ("600000.SH", "预案", None, 0.5, None, None, None, None, None),
            ],
            "300750.SZ": [("300750.SZ", "实施", "20240514", 0.0, None, 1.0, split, "20240517", None)],
        }
        names = ["ts_code", "div_proc", "imp_ann_date", "cash_div_tax", "stk_bo_rate", "stk_co_rate", "ex_date", "record_date", "pay_date"]
        return pd.DataFrame(rows.get(ts_code, []), columns=names)

    def income(self, ts_code: str, **asked: str) -> pd.DataFrame:
        names = ["ts_code", "end_date", "f_ann_date", "revenue", "oper_cost", "n_income_attr_p", "update_flag"]
        first = (ts_code, "20240331", "20240510", 5e10, 3e10, 1.0e10, "0")
        same_day, restated = (*first[:5], 1.1e10, "1"), (ts_code, "20240331", "20240612", 5e10, None, 0.9e10, "1")
        return pd.DataFrame([restated, same_day, first], columns=names)

    def balancesheet(self, ts_code: str, **asked: str) -> pd.DataFrame:
        row = (ts_code, "20240331", "20240510", 7e11, 9e11, 8e10, 2e10, None, 1e10, None, "1")
        borrowed = ["st_borr", "lt_borr", "bond_payable", "non_cur_liab_due_1y"]
        names = ["ts_code", "end_date", "f_ann_date", "total_hldr_eqy_exc_min_int", "total_assets", "money_cap", *borrowed, "update_flag"]
        return pd.DataFrame([row], columns=names)

    def cashflow(self, **asked: str) -> pd.DataFrame:
        return pd.DataFrame([], columns=["ts_code", "end_date", "f_ann_date", "n_cashflow_act", "update_flag"])


@pytest.fixture(autouse=True)
def fake(exchange: Any, monkeypatch: pytest.MonkeyPatch) -> FakeTushare:
    """Tushare's package in place of the real one, and a token that can be looked for."""
    found = FakeTushare(exchange)
    monkeypatch.setitem(sys.modules, "tushare", found)
    monkeypatch.setenv("TUSHARE_TOKEN", CANARY)
    return found


WISH = Wish(since=START, symbols=("all",), tables=("members", "bars", "index_bars", "dividends", "reports"))


def test_a_fetch_fills_a_lake_that_passes_the_checks(lake: Lake, exchange: Any, chain: Callable[..., Chain], passes: Any, same_bars: Any) -> None:
    outcome = fetch(lake, chain(Tushare()), WISH, until=END)
    assert outcome is not None
    assert outcome.notes == []
    passes(lake)
    same_bars(lake)
    assert lake.read("members")["weight"].sum() == pytest.approx(2.0)
    assert lake.read("index_bars")["close_tr"].to_list() == pytest.approx(exchange.index["close_tr"].to_list())
    paid = lake.read("dividends").select("symbol", "cash", "bonus", "transfer", "announced_on").rows()
    assert paid == [("300750.SZ", 0.0, 0.0, 1.0, date(2024, 5, 14)), ("600000.SH", 0.5, 0.0, 0.0, date(2024, 6, 5))]
    shares = lake.read("caps").filter(pl.col("symbol") == "300750.SZ")["total_shares"]
    assert (shares[0], shares[-1]) == (pytest.approx(1e8), pytest.approx(2e8))


def test_limits_are_the_vendors_own(lake: Lake, chain: Callable[..., Chain]) -> None:
    fetch(lake, chain(Tushare()), WISH, until=END)
    bars = lake.read("bars").filter("is_trading")
    new = bars.filter(pl.col("symbol") == "001234.SZ")
    assert new["limit_up"].is_null().to_list() == [True] * 5 + [False] * (new.height - 5)
    given = bars.filter(pl.col("symbol") == "600000.SH")
    assert given["limit_up"].to_list() == (given["pre_close"] * 1.3).round(2).to_list()


def test_a_day_of_the_whole_market_is_the_same_as_stock_by_stock(exchange: Any) -> None:
    day = exchange.events["dividend"]
    one_by_one = pl.concat([Tushare().bars(stock, Span(day, day)) for stock in exchange.stocks if stock != "000024.SZ"], how="diagonal_relaxed")
    market = Tushare().market(day)
    assert market.equals(one_by_one.select(market.columns).sort("symbol"))


def test_a_restatement_is_a_row_and_a_correction_of_the_same_day_is_not() -> None:
    found = Tushare().reports("600000.SH", SPAN).select("announced_on", "net_profit", "equity", "operating_cash_flow")
    assert found.rows() == [(date(2024, 5, 10), 1.1e10, 7e11, None), (date(2024, 6, 12), 0.9e10, None, None)]


def test_debt_is_the_sum_of_what_bears_interest_and_gross_profit_is_after_costs() -> None:
    found = Tushare().reports("600000.SH", SPAN).select("gross_profit", "total_assets", "cash", "debt")
    assert found.rows() == [(2e10, 9e11, 8e10, 3e10), (None, None, None, None)]


def test_st_is_read_from_the_name_of_the_day(exchange: Any, fake: FakeTushare) -> None:
    names = pd.DataFrame([("600000.SH", "浦发银行", "20100101"), ("600000.SH", "*ST浦发", "20240520"), ("600000.SH", "浦发银行", "20240603")])
    names.columns = ["ts_code", "name", "start_date"]
    exchange.faults.append(lambda api, said: names if api == "namechange" else None)
    st = Tushare().bars("600000.SH", SPAN).filter("is_st")["date"]
    assert (st.min(), st.max()) == (date(2024, 5, 20), date(2024, 5, 31))


# -- pages and faults


def test_all_pages_are_read(exchange: Any, fake: FakeTushare) -> None:
    many = pd.DataFrame({"ts_code": [f"{600000 + n}.SH" for n in range(12_001)], "name": "x", "list_date": "20100101", "delist_date": None})
    exchange.faults.append(lambda api, said: many if api == "stock_basic" and said["list_status"] == "L" else None)
    assert Tushare().securities().height == 12_001 + 1


def test_a_page_sent_twice_is_busy(exchange: Any, fake: FakeTushare) -> None:
    page = pd.DataFrame({"ts_code": [f"{600000 + n}.SH" for n in range(5000)], "name": "x", "list_date": "20100101", "delist_date": None})
    fake.query = lambda api, fields, limit, offset, **asked: page  # type: ignore[method-assign,assignment]
    with pytest.raises(Busy, match="sent a page twice"):
        Tushare().securities()


@pytest.mark.parametrize(
    ("error", "busy", "after"),
    [
        (Exception("抱歉，您每分钟最多访问该接口200次，权限的具体详情访问"), True, 60.0),
        (Exception("抱歉，您每天最多访问该接口2次"), False, None),
        (Exception("抱歉，您没有接口访问权限"), False, None),
        (ConnectionError("Connection aborted."), True, None),
        (ValueError("Expecting value: line 1 column 1 (char 0)"), True, None),
    ],
)
def test_limits_by_the_minute_pass_and_missing_rights_do_not(exchange: Any, error: Exception, busy: bool, after: float | None) -> None:
    exchange.faults.append(lambda api, said: error)
    with pytest.raises(VendorError) as found:
        Tushare().securities()
    assert isinstance(found.value, Busy) == busy
    assert getattr(found.value, "after", None) == after


def test_an_http_error_is_not_an_empty_answer(exchange: Any) -> None:
    exchange.faults.append(lambda api, said: pd.DataFrame())  # what the package makes of a 502
    with pytest.raises(Busy, match="the server answered with an error"):
        Tushare().securities()


def test_a_column_that_is_gone_is_named(exchange: Any, fake: FakeTushare) -> None:
    frame = fake.daily(trade_date="20240612").rename(columns={"vol": "volume"})
    exchange.faults.append(lambda api, said: frame if api == "daily" else None)
    with pytest.raises(VendorError, match="tushare's daily has no column vol"):
        Tushare().market(date(2024, 6, 12))


def test_a_stale_cache_is_no_answer(exchange: Any, fake: FakeTushare) -> None:
    frame = fake.daily(trade_date="20240611")
    exchange.faults.append(lambda api, said: frame if api == "daily" else None)
    with pytest.raises(VendorError, match="stale cache"):
        Tushare().market(date(2024, 6, 12))


# -- the token


def test_without_a_token_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUSHARE_TOKEN")
    with pytest.raises(VendorError, match="export TUSHARE_TOKEN="):
        Tushare().securities()


def test_the_token_is_in_no_error_and_no_file(
    lake: Lake, exchange: Any, chain: Callable[..., Chain], tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    exchange.faults.append(lambda api, said: Exception(f"您的token不对: {CANARY}") if api == "dividend" else None)
    with pytest.raises(VendorError, match=r"您的token不对: \*\*\*") as error:
        fetch(lake, chain(Tushare()), WISH, until=END)
    exchange.faults.clear()
    fetch(lake, chain(Tushare()), WISH, until=END)
    out, err = capfd.readouterr()
    assert CANARY not in str(error.value) + repr(error.value) + out + err + caplog.text
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if CANARY.encode() in file.read_bytes()]
