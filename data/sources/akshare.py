"""AKShare: bars from Sina, else from Tencent; weights, total return, suspensions, industries by date, news.  Read from akshare 1.19.5.

Units, as its functions return them: Sina's and Tencent's volume in shares, amount in CNY, Tencent's turnover a fraction; dividends per
ten shares; weights in percent.  No ST history: a row's flag is that of the stock's last known row.  Suspended sessions have no row.
Members are those of the exchange's latest list alone, so they serve a daily update and no history.  akshare evaluates what Sina sends
as adjustment factors as Python, as it does elsewhere: who trusts neither leaves this source out.
"""

from datetime import date
from typing import Any, ClassVar

import polars as pl

from data.sources.source import Busy, Columns, Source, Span, VendorError, no_repeats, package, read, spelled, within
from data.symbols import symbol

PER_TEN, PERCENT = 0.1, 0.01
LEVELS: Columns = {"open": ("open", "number"), "high": ("high", "number"), "low": ("low", "number"), "close": ("close", "number")}
QUOTES: Columns = LEVELS | Columns(volume=("volume", "number"), amount=("amount", "number"))
# (function, argument, columns of code, name, listing and delisting)
LISTS = (
    ("stock_info_sh_name_code", "主板A股", ("证券代码", "证券简称", "上市日期", None)),
    ("stock_info_sh_name_code", "科创板", ("证券代码", "证券简称", "上市日期", None)),
    ("stock_info_sz_name_code", "A股列表", ("A股代码", "A股简称", "A股上市日期", None)),
    ("stock_info_bj_name_code", None, ("证券代码", "证券简称", "上市日期", None)),
    ("stock_info_sh_delist", "全部", ("公司代码", "公司简称", "上市日期", "暂停上市日期")),
    ("stock_info_sz_delist", "终止上市公司", ("证券代码", "证券简称", "上市日期", "终止上市日期")),
)
A_SHARE = r"^(60|68)\d{4}\.SH$|^(00|30)\d{4}\.SZ$|\.BJ$"


class Akshare(Source):
    """The public sites that akshare reads."""

    name: ClassVar[str] = "akshare"
    pause: ClassVar[float] = 1.0  # Sina and Eastmoney shut out who asks faster for long

    def __init__(self) -> None:
        self._tencent = False  # once Sina has failed, Tencent is asked first

    def calendar(self, span: Span) -> pl.DataFrame:
        """Sessions as Sina lists them."""
        return within(self._ask("tool_trade_date_hist_sina", {"date": ("trade_date", "day")}), span, "akshare's calendar")

    def securities(self) -> pl.DataFrame:
        """The exchanges' lists of shares, with those that left them."""
        frames = []
        for function, which, (code, name, listed, delisted) in LISTS:
            columns: Columns = {"code": (code, "text"), "name": (name, "text"), "list_date": (listed, "day")}
            dates: Columns = {"delist_date": (delisted, "day")} if delisted else {}
            frames.append(self._ask(function, columns | dates, **({"symbol": which} if which else {})))
        found = pl.concat(frames, how="diagonal").filter(pl.col("code").str.contains(r"^\d{6}$"))
        names = pl.col("code").map_elements(symbol, return_dtype=pl.String).alias("symbol")
        shares = found.select(names, pl.exclude("code")).filter(pl.col("symbol").str.contains(A_SHARE))
        return shares.sort("delist_date", nulls_last=False).unique("symbol", keep="last").sort("symbol")

    def bars(self, stock: str, span: Span) -> pl.DataFrame:
        """Raw bars from Sina or Tencent; pre_close is the last close by Sina's cumulative factors, to the cent."""
        sites = [self._tencent_bars, self._sina_bars] if self._tencent else [self._sina_bars, self._tencent_bars]
        try:
            found = sites[0](stock, span)
        except VendorError:
            found = sites[1](stock, span)
            self._tencent = not self._tencent
        factors = self._ask("stock_zh_a_daily", {"date": ("date", "day"), "factor": ("hfq_factor", "number")}, **_sina(stock), adjust="hfq-factor")
        rows = no_repeats(found, ["date"], "akshare's bars").sort("date").join_asof(factors.sort("date"), on="date", strategy="backward")
        factor = pl.col("factor").fill_null(1.0)
        before = (pl.col("close").shift(1) * factor.shift(1) / factor).round(2)
        told = rows.with_columns(before.fill_null(pl.col("open")).alias("pre_close"), symbol=pl.lit(stock), is_trading=pl.lit(True)).drop("factor")
        flags = told.with_columns(pl.lit(None, pl.Boolean).alias("is_st"))
        return flags.filter(pl.col("date").is_between(span.start, span.end))

    def suspensions(self, day: date) -> pl.DataFrame:
        """Stocks that don't trade all session long, by Eastmoney's list of the day."""
        columns: Columns = {
            "symbol": ("代码", "symbol"),
            "start": ("停牌时间", "day"),
            "end": ("停牌截止时间", "day"),
            "length": ("停牌期限", "text"),
        }
        found = self._ask("stock_tfp_em", columns, date=day.strftime("%Y%m%d")).filter(pl.col("symbol").str.contains(A_SHARE))
        now = (pl.col("start") <= day) & (pl.col("end") >= day).fill_null(True) & (pl.col("length") != "盘中停牌").fill_null(True)
        return found.filter(now).select(pl.lit(day).alias("date"), "symbol").unique()

    def members(self, index: str, span: Span) -> pl.DataFrame:
        """Members and weights of the exchange's latest list, if it is of the span; there is no older one."""
        columns: Columns = {"date": ("日期", "day"), "symbol": ("成分券代码", "symbol"), "weight": ("权重", "number")}
        found = self._ask("index_stock_cons_weight_csindex", columns, symbol=spelled(index, "600000"))
        listed = no_repeats(found, ["date", "symbol"], "akshare's weights").with_columns(pl.col("weight") * PERCENT, index=pl.lit(index))
        return listed.filter(pl.col("date").is_between(span.start, span.end))

    def index_bars(self, index: str, span: Span) -> pl.DataFrame:
        """A price index, from Sina."""
        columns: Columns = LEVELS | Columns(date=("date", "day"))
        return within(self._ask("stock_zh_index_daily", columns, **_sina(index)), span, "akshare's index").with_columns(index=pl.lit(index))

    def total_returns(self, index: str, span: Span) -> pl.DataFrame:
        """The index with dividends, from the index company: 000905 is H00905."""
        columns: Columns = {"date": ("日期", "day"), "close_tr": ("收盘", "number")}
        found = self._ask("stock_zh_index_hist_csindex", columns, symbol=f"H{index[1:6]}", **_compact(span))
        return within(found, span, "akshare's total return").with_columns(index=pl.lit(index))

    def dividends(self, stock: str, span: Span) -> pl.DataFrame:
        """Payouts carried out, from Sina, per ten shares there."""
        amounts: Columns = {"bonus": ("送股", "number"), "transfer": ("转增", "number"), "cash": ("派息", "number")}
        dates: Columns = {"announced_on": ("公告日期", "day"), "ex_date": ("除权除息日", "day"), "record_date": ("股权登记日", "day")}
        columns = amounts | dates | Columns(stage=("进度", "text"))
        found = self._ask("stock_history_dividend_detail", columns, symbol=spelled(stock, "600000"), indicator="分红")
        paid = found.filter(pl.col("stage") == "实施", pl.col("ex_date").is_between(span.start, span.end)).drop("stage")
        return paid.with_columns(pl.col("cash", "bonus", "transfer").fill_null(0.0) * PER_TEN, symbol=pl.lit(stock))

    def industries(self, span: Span) -> pl.DataFrame:
        """Shenwan's industries by the day on which a stock was put into them, up to the span's end."""
        columns: Columns = {"symbol": ("symbol", "symbol"), "start": ("start_date", "day"), "code": ("industry_code", "text")}
        found = self._ask("stock_industry_clf_hist_sw", columns).drop_nulls().filter(pl.col("start") <= span.end)
        return found.unique(["symbol", "start"], keep="last", maintain_order=True).with_columns(hindsight=pl.lit(False))

    def news(self, stock: str, span: Span) -> pl.DataFrame:
        """The latest news of Eastmoney's search, ten or so, with their clock in Shanghai."""
        columns: Columns = {"at": ("发布时间", "text"), "title": ("新闻标题", "text"), "body": ("新闻内容", "text"), "source": ("文章来源", "text")}
        found = self._ask("stock_news_em", columns, symbol=spelled(stock, "600000"))
        at = pl.col("at").str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us").dt.replace_time_zone("Asia/Shanghai")
        told = found.with_columns(at.alias("published_at"), pl.lit([stock]).alias("symbols")).drop("at")
        return told.filter(pl.col("published_at").dt.date().is_between(span.start, span.end))

    # -- asking

    def _sina_bars(self, stock: str, span: Span) -> pl.DataFrame:
        columns: Columns = QUOTES | Columns(date=("date", "day"), float_shares=("outstanding_share", "number"))
        whole = Span(date(1990, 1, 1), span.end)  # it sends the whole history anyway, and the last close before the span is needed
        return self._ask("stock_zh_a_daily", columns, **_sina(stock), **_compact(whole), adjust="")

    def _tencent_bars(self, stock: str, span: Span) -> pl.DataFrame:
        columns: Columns = QUOTES | Columns(date=("date", "day"), turnover=("turnover", "number"))
        days = {"start_date": f"{span.start.year - 1}-01-01", "end_date": str(span.end)}
        found = self._ask("stock_zh_a_hist_tx", columns, **_sina(stock), **days, adjust="", timeout=30)
        shares = pl.when(pl.col("turnover") > 0).then(pl.col("volume") / pl.col("turnover"))
        return found.with_columns(shares.alias("float_shares")).drop("turnover")

    def _ask(self, function: str, columns: Columns, **asked: Any) -> pl.DataFrame:
        """What one of akshare's functions returns, in our columns."""
        call = getattr(package("akshare"), function, None)
        if call is None:
            raise VendorError(f"akshare has no function {function} any more. Upgrade Kestrel.")
        if hasattr(call, "cache_clear"):
            call.cache_clear()  # some remember their first answer for as long as the process lives
        try:
            found = call(**asked)
        except (OSError, ValueError) as error:  # no connection, or a page that says 'too many requests' where data should be
            raise Busy(f"{function} broke off: {type(error).__name__}: {str(error)[:200]}.") from None
        except Exception as error:  # scraped pages fail in any way
            raise VendorError(f"{function} can't read its site any more: {type(error).__name__}: {str(error)[:200]}.") from None
        return read(found, columns, f"akshare's {function}")


def _sina(stock: str) -> dict[str, str]:
    return {"symbol": spelled(stock, "sh600000")}


def _compact(span: Span) -> dict[str, str]:
    return {"start_date": span.start.strftime("%Y%m%d"), "end_date": span.end.strftime("%Y%m%d")}
