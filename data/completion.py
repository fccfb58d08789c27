"""What a vendor leaves out of a table, computed from what it gives: calendar, securities, one price basis, limits, float shares."""

import hashlib
from collections.abc import Callable

import polars as pl

from data import calendar
from data.actions import cumulative, with_pre_close
from data.errors import KestrelError
from data.limits import with_limits
from data.mapping import Mapping
from data.names import is_st, one_code
from data.reports import numbered
from data.symbols import board_expr
from data.validation import refuse_nulls

# What every bar has, suspended or not.  Vendors leave the volume and amount of a suspended session empty.
KNOWN_ALWAYS = ("date", "symbol", "open", "high", "low", "close", "pre_close", "is_st", "is_trading")


def completed(raw: dict[str, pl.DataFrame], mapping: Mapping) -> dict[str, pl.DataFrame]:
    """The tables of a lake, with what a source leaves out computed: calendar, securities, adjustment, limits, float shares."""
    raw = one_code(dict(raw))
    tables = dict(raw)
    tables["calendar"] = calendar.table(raw["calendar"]["date"].drop_nulls().to_list()) if "calendar" in raw else calendar.seed()
    if "bars" in tables:
        refuse_nulls("bars", tables["bars"], [column for column in KNOWN_ALWAYS if column in tables["bars"].columns])
        bars = tables["bars"].sort("symbol", "date")
        if "names" in tables and "is_st" not in bars.columns:
            bars = bars.with_columns(is_st(bars, tables["names"]))
        bars = on_basis(bars, mapping.price_basis, tables.get("dividends"))
        tables["securities"] = with_boards(tables["securities"]) if "securities" in tables else listed(bars)
        ages = sessions_listed(bars, tables["securities"], tables["calendar"])
        tables["bars"] = with_limits(bars, ages, price_basis=mapping.price_basis)
    steps: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
        "caps": lambda frame: with_float_shares(on_price_basis(frame, tables.get("bars"), mapping.price_basis), tables.get("bars")),
        "dividends": one_per_ex_date,
        "reports": numbered,
        "members": lambda frame: on_sessions(frame, tables["calendar"]),
        "news": with_ids,
    }
    return {name: steps[name](frame) if name in steps else frame for name, frame in tables.items()}


def on_basis(bars: pl.DataFrame, price_basis: str, dividends: pl.DataFrame | None = None) -> pl.DataFrame:
    """Bars (sorted by symbol, date) whose prices and volume stand on one basis, with adj and raw_close.

    Adjusted: volume = amount / vwap with vwap = (high + low + 2 close) / 4, because the shares as traded beside an adjusted price
    would reveal later dividends and splits.  Raw: prices are rounded to what a tick can hold; where the source brings none, pre_close is
    the ex-rights reference price of the dividends, and adj grows by close / next pre_close.
    """
    if "pre_close" not in bars.columns:
        bars = with_pre_close(bars, one_per_ex_date(dividends) if dividends is not None and price_basis == "raw" else None)
    vwap = (pl.col("high") + pl.col("low") + 2 * pl.col("close")) / 4
    if "amount" not in bars.columns:
        bars = bars.with_columns((pl.col("volume") * vwap).alias("amount"))
    for column, value in (("is_st", False), ("is_trading", True)):
        if column not in bars.columns:
            bars = bars.with_columns(pl.lit(value).alias(column))
    prices = ["open", "high", "low", "close", "pre_close"]
    bars = bars.with_columns(pl.col([*prices, "amount", "volume"]).cast(pl.Float64))
    bars = bars.with_columns(pl.when("is_trading").then(pl.col(column)).otherwise(0.0).alias(column) for column in ("amount", "volume"))
    if price_basis == "adjusted":
        found = bars.with_columns(pl.lit(1.0).alias("adj"), pl.when("is_trading").then(pl.col("amount") / vwap).otherwise(0.0).alias("volume"))
        return found if "raw_close" in bars.columns else found.with_columns(pl.lit(None, pl.Float64).alias("raw_close"))
    bars = bars.with_columns(pl.col(prices).round(4)).with_columns(pl.col("close").alias("raw_close"))
    if "adj" in bars.columns:
        return bars
    return bars.with_columns(cumulative().alias("adj"))


def listed(bars: pl.DataFrame) -> pl.DataFrame:
    """Securities as far as bars tell: a stock whose first bar comes after the first session of all was listed that day."""
    first = bars["date"].min()
    spans = bars.group_by("symbol").agg(pl.col("date").min().alias("start")).sort("symbol")
    return spans.select("symbol", board_expr().alias("board"), pl.when(pl.col("start") > first).then("start").alias("list_date"))


def with_boards(securities: pl.DataFrame) -> pl.DataFrame:
    """Securities with the board that the symbol tells and a listing date, null where the source has none."""
    missing = [] if "list_date" in securities.columns else [pl.lit(None, pl.Date).alias("list_date")]
    return securities.with_columns(board_expr().alias("board"), *missing)


def sessions_listed(bars: pl.DataFrame, securities: pl.DataFrame, sessions: pl.DataFrame) -> pl.Series:
    """Sessions since listing of each bar, 0 on the first; null where the listing day is unknown, before the calendar or after the bar."""
    dates = bars.select("date", "symbol").join(securities.select("symbol", "list_date"), on="symbol", how="left", maintain_order="left")
    days = sessions["date"]
    age = pl.Series(days.search_sorted(dates["date"]), dtype=pl.Int64) - pl.Series(days.search_sorted(dates["list_date"]), dtype=pl.Int64)
    return dates.select(pl.when(pl.col("list_date").is_between(days.min(), pl.col("date"))).then(age)).to_series()


def on_price_basis(caps: pl.DataFrame, bars: pl.DataFrame | None, price_basis: str) -> pl.DataFrame:
    """Caps whose share counts, as traded in the source, stand on the basis of the prices, so that close * shares is CNY.

    Shares as traded beside an adjusted price would reveal later dividends and splits; the close as traded tells by how much.
    """
    shares = [column for column in ("total_shares", "float_shares") if column in caps.columns]
    if not shares or price_basis == "raw":
        return caps
    if bars is None or bars["raw_close"].is_null().all():
        raise KestrelError(f"[caps] maps {' and '.join(shares)}: of no use beside adjusted prices without raw_close. Map that too, or turnover.")
    both = caps.join(bars.select("date", "symbol", "close", "raw_close"), on=["date", "symbol"], how="left", maintain_order="left")
    return both.with_columns(pl.col(shares) * pl.col("raw_close") / pl.col("close")).drop("close", "raw_close")


def with_float_shares(caps: pl.DataFrame, bars: pl.DataFrame | None) -> pl.DataFrame:
    """Caps with float_shares = volume / turnover where the source gives turnover; sessions without trade have no row to know it by."""
    if "turnover" not in caps.columns:
        return caps
    if bars is None:
        raise KestrelError("[caps] maps turnover, but there are no bars whose volume it divides. Map [bars] too.")
    both = caps.join(bars.select("date", "symbol", "volume"), on=["date", "symbol"], how="inner").filter(pl.col("turnover") > 0, pl.col("volume") > 0)
    return both.with_columns((pl.col("volume") / pl.col("turnover")).alias("float_shares")).drop("volume", "turnover")


def one_per_ex_date(dividends: pl.DataFrame) -> pl.DataFrame:
    """One row a stock and ex-date: identical payouts count once, different ones add up; plans without an ex-date are left out."""
    paid = dividends.filter(pl.col("ex_date").is_not_null()).unique(
        ["symbol", "ex_date", "cash", "bonus", "transfer"], keep="first", maintain_order=True
    )
    amounts = [pl.col("cash", "bonus", "transfer").sum()]
    dates = [pl.col(column).drop_nulls().max() for column in ("announced_on", "record_date", "pay_date") if column in paid.columns]
    return paid.group_by("symbol", "ex_date").agg(*amounts, *dates).sort("symbol", "ex_date")


def on_sessions(members: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Members dated by the first session on or after the source's date: known at that close; of two lists for a session the later holds."""
    days = sessions.select(pl.col("date").alias("session_date")).sort("session_date")
    moved = members.sort("date").join_asof(days, left_on="date", right_on="session_date", strategy="forward")
    latest = moved.filter(pl.col("date") == pl.col("date").max().over("session_date", "index"))
    return latest.with_columns(pl.col("session_date").alias("date")).drop("session_date")


def with_ids(news: pl.DataFrame) -> pl.DataFrame:
    """News with one row an item: an id from time, symbols and title where the source has none, titleless rows left out."""
    news = news.filter(pl.col("title").is_not_null())
    if "id" in news.columns:
        return news
    text = pl.format("{}|{}|{}", pl.col("published_at").dt.to_string(), pl.col("symbols").list.join(","), "title")
    made = news.with_columns(text.map_elements(lambda t: hashlib.sha256(t.encode()).hexdigest()[:16], return_dtype=pl.String).alias("id"))
    return made.unique("id", keep="first", maintain_order=True)
