"""BaoStock replayed: text in pages through a package that prints, and every way in which an answer can be broken."""

import sys
from collections.abc import Callable
from datetime import date
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from data.fetch import Outcome, Wish, fetch
from data.lake import Lake
from data.sources.baostock import Baostock
from data.sources.chain import Chain
from data.sources.source import Busy, Span, VendorError

START, END = date(2024, 5, 6), date(2024, 6, 28)
SPAN = Span(START, END)
_day = date.fromisoformat


class Result:
    """What a query of baostock returns: text in pages of 2000 rows."""

    def __init__(self, fields: str, rows: list[list[str]], code: str = "0", message: str = "success") -> None:
        self.fields, self.error_code, self.error_msg = fields.split(","), code, message
        self._pages = [rows[start : start + 2000] for start in range(0, len(rows), 2000)] or [[]]
        if len(self._pages[-1]) == 2000:
            self._pages.append([])
        self.data, self._row = self._pages.pop(0), 0

    def next(self) -> bool:
        if self._row == len(self.data) == 2000 and self._pages:
            self.data, self._row = self._pages.pop(0), 0
        return self._row < len(self.data)

    def get_row_data(self) -> list[str]:
        self._row += 1
        return self.data[self._row - 1]


def bs_code(stock: str) -> str:
    return f"{stock[7:].lower()}.{stock[:6]}"


QUOTES = "date,code,open,high,low,close,preclose,volume,amount,adjustflag,turn,tradestatus,pctChg,peTTM,pbMRQ,psTTM,pcfNcfTTM,isST"


class FakeBaostock(SimpleNamespace):
    """baostock 0.9.4."""

    def __init__(self, exchange: Any) -> None:
        super().__init__()
        self.exchange = exchange

    def login(self) -> Result:
        print("login success!")
        return self._told("login", "a", [])

    def query_trade_dates(self, start_date: str, end_date: str) -> Result:
        every = pl.date_range(_day(start_date), _day(end_date), eager=True).to_list()
        return self._told("query_trade_dates", "calendar_date,is_trading_day", [[str(day), str(int(day in self.exchange.days))] for day in every])

    def query_stock_basic(self) -> Result:
        rows = [
            [bs_code(s), name, str(listed), str(gone or ""), "1", "0" if gone else "1"]
            for s, (name, _, _, listed, gone) in self.exchange.stocks.items()
        ]
        return self._told(
            "query_stock_basic", "code,code_name,ipoDate,outDate,type,status", [*rows, ["sh.000905", "中证500", "2007-01-15", "", "2", "1"]]
        )

    def query_history_k_data_plus(self, code: str, fields: str, start_date: str, end_date: str, frequency: str, adjustflag: str) -> Result:
        assert (frequency, adjustflag) == ("d", "3")
        start, end = _day(start_date), _day(end_date)
        if code == "sh.000905":
            rows = self.exchange.index.filter(pl.col("date").is_between(start, min(end, self.exchange.until)))
            texts = [[str(r[0]), code, *(f"{cell:.4f}" for cell in r[1:5])] for r in rows.iter_rows()]
        else:
            texts = [_bs_row(row) for row in self.exchange.seen(start, end, f"{code[3:]}.{code[:2].upper()}").iter_rows(named=True)]
        return self._told("query_history_k_data_plus", fields, texts, code=code, start_date=start_date, end_date=end_date)

    def query_daily_history_k_AStock(self, date: str) -> Result:
        day = _day(date)
        return self._told(
            "query_daily_history_k_AStock", QUOTES, [_bs_row(row) for row in self.exchange.seen(day, day).iter_rows(named=True)], date=date
        )

    def query_zz500_stocks(self, date: str) -> Result:
        day = _day(date)
        names = [s for s, (*_, listed, gone) in self.exchange.stocks.items() if listed <= day and (gone is None or day < gone)]
        return self._told(
            "query_zz500_stocks", "updateDate,code,code_name", [[date, bs_code(s), self.exchange.stocks[s][0]] for s in names], date=date
        )

    def query_dividend_data(self, code: str, year: str, yearType: str) -> Result:
        assert yearType == "operate"
        paid, split = (str(self.exchange.events[name]) for name in ("dividend", "split"))
        names = "dividPreNoticeDate,dividAgmPumDate,dividPlanAnnounceDate,dividPlanDate,dividRegistDate,dividOperateDate,dividPayDate"
        amounts = "dividStockMarketDate,dividCashPsBeforeTax,dividCashPsAfterTax,dividStocksPs,dividCashStock,dividReserveToStockPs"
        told = {
            "sh.600000": ["", "", "2024-04-30", "2024-06-05", "2024-06-11", paid, paid, "", "0.3;0.2", "", "", "10派5元", ""],
            "sz.300750": ["", "", "2024-04-30", "2024-05-14", "2024-05-17", split, "", split, "", "", "0.000000", "10转10", "1.000000"],
        }
        rows = [[code, *told[code]]] if code in told and year == "2024" else []
        return self._told("query_dividend_data", f"code,{names},{amounts}", rows, code=code, year=year)

    def query_profit_data(self, code: str, year: int, quarter: int) -> Result:
        fields = "code,pubDate,statDate,roeAvg,npMargin,gpMargin,netProfit,epsTTM,MBRevenue,totalShare,liqaShare"
        row = [code, "2024-05-10", "2024-03-31", "0.07", "0.34", "", "28522000000.000000", "1.9", "", "28103763899.00", "28103763899.00"]
        return self._told("query_profit_data", fields, [row] if (year, quarter) == (2024, 1) else [], code=code, year=year, quarter=quarter)

    def query_cash_flow_data(self, code: str, year: int, quarter: int) -> Result:
        fields = "code,pubDate,statDate,CAToAsset,NCAToAsset,tangibleAssetToAsset,ebitToInterest,CFOToOR,CFOToNP,CFOToGr"
        return self._told("query_cash_flow_data", fields, [[code, "2024-05-10", "2024-03-31", "", "", "", "", "-0.1", "-0.500000", ""]])

    def query_stock_industry(self, date: str) -> Result:
        rows = [["2024-05-06", bs_code(s), self.exchange.stocks[s][0], "J66货币金融服务", "证监会行业分类"] for s in self.exchange.stocks]
        return self._told("query_stock_industry", "updateDate,code,code_name,industry,industryClassification", rows, date=date)

    def _told(self, function: str, fields: str, rows: list[list[str]], **said: Any) -> Any:
        return self.exchange.asked(function, **said) or Result(fields, rows)


def _bs_row(row: dict[str, Any]) -> list[str]:
    """A bar as baostock writes it: a suspended one has neither volume nor turnover."""
    prices = [f"{row[name]:.4f}" for name in ("open", "high", "low", "close", "pre_close")]
    on = row["is_trading"]
    traded = [f"{row['volume']:.0f}", f"{row['amount']:.4f}"] if on else ["", ""]
    turn = f"{row['volume'] / row['float_shares'] * 100:.10f}" if on else ""
    return [
        str(row["date"]),
        bs_code(row["symbol"]),
        *prices,
        *traded,
        "3",
        turn,
        str(int(on)),
        "0.1",
        f"{row['pe']:.6f}",
        f"{row['pb']:.6f}",
        "",
        "",
        str(int(row["is_st"])),
    ]


@pytest.fixture
def baostock(exchange: Any, monkeypatch: pytest.MonkeyPatch) -> FakeBaostock:
    """Baostock's package in place of the real one."""
    fake = FakeBaostock(exchange)
    monkeypatch.setitem(sys.modules, "baostock", fake)
    return fake


# -- what a fetch makes of it


def test_a_fetch_fills_a_lake_that_passes_the_checks(
    lake: Lake, baostock: Any, chain: Callable[..., Chain], passes: Any, same_bars: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = fetch(lake, chain(Baostock()), Wish(since=START), until=END)
    assert isinstance(outcome, Outcome)
    assert outcome.through == END
    passes(lake)
    same_bars(lake)
    assert set(lake.tables()) == {"calendar", "securities", "bars", "caps", "dividends", "members", "industries", "index_bars"}
    paid = lake.read("dividends").select("symbol", "cash", "bonus", "transfer", "announced_on").rows()
    assert paid == [("300750.SZ", 0.0, 0.0, 1.0, date(2024, 5, 14)), ("600000.SH", 0.5, 0.0, 0.0, date(2024, 6, 5))]
    shares = lake.read("caps").filter(pl.col("symbol") == "300750.SZ", pl.col("float_shares").is_not_null())["float_shares"]
    assert (shares[0], shares[-1]) == (pytest.approx(1e8), pytest.approx(2e8))
    assert lake.read("securities").filter(pl.col("symbol") == "000024.SZ")["delist_date"].to_list() == [date(2024, 6, 3)]
    assert any("no total return" in note for note in outcome.notes)
    assert capsys.readouterr().out == ""  # the package prints 'login success!'


def test_reports_bear_the_day_of_their_announcement(baostock: Any) -> None:
    found = Baostock().reports("600000.SH", SPAN)
    columns = ["period_end", "announced_on", "net_profit", "revenue", "operating_cash_flow"]
    assert found.select(columns).rows() == [(date(2024, 3, 31), date(2024, 5, 10), 28522000000.0, None, -14261000000.0)]
    assert Baostock().reports("600000.SH", Span(date(2024, 5, 11), END)).height == 0


def test_members_are_asked_for_at_turns_of_months_and_after_reviews(baostock: Any) -> None:
    found = Baostock().members("000905.SH", Span(date(2024, 5, 20), date(2024, 6, 30)))
    assert found["date"].unique().sort().to_list() == [date(2024, 5, 20), date(2024, 6, 1), date(2024, 6, 17)]


# -- faults


def fault(exchange: Any, function: str, told: Any) -> None:
    exchange.faults.append(lambda asked, said: told if asked == function else None)


def bars(rows: list[list[str]], fields: str = QUOTES, **error: str) -> Result:
    return Result(fields, rows, **error)


ROW = ["2024-05-06", "sh.600000", *["8.0000"] * 5, "1000", "8000.0000", "3", "0.1", "1", "0.1", "12.5", "1.2", "", "", "0"]


def test_a_page_cut_off_is_busy_not_short(exchange: Any, baostock: Any) -> None:
    days = [str(day) for day in pl.date_range(date(2015, 1, 1), date(2021, 1, 1), eager=True)[:2000]]
    cut = bars([[day, *ROW[1:]] for day in days])
    cut._pages.clear()  # the package ends a page that failed without a word
    fault(exchange, "query_history_k_data_plus", cut)
    with pytest.raises(Busy, match="cut short"):
        Baostock().bars("600000.SH", Span(date(2015, 1, 1), END))


def test_a_page_sent_twice_is_busy(exchange: Any, baostock: Any) -> None:
    fault(exchange, "query_history_k_data_plus", bars([ROW, ROW]))
    with pytest.raises(Busy, match="sent 2 rows twice"):
        Baostock().bars("600000.SH", SPAN)


@pytest.mark.parametrize("code", ["10002007", "10001001", "10005001"])
def test_errors_of_the_network_and_the_server_pass(exchange: Any, baostock: Any, code: str) -> None:
    fault(exchange, "query_history_k_data_plus", bars([], code=code, message="网络接收错误。"))
    with pytest.raises(Busy, match=code):
        Baostock().bars("600000.SH", SPAN)


def test_an_error_of_ours_does_not_pass(exchange: Any, baostock: Any) -> None:
    fault(exchange, "query_history_k_data_plus", bars([], code="10004011", message="无效的证券代码"))
    with pytest.raises(VendorError, match="is refused") as error:
        Baostock().bars("600000.SH", SPAN)
    assert not isinstance(error.value, Busy)


def test_a_column_that_is_gone_is_named(exchange: Any, baostock: Any) -> None:
    fault(exchange, "query_history_k_data_plus", bars([ROW], fields=QUOTES.replace("preclose", "prevClose")))
    with pytest.raises(VendorError, match=r"no column preclose \(it has: date, code.*Upgrade Kestrel"):
        Baostock().bars("600000.SH", SPAN)


def test_text_where_a_number_was_is_refused(exchange: Any, baostock: Any) -> None:
    fault(exchange, "query_history_k_data_plus", bars([[*ROW[:5], "n/a", *ROW[6:]]]))
    with pytest.raises(VendorError, match="column close can't be read as number"):
        Baostock().bars("600000.SH", SPAN)


def test_a_stale_cache_is_no_answer(exchange: Any, baostock: Any) -> None:
    fault(exchange, "query_daily_history_k_AStock", bars([ROW]))
    with pytest.raises(VendorError, match="answered with 2024-05-06 to 2024-05-06 for 2024-05-07 to 2024-05-07: a stale cache"):
        Baostock().market(date(2024, 5, 7))


@pytest.mark.parametrize("name", ["平安银行".encode("gb18030"), "平安银行".encode("gb18030").decode("latin-1"), "平安银行"])
def test_names_in_gbk_are_read(exchange: Any, baostock: Any, name: Any) -> None:
    fault(exchange, "query_stock_basic", Result("code,code_name,ipoDate,outDate,type,status", [["sz.000001", name, "1991-04-03", "", "1", "1"]]))
    assert Baostock().securities()["name"].to_list() == ["平安银行"]


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "baostock", None)
    with pytest.raises(VendorError, match=r"pip install 'kestrel\[sources\]'"):
        Baostock().bars("600000.SH", SPAN)


def test_an_index_that_it_does_not_know_is_said(baostock: Any) -> None:
    with pytest.raises(VendorError, match=r"000905\.SH, 000300\.SH"):
        Baostock().members("000852.SH", SPAN)
