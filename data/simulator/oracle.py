"""How well a score foretells returns, measured the same way for the oracle and for any model, and a model's share of what can be known."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

BARS = ("date", "symbol", "open", "adj", "limit_up", "limit_down", "is_trading")  # the columns of bars that are read here
FEWEST = 10  # stocks below which a session's correlation says nothing
# The oracle expects the next session; over several the kinds should be weighed by how long they last, which is worth 2 to 3 %.
SLACK = 0.1
SURE = 3.0  # standard errors
# Windows of h sessions overlap; Bartlett weights over h alone lose a quarter of the variance that this makes, over 4 h a twelfth.
LAGS = 4
CHEAT = "more than can be known: look-ahead"


def coefficients(
    scores: pl.DataFrame, bars: pl.DataFrame, *, column: str = "expected", horizon: int = 5, members: pl.DataFrame | None = None
) -> pl.DataFrame:
    """(date, ic, rank_ic, stocks): the correlation over stocks of a score at the close with the return that follows it.

    scores: (date, symbol, column).  See `following` for the returns.  Stocks that aren't members of the date are left out where
    `members` is given, and so are dates on which the score doesn't vary.
    """
    rows = scores.select("date", "symbol", score=column).join(following(bars, horizon), on=["date", "symbol"])
    if members is not None:
        rows = rows.join(members, on=["date", "symbol"], how="semi")
    by_date = rows.group_by("date").agg(*_correlations("score", "ic", "rank_ic"), pl.len().alias("stocks"), pl.col("score").std().alias("spread"))
    return by_date.filter(pl.col("spread") > 0).drop("spread").sort("date")


def following(bars: pl.DataFrame, horizon: int) -> pl.DataFrame:
    """(date, symbol, ahead): the return from the open of the next session over `horizon` sessions to an open, adjusted.

    Left out: stocks that don't trade on the day or at the next open, and those that open at a limit there, since what the limit keeps
    back is foretold by the limit and earned by nobody.
    """
    price = pl.col("open") * pl.col("adj")
    at_limit = (pl.col("open") >= pl.col("limit_up")) | (pl.col("open") <= pl.col("limit_down"))
    free = pl.col("is_trading") & ~at_limit.fill_null(False)
    ahead = bars.sort("symbol", "date").select(
        "date",
        "symbol",
        (price.shift(-1 - horizon) / price.shift(-1) - 1).over("symbol").alias("ahead"),
        (pl.col("is_trading") & free.shift(-1).over("symbol")).alias("there"),
    )
    return ahead.filter("there", pl.col("ahead").is_not_null()).drop("there")


def recovered(
    scores: pl.DataFrame, oracle: pl.DataFrame, bars: pl.DataFrame, *, horizon: int = 5, members: pl.DataFrame | None = None
) -> pl.DataFrame:
    """A row a model: how much of the oracle's IC and RankIC it reaches on the stocks and sessions that it scored.

    scores: (date, symbol, model, score).  oracle: the side table of the simulation.  bars: of the same market.  members: count these
    alone.  Columns: model, sessions, stocks (a session's mean); for ic and rank_ic each the model's mean and its standard error (_se),
    the oracle's mean on the same rows (oracle_), the model's share of it (share_) and the share's standard error (share_…_se);
    verdict: CHEAT where the model is surely better than the oracle by more than SLACK, else empty.  Standard errors are Newey and
    West's (1987) over LAGS x horizon sessions; shares are NaN where nothing was planted.
    """
    rows = scores.select("date", "symbol", "model", "score").join(oracle.select("date", "symbol", "expected"), on=["date", "symbol"])
    rows = rows.join(following(bars, horizon), on=["date", "symbol"])
    if members is not None:
        rows = rows.join(members, on=["date", "symbol"], how="semi")
    daily = rows.group_by("model", "date").agg(
        *_correlations("score", "ic", "rank_ic"), *_correlations("expected", "oracle_ic", "oracle_rank_ic"), pl.len().alias("stocks")
    )
    # a constant has no correlation: it knows nothing
    known = (
        daily.filter(pl.col("stocks") >= FEWEST)
        .with_columns(pl.col("ic", "rank_ic", "oracle_ic", "oracle_rank_ic").fill_nan(0.0))
        .sort("model", "date")
    )
    return pl.DataFrame(
        [_row(str(name[0]), group, LAGS * horizon) for name, group in known.partition_by("model", as_dict=True, maintain_order=True).items()]
    )


def _correlations(column: str, ic: str, rank_ic: str) -> tuple[pl.Expr, pl.Expr]:
    return pl.corr(column, "ahead").alias(ic), pl.corr(column, "ahead", method="spearman").alias(rank_ic)


def _row(model: str, daily: pl.DataFrame, lags: int) -> dict[str, str | int | float]:
    """One model's line."""
    row: dict[str, str | int | float] = {"model": model, "sessions": daily.height, "stocks": daily.select(pl.col("stocks").mean()).item()}
    cheats = False
    for name in ("ic", "rank_ic"):
        ours, oracle = daily[name].to_numpy(), daily[f"oracle_{name}"].to_numpy()
        most = float(oracle.mean())
        share = float(ours.mean()) / most if most > 0 else float("nan")
        row |= {name: float(ours.mean()), f"{name}_se": standard_error(ours, lags), f"oracle_{name}": most, f"share_{name}": share}
        row[f"share_{name}_se"] = standard_error(ours - share * oracle, lags) / most if most > 0 else float("nan")
        beyond = ours - (1 + SLACK) * oracle
        cheats |= float(beyond.mean()) > SURE * standard_error(beyond, lags)
    return row | {"verdict": CHEAT if cheats else ""}


def standard_error(daily_D: NDArray[np.float64], lags: int) -> float:
    """Standard error of the mean of a daily series whose neighbours overlap, with Bartlett weights over `lags`.  (Newey and West 1987)"""
    centred = daily_D - daily_D.mean()
    variance = float(centred @ centred)
    for lag in range(1, min(lags, len(centred) - 1) + 1):
        variance += 2 * (1 - lag / (lags + 1)) * float(centred[lag:] @ centred[:-lag])
    return float(np.sqrt(max(variance, 0.0))) / len(centred)
