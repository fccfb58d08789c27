"""BaoStock: the free default for history.  Read from baostock 0.9.4, whose answers are text throughout.

Units: volume in shares, amount and statements in CNY, `turn` in percent of the float, dividends per share.  Every request goes through
one socket; the package prints, never times out, reads a closed connection for ever and ends a page that failed without a word: `_Line`
and `_rows` see to that.  No Beijing exchange, no weights, no index with dividends; members are lists of names, renewed weekly.
"""

import contextlib
import socket
from collections.abc import Iterator
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any, ClassVar

import polars as pl

from data.sources.source import Busy, Columns, Source, Span, VendorError, no_repeats, package, read, spelled, within
from data.symbols import symbol

PAGE = 2000  # rows of a page; the whole market of a day comes in one
FILING = timedelta(days=125)  # the annual report is due four months after its year
# Errors that pass: 10002… are the network's, 10001001 a lost login, 10001005 too many logins, 10005001 the server's own.
PASSING = ("10002", "10001001", "10001005", "10005001")
QUOTES = "date,code,open,high,low,close,preclose,volume,amount,adjustflag,turn,tradestatus,pctChg,peTTM,pbMRQ,psTTM,pcfNcfTTM,isST"
RAW = "3"  # adjustflag

BARS: Columns = {
    "date": ("date", "day"),
    "symbol": ("code", "symbol"),
    "open": ("open", "number"),
    "high": ("high", "number"),
    "low": ("low", "number"),
    "close": ("close", "number"),
    "pre_close": ("preclose", "number"),
    "volume": ("volume", "number"),
    "amount": ("amount", "number"),
    "turn": ("turn", "number"),
    "status": ("tradestatus", "text"),
    "st": ("isST", "text"),
    "pe_ttm": ("peTTM", "number"),
    "pb": ("pbMRQ", "number"),
    "ps_ttm": ("psTTM", "number"),
    "pcf_ttm": ("pcfNcfTTM", "number"),
}
MEMBERS = {"000905.SH": "query_zz500_stocks", "000300.SH": "query_hs300_stocks", "000016.SH": "query_sz50_stocks"}


class Baostock(Source):
    """BaoStock's free server."""

    name: ClassVar[str] = "baostock"
    pause: ClassVar[float] = 0.05

    def __init__(self) -> None:
        self._package: Any = None

    def calendar(self, span: Span) -> pl.DataFrame:
        """Sessions of the span."""
        columns: Columns = {"date": ("calendar_date", "day"), "trading": ("is_trading_day", "text")}
        days = read(self._ask("query_trade_dates", start_date=str(span.start), end_date=str(span.end)), columns, "baostock's calendar")
        return days.filter(pl.col("trading") == "1").select("date")

    def securities(self) -> pl.DataFrame:
        """Shares of Shanghai and Shenzhen, delisted ones too; indices and funds are left out by their type."""
        columns: Columns = {"code": ("code", "text"), "name": ("code_name", "text"), "type": ("type", "text")}
        dates: Columns = {"list_date": ("ipoDate", "day"), "delist_date": ("outDate", "day")}
        found = read(self._ask("query_stock_basic"), columns | dates, "baostock's stock_basic").filter(pl.col("type") == "1")
        return found.select(pl.col("code").map_elements(symbol, return_dtype=pl.String).alias("symbol"), "name", "list_date", "delist_date")

    def bars(self, stock: str, span: Span) -> pl.DataFrame:
        """Raw bars with the vendor's ratios; suspended sessions have their row."""
        code, days = spelled(stock, "sh.600000"), {"start_date": str(span.start), "end_date": str(span.end)}
        answer = self._ask("query_history_k_data_plus", code, QUOTES, **days, frequency="d", adjustflag=RAW)
        return _bars(answer, span)

    def market(self, day: date) -> pl.DataFrame:
        """Every stock's bar of one session in one request."""
        found = _bars(self._ask("query_daily_history_k_AStock", date=str(day)), Span(day, day))
        return found.filter(pl.col("symbol").str.contains(r"^(60|68)\d{4}\.SH$|^(00|30)\d{4}\.SZ$"))

    def members(self, index: str, span: Span) -> pl.DataFrame:
        """The lists in force on the span's first day, on each first of a month and on each Monday after a review, without weights."""
        if index not in MEMBERS:
            raise VendorError(f"BaoStock knows the members of {', '.join(MEMBERS)} alone.")
        columns: Columns = {"symbol": ("code", "symbol")}
        lists = []
        for day in _list_days(span):
            found = read(self._ask(MEMBERS[index], date=str(day)), columns, f"baostock's {MEMBERS[index]}")
            lists.append(found.select(pl.lit(day).alias("date"), pl.lit(index).alias("index"), "symbol", pl.lit(None, pl.Float64).alias("weight")))
        return no_repeats(pl.concat(lists), ["date", "symbol"], "baostock")

    def index_bars(self, index: str, span: Span) -> pl.DataFrame:
        """A price index."""
        fields, days = "date,code,open,high,low,close", {"start_date": str(span.start), "end_date": str(span.end)}
        answer = self._ask("query_history_k_data_plus", spelled(index, "sh.600000"), fields, **days, frequency="d", adjustflag=RAW)
        found = read(answer, {name: BARS[name] for name in ("date", "open", "high", "low", "close")}, "baostock's index bars")
        return within(no_repeats(found, ["date"], "baostock"), span, "baostock").with_columns(index=pl.lit(index))

    def dividends(self, stock: str, span: Span) -> pl.DataFrame:
        """Payouts by ex-date; several cash payments of one row stand in it separated by ';'."""
        columns: Columns = {
            "ex_date": ("dividOperateDate", "day"),
            "payments": ("dividCashPsBeforeTax", "text"),
            "bonus": ("dividStocksPs", "number"),
            "transfer": ("dividReserveToStockPs", "number"),
            "announced_on": ("dividPlanDate", "day"),
            "record_date": ("dividRegistDate", "day"),
            "pay_date": ("dividPayDate", "day"),
        }
        years = range(span.start.year, span.end.year + 1)
        asked = [self._ask("query_dividend_data", code=spelled(stock, "sh.600000"), year=str(year), yearType="operate") for year in years]
        found = pl.concat([read(answer, columns, "baostock's dividends") for answer in asked])
        cash = pl.col("payments").fill_null("0").str.split(";").list.eval(pl.element().cast(pl.Float64)).list.sum()
        paid = found.with_columns(pl.lit(stock).alias("symbol"), cash.alias("cash"), pl.col("bonus", "transfer").fill_null(0.0)).drop("payments")
        return paid.filter(pl.col("ex_date").is_between(span.start, span.end))

    def reports(self, stock: str, span: Span) -> pl.DataFrame:
        """Reports announced in the span: revenue (half-years and years alone), net profit, and cash flow as its ratio to profit.

        BaoStock gives no equity, and of each period the latest figures alone: a restatement replaces what it restates.
        """
        profit: Columns = {"period_end": ("statDate", "day"), "announced_on": ("pubDate", "day"), "net_profit": ("netProfit", "number")}
        cash: Columns = {"period_end": ("statDate", "day"), "ratio": ("CFOToNP", "number")}
        found = []
        for quarter in _quarters(span):
            named = {"code": spelled(stock, "sh.600000"), "year": quarter.year, "quarter": quarter.month // 3}
            earned = read(self._ask("query_profit_data", **named), profit | {"revenue": ("MBRevenue", "number")}, "baostock's profit_data")
            flow = read(self._ask("query_cash_flow_data", **named), cash, "baostock's cash_flow_data") if earned.height else None
            if flow is not None:
                found.append(earned.join(flow, on="period_end", how="left"))
        if not found:
            return pl.DataFrame(schema={"symbol": pl.String, "period_end": pl.Date, "announced_on": pl.Date})
        rows = pl.concat(found).filter(pl.col("announced_on").is_between(span.start, span.end))
        return rows.with_columns(pl.lit(stock).alias("symbol"), (pl.col("ratio") * pl.col("net_profit")).alias("operating_cash_flow")).drop("ratio")

    def industries(self, span: Span) -> pl.DataFrame:
        """The regulator's industries at the span's ends, each from the day the vendor renewed its list."""
        columns: Columns = {"symbol": ("code", "symbol"), "start": ("updateDate", "day"), "name": ("industry", "text")}
        lists = [read(self._ask("query_stock_industry", date=str(day)), columns, "baostock's industries") for day in sorted({span.start, span.end})]
        found = pl.concat(lists).drop_nulls().sort("symbol", "start")
        changed = found.filter((pl.col("name") != pl.col("name").shift(1).over("symbol", order_by="start")).fill_null(True))
        return changed.with_columns(pl.col("name").str.extract(r"^([A-Z]\d*)").fill_null(pl.col("name")).alias("code"), hindsight=pl.lit(False))

    def close(self) -> None:
        """Hang up: the server counts connections."""
        self._package = None
        with contextlib.suppress(VendorError, AttributeError, OSError):
            package("baostock.common.context").default_socket.close()

    def _ask(self, function: str, *args: Any, **options: Any) -> Any:
        """All rows of a query as text, in a frame of pandas."""
        vendor = self._login()
        try:
            result = getattr(vendor, function)(*args, **options)
        except (OSError, ValueError, IndexError) as error:  # an answer cut in the middle doesn't decode
            self.close()
            raise Busy(f"{function} broke off: {error}.") from None
        if result is None or result.error_code != "0":
            raise self._refused(function, result)
        rows = list(_rows(result))
        if result.error_code != "0" or len(result.data) == PAGE:  # a full last page is always followed by an empty one, unless that one failed
            raise self._refused(function, result)
        return package("pandas").DataFrame(rows, columns=result.fields)

    def _login(self) -> Any:
        """The package, logged in; a lost connection is made anew."""
        if self._package is None:
            vendor = package("baostock")
            with contextlib.suppress(VendorError):
                package("baostock.util.socketutil").socket = SimpleNamespace(socket=_Line, AF_INET=socket.AF_INET, SOCK_STREAM=socket.SOCK_STREAM)
            result = vendor.login()
            if result.error_code != "0":
                raise self._refused("login", result)
            self._package = vendor
        return self._package

    def _refused(self, function: str, result: Any) -> VendorError:
        code, message = (result.error_code, result.error_msg) if result is not None else ("?", "no answer")
        if code == "0" or str(code).startswith(PASSING) or "频繁" in str(message):
            self.close()
            return Busy(f"{function} was cut short ({code}: {message}).")
        return VendorError(f"{function} is refused ({code}: {message}).")


class _Line(socket.socket):
    """A socket that times out, and that says when the other end is gone."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.settimeout(30)

    def recv(self, *args: Any) -> bytes:
        """Bytes, at least one."""
        found = super().recv(*args)
        if not found:
            raise ConnectionError("the connection was closed")
        return found


def _rows(result: Any) -> Iterator[list[str]]:
    """The rows of every page."""
    while result.error_code == "0" and result.next():
        yield result.get_row_data()


def _bars(answer: Any, span: Span) -> pl.DataFrame:
    """Quotes in the columns of bars and caps; a suspended row has no volume, and prices at the last close."""
    found = within(no_repeats(read(answer, BARS, "baostock's bars"), ["date", "symbol"], "baostock"), span, "baostock")
    trading = pl.col("status") == "1"
    shares = pl.when(trading & (pl.col("turn") > 0)).then(pl.col("volume") / (pl.col("turn") / 100))
    return found.with_columns(
        pl.col("volume", "amount").fill_null(0.0),
        (pl.col("st") == "1").alias("is_st"),
        trading.alias("is_trading"),
        shares.alias("float_shares"),
    ).drop("turn", "status", "st")


def _list_days(span: Span) -> list[date]:
    """The days of a span on which lists of members are asked for: the first, each first of a month, each Monday after a review."""
    days = [span.start + timedelta(days=n) for n in range((span.end - span.start).days + 1)]
    return [day for day in days if day == span.start or day.day == 1 or (day.month in (6, 12) and day.weekday() == 0 and 11 <= day.day <= 17)]


def _quarters(span: Span) -> list[date]:
    """Ends of the quarters whose reports may be announced in the span."""
    ends = [date(year, month, day) for year in range(span.start.year - 1, span.end.year + 1) for month, day in ((3, 31), (6, 30), (9, 30), (12, 31))]
    return [end for end in ends if end < span.end and end + FILING >= span.start]
