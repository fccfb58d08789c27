"""Tushare Pro: bars with limits and suspensions, names by date, weights, statements by announcement.  Read from tushare 1.4.29.

Units: `vol` is lots, `amount` thousands of CNY, shares ten thousands, `weight` percent, statements CNY, dividends per share; dates are
20240102, codes 600000.SH.  The token comes from TUSHARE_TOKEN alone: the package's own `set_token` writes it into the home folder, so it
isn't used, and every message of the vendor is cleared of it.  The package turns an HTTP error into a frame without columns: that is Busy.
The factor isn't asked for: `pre_close` is the ex-rights reference, so close / next pre_close is the same and mixes with other sources.
"""

import os
from datetime import date
from typing import Any, ClassVar

import polars as pl

from data.sources.source import Busy, Columns, Kind, Source, Span, VendorError, no_repeats, package, read, within

LOT, THOUSAND, TEN_THOUSAND, PERCENT = 100.0, 1e3, 1e4, 0.01
NO_LIMIT = 10_000.0  # a limit price from here on, or 0, means that there is none
PAGE = 5000  # rows asked for at once
SHORT = 1000  # a page below this is the last: no limit of the vendor's is as low
BORROWED = ("st_borr", "lt_borr", "bond_payable", "non_cur_liab_due_1y")  # what bears interest
KEY: Columns = {"date": ("trade_date", "day"), "symbol": ("ts_code", "symbol")}


def token() -> str:
    """The token of the environment, empty where there is none."""
    return os.environ.get("TUSHARE_TOKEN", "").strip()


def _numbers(*names: str, **renamed: str) -> Columns:
    """Columns of numbers under the vendor's names, or renamed: ours = vendor's."""
    kind: Kind = "number"
    return {name: (name, kind) for name in names} | {ours: (vendors, kind) for ours, vendors in renamed.items()}


class Tushare(Source):
    """Tushare Pro, with the rights that the token has."""

    name: ClassVar[str] = "tushare"
    pause: ClassVar[float] = 1.0  # a call takes four requests, and 200 a minute are allowed

    def __init__(self) -> None:
        self._names: pl.DataFrame | None = None

    def calendar(self, span: Span) -> pl.DataFrame:
        """Sessions of Shanghai."""
        columns: Columns = {"date": ("cal_date", "day"), "is_open": ("is_open", "number")}
        days = self._ask("trade_cal", columns, exchange="SSE", **_days(span))
        return within(days.filter(pl.col("is_open") == 1).select("date"), span, "tushare")

    def securities(self) -> pl.DataFrame:
        """Shares listed, delisted and paused."""
        columns: Columns = {"symbol": ("ts_code", "symbol"), "name": ("name", "text")}
        dates: Columns = {"list_date": ("list_date", "day"), "delist_date": ("delist_date", "day")}
        return pl.concat([self._ask("stock_basic", columns | dates, list_status=status) for status in ("L", "D", "P")]).unique("symbol", keep="first")

    def bars(self, stock: str, span: Span) -> pl.DataFrame:
        """One stock's bars, caps and limits, with a row for each suspended session."""
        return within(self._quotes(ts_code=stock, **_days(span)), span, "tushare's bars")

    def market(self, day: date) -> pl.DataFrame:
        """The same of every stock on one session."""
        return within(self._quotes(trade_date=_written(day)), Span(day, day), "tushare's bars")

    def suspensions(self, day: date) -> pl.DataFrame:
        """Stocks that don't trade all session long; a halt of minutes is no suspension."""
        return self._suspended(trade_date=_written(day))

    def members(self, index: str, span: Span) -> pl.DataFrame:
        """Members with weights, by the vendor's monthly lists."""
        columns: Columns = {"date": ("trade_date", "day"), "symbol": ("con_code", "symbol"), "weight": ("weight", "number")}
        found = self._ask("index_weight", columns, index_code=index, **_days(span))
        listed = no_repeats(found.with_columns(pl.col("weight") * PERCENT, index=pl.lit(index)), ["date", "symbol"], "tushare's index_weight")
        return within(listed, span, "tushare's index_weight")

    def index_bars(self, index: str, span: Span) -> pl.DataFrame:
        """A price index."""
        columns: Columns = {"date": KEY["date"]} | _numbers("open", "high", "low", "close")
        return within(self._ask("index_daily", columns, ts_code=index, **_days(span)), span, "tushare").with_columns(index=pl.lit(index))

    def total_returns(self, index: str, span: Span) -> pl.DataFrame:
        """The index with dividends: 000905.SH is H00905.CSI."""
        columns: Columns = {"date": KEY["date"]} | _numbers(close_tr="close")
        found = self._ask("index_daily", columns, ts_code=f"H{index[1:6]}.CSI", **_days(span))
        return within(found, span, "tushare").with_columns(index=pl.lit(index))

    def dividends(self, stock: str, span: Span) -> pl.DataFrame:
        """Payouts carried out, by ex-date; announced_on is the day of the notice that carries them out."""
        dates: Columns = {"ex_date": ("ex_date", "day"), "record_date": ("record_date", "day"), "pay_date": ("pay_date", "day")}
        columns: Columns = {"symbol": ("ts_code", "symbol"), "stage": ("div_proc", "text"), "announced_on": ("imp_ann_date", "day")}
        amounts = _numbers(cash="cash_div_tax", bonus="stk_bo_rate", transfer="stk_co_rate")
        found = self._ask("dividend", columns | dates | amounts, ts_code=stock)
        paid = found.filter(pl.col("stage") == "实施", pl.col("ex_date").is_between(span.start, span.end)).drop("stage")
        return paid.with_columns(pl.col("cash", "bonus", "transfer").fill_null(0.0))

    def reports(self, stock: str, span: Span) -> pl.DataFrame:
        """Statements by their actual announcement (f_ann_date), restatements as rows of their own."""
        key: Columns = {"symbol": ("ts_code", "symbol"), "period_end": ("end_date", "day"), "announced_on": ("f_ann_date", "day")}
        figures = {
            "income": _numbers(revenue="revenue", net_profit="n_income_attr_p", cost="oper_cost"),
            "balancesheet": _numbers(*BORROWED, equity="total_hldr_eqy_exc_min_int", total_assets="total_assets", cash="money_cap"),
            "cashflow": _numbers(operating_cash_flow="n_cashflow_act"),
        }
        frames = []
        for api, columns in figures.items():
            found = self._ask(api, key | columns | _numbers("update_flag"), ts_code=stock, report_type="1", **_days(span))
            newest = found.drop_nulls(list(key)).sort("update_flag", nulls_last=False).unique(list(key), keep="last").drop("update_flag")
            frames.append(newest)
        joined = frames[0]
        for frame in frames[1:]:
            joined = joined.join(frame, on=list(key), how="full", coalesce=True)
        owed = pl.any_horizontal(pl.col(BORROWED).is_not_null())  # a line that is absent is none, a sheet that is absent is unknown
        items = [(pl.col("revenue") - pl.col("cost")).alias("gross_profit"), pl.when(owed).then(pl.sum_horizontal(BORROWED)).alias("debt")]
        filed = joined.filter(pl.col("announced_on").is_between(span.start, span.end))
        return filed.with_columns(items).drop("cost", *BORROWED).sort(list(key))

    # -- bars out of five answers

    def _quotes(self, **asked: str) -> pl.DataFrame:
        """Bars with caps, limits, flags and suspended rows of what is asked: a stock's span, or a day."""
        daily = self._ask("daily", KEY | _numbers("open", "high", "low", "close", "pre_close", "vol", "amount"), **asked)
        sized = _numbers("pe_ttm", "pb", "ps_ttm", total_shares="total_share", float_shares="float_share")
        caps = self._ask("daily_basic", KEY | sized, **asked).with_columns(pl.col("total_shares", "float_shares") * TEN_THOUSAND)
        limits = self._ask("stk_limit", KEY | _numbers(limit_up="up_limit", limit_down="down_limit"), **asked)
        key = list(KEY)
        for frame in (daily, caps, limits):
            no_repeats(frame, key, "tushare")
        none = (pl.col("limit_up") >= NO_LIMIT) | (pl.col("limit_up") <= 0)
        free = [pl.when(none).then(float("nan")).otherwise(name).alias(name) for name in ("limit_up", "limit_down")]
        traded = daily.with_columns((pl.col("vol") * LOT).alias("volume"), pl.col("amount") * THOUSAND, is_trading=pl.lit(True)).drop("vol")
        full = traded.join(caps, on=key, how="left").join(limits.with_columns(free), on=key, how="left")
        idle = self._suspended(**asked).join(full, on=key, how="anti").with_columns(is_trading=pl.lit(False))
        return self._flagged(pl.concat([full, idle], how="diagonal"))

    def _suspended(self, **asked: str) -> pl.DataFrame:
        found = self._ask("suspend_d", KEY | {"timing": ("suspend_timing", "text")}, suspend_type="S", **asked)
        return found.filter(pl.col("timing").is_null()).select("date", "symbol").unique()

    def _flagged(self, bars: pl.DataFrame) -> pl.DataFrame:
        """Bars with is_st: ST stands in the name of that day."""
        if self._names is None:
            columns: Columns = {"symbol": ("ts_code", "symbol"), "date": ("start_date", "day"), "name": ("name", "text")}
            self._names = self._ask("namechange", columns).drop_nulls().sort("date")
        named = bars.sort("date").join_asof(self._names, on="date", by="symbol", strategy="backward", check_sortedness=False)
        return named.with_columns(pl.col("name").str.contains("ST").fill_null(False).alias("is_st")).drop("name").sort("date", "symbol")

    # -- asking

    def _ask(self, api: str, columns: Columns, **asked: str) -> pl.DataFrame:
        """All pages of an answer.  Raises Busy where a page comes twice."""
        frames: list[pl.DataFrame] = []
        rows = 0
        while True:
            page = read(self._page(api, columns, limit=PAGE, offset=rows, **asked), columns, f"tushare's {api}")
            if frames and page.height and page.equals(frames[-1]):
                raise Busy(f"tushare's {api} sent a page twice.")
            frames.append(page)
            rows += page.height
            if page.height < SHORT:
                return pl.concat(frames)

    def _page(self, api: str, columns: Columns, **asked: Any) -> Any:
        secret = token()
        if not secret:
            raise VendorError("Tushare needs a token. Put it into the environment: export TUSHARE_TOKEN=… (it is written nowhere).")
        vendor = package("tushare")
        fields = ",".join(vendors for vendors, _ in columns.values())
        try:
            found = vendor.pro_api(secret, timeout=30).query(api, fields=fields, **asked)
        except Exception as error:  # the package raises bare Exceptions with the vendor's message
            raise _refused(api, str(error).replace(secret, "***"), isinstance(error, OSError | ValueError)) from None
        if not len(found.columns):
            raise Busy(f"tushare's {api}: the server answered with an error.")
        return found


def _refused(api: str, message: str, broken: bool) -> VendorError:
    """What an error of the vendor's means: limits by the minute pass, those by the day and missing rights don't."""
    if "每分钟" in message:
        return Busy(f"tushare's {api}: {message}", after=60.0)
    if broken or "频繁" in message or "too many" in message.lower() or "timed out" in message.lower():
        return Busy(f"tushare's {api}: {message}")
    return VendorError(f"tushare's {api}: {message}")


def _written(day: date) -> str:
    return day.strftime("%Y%m%d")


def _days(span: Span) -> dict[str, str]:
    return {"start_date": _written(span.start), "end_date": _written(span.end)}
