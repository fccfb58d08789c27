"""What dividends and splits do to prices: the ex-rights reference price and the cumulative factor, from the exchange's own rule."""

import polars as pl


def paid(bars: pl.DataFrame, dividends: pl.DataFrame) -> pl.DataFrame:
    """(date, symbol, cash, shares) a share, on the first bar of each stock on or after the ex-date; `shares` counts bonus and transfer."""
    days = bars.select("symbol", "date").with_columns(pl.col("date").alias("bar")).sort("date")
    moved = dividends.sort("ex_date").join_asof(
        days, left_on="ex_date", right_on="date", by="symbol", strategy="forward", coalesce=False, check_sortedness=False
    )
    # An ex-date before the stock's first bar or after its last is none of these bars'.
    first = days.group_by("symbol").agg(pl.col("bar").min().alias("first"))
    inside = moved.join(first, on="symbol").filter(pl.col("bar").is_not_null(), pl.col("ex_date") > pl.col("first"))
    totals = inside.group_by("bar", "symbol").agg(pl.col("cash").sum(), (pl.col("bonus") + pl.col("transfer")).sum().alias("shares"))
    return totals.rename({"bar": "date"}).sort("date", "symbol")


def reference_prices(bars: pl.DataFrame, dividends: pl.DataFrame) -> pl.DataFrame:
    """(date, symbol, before, cash, shares, reference) of every ex-date: (close before - cash) / (1 + shares), half-up to the cent.

    bars: raw closes.  Source: the exchanges' trading rules (reference price on ex-rights and ex-dividend days); rights issues and payouts
    on some of the shares only aren't in `dividends`, so there the vendor's own pre_close knows more.
    """
    closes = bars.select("date", "symbol", pl.col("close").shift(1).over("symbol", order_by="date").alias("before"))
    found = paid(bars, dividends).join(closes, on=["date", "symbol"]).filter(pl.col("before").is_not_null())
    exact = (pl.col("before") - pl.col("cash")) / (1 + pl.col("shares"))
    # A float just below half a cent stands for the half cent.
    return found.with_columns(((exact * 100 + 0.5 + 1e-6).floor() / 100).alias("reference")).sort("date", "symbol")


def with_pre_close(bars: pl.DataFrame, dividends: pl.DataFrame | None) -> pl.DataFrame:
    """Raw bars with pre_close: the reference price on ex-dates, else the close before, on a stock's first row its open."""
    before = pl.col("close").shift(1).over("symbol", order_by="date").fill_null(pl.col("open"))
    if dividends is None or not dividends.height:
        return bars.with_columns(before.alias("pre_close"))
    references = reference_prices(bars, dividends).select("date", "symbol", "reference")
    joined = bars.join(references, on=["date", "symbol"], how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("reference", before).alias("pre_close")).drop("reference")


def cumulative() -> pl.Expr:
    """The cumulative factor: 1 on a stock's first row, times close before / pre_close on every later one; close * factor is a total return."""
    before = pl.col("close").shift(1).over("symbol", order_by="date")
    return (before / pl.col("pre_close")).fill_null(1.0).cum_prod().over("symbol", order_by="date")
