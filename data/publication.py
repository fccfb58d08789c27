"""When news is known: the later of published and first seen, plus what reading takes, and the session to whose row that belongs."""

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

ZONE = "Asia/Shanghai"


def known_at(news: pl.DataFrame, *, latency: timedelta = timedelta(0)) -> pl.Series:
    """The moment from which each piece is known, in the order of the rows.  Nobody knew a piece before it was first seen, whatever its date says."""
    seen = pl.max_horizontal("published_at", "first_seen") if "first_seen" in news.columns else pl.col("published_at")
    return news.select((seen + latency).alias("known_at")).to_series()


def sessions_known(news: pl.DataFrame, dates: Sequence[date], *, close_hour: int = 15, latency: timedelta = timedelta(0)) -> pl.DataFrame:
    """(id, symbols, date): the first session whose close, 15:00 in Shanghai, comes at or after the piece is known.

    News of after the close, of a holiday, or of a day without a time (its last second) belongs to the next session.  News older
    than the first session, or newer than the last close, is left out.
    """
    closes = pl.DataFrame({"date": dates}, schema={"date": pl.Date}).with_columns(
        (pl.col("date").cast(pl.Datetime("us")) + pl.duration(hours=close_hour)).dt.replace_time_zone(ZONE).alias("close_at")
    )
    first = pl.lit(closes["close_at"].min()) - pl.duration(hours=close_hour)  # older news was known before the sessions begin
    timed = news.select("id", "symbols", known_at(news, latency=latency)).filter(pl.col("known_at") >= first).sort("known_at", "id")
    joined = timed.join_asof(closes.sort("close_at"), left_on="known_at", right_on="close_at", strategy="forward")
    return joined.filter(pl.col("date").is_not_null()).select("id", "symbols", "date")
