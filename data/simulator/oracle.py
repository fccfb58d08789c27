"""How well a score foretells returns, measured the same way for the oracle and for any model."""

import polars as pl


def coefficients(
    scores: pl.DataFrame, bars: pl.DataFrame, *, column: str = "expected", horizon: int = 5, members: pl.DataFrame | None = None
) -> pl.DataFrame:
    """(date, ic, rank_ic, stocks): the correlation over stocks of a score at the close with the return that follows it.

    scores: (date, symbol, column).  The return runs from the open of the next session over `horizon` sessions to an open,
    adjusted.  Left out: stocks that don't trade on the day or can't be bought at the next open (suspended, or opened at the
    upper limit), stocks that aren't members of the date where `members` is given, and dates on which the score doesn't vary.
    """
    price = pl.col("open") * pl.col("adj")
    buyable = pl.col("is_trading") & (pl.col("limit_up").is_null() | (pl.col("open") < pl.col("limit_up")))
    ahead = bars.sort("symbol", "date").select(
        "date",
        "symbol",
        (price.shift(-1 - horizon) / price.shift(-1) - 1).over("symbol").alias("ahead"),
        (pl.col("is_trading") & buyable.shift(-1).over("symbol")).alias("there"),
    )
    rows = scores.select("date", "symbol", score=column).join(ahead, on=["date", "symbol"]).filter("there", pl.col("ahead").is_not_null())
    if members is not None:
        rows = rows.join(members, on=["date", "symbol"], how="semi")
    by_date = rows.group_by("date").agg(
        pl.corr("score", "ahead").alias("ic"),
        pl.corr("score", "ahead", method="spearman").alias("rank_ic"),
        pl.len().alias("stocks"),
        pl.col("score").std().alias("spread"),
    )
    return by_date.filter(pl.col("spread") > 0).drop("spread").sort("date")
