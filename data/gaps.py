"""What a lake lacks of what is wished for: after which day, of which stock, of which month."""

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from data.calendar import Sessions
from data.lake import Lake
from data.sources.source import Span
from data.tables import TABLES

DAY = timedelta(days=1)


def after(lake: Lake, name: str, index: str | None = None) -> date | None:
    """The first day after the lake's rows of a table (of an index); None where there are none."""
    if not lake.has(name):
        return None
    rows = lake.scan(name).filter(pl.col("index") == index) if index else lake.scan(name)
    last = rows.select(pl.col("date").max()).collect().item()
    return None if last is None else last + DAY


def stock_spans(lake: Lake | None, stocks: Sequence[str], securities: pl.DataFrame, sessions: Sessions, wished: Span) -> dict[str, Span]:
    """Of each stock what follows its last bar, all of the wished span where there is none, nothing where it isn't listed then.

    lake: None where its bars don't go back as far as is wished.
    """
    lasts: dict[str, date] = {}
    if lake is not None and lake.has("bars"):
        lasts = dict(lake.scan("bars").group_by("symbol").agg(pl.col("date").max()).collect().iter_rows())
    listings = {stock: (listed, delisted) for stock, listed, delisted in securities.select("symbol", "list_date", "delist_date").iter_rows()}
    spans = {}
    for stock in stocks:
        listed, delisted = listings.get(stock, (None, None))
        left = sessions.between(lasts[stock] + DAY if stock in lasts else wished.start, wished.end)
        gone = delisted is not None and left and delisted <= left[0]
        to_come = listed is not None and listed > wished.end
        if left and not gone and not to_come:
            spans[stock] = Span(left[0], wished.end)
    return spans


def last_bars(lake: Lake, spans: dict[str, Span]) -> pl.DataFrame:
    """The lake's last bar of each stock before its span."""
    if not lake.has("bars"):
        return TABLES["bars"].create_empty()
    starts = pl.LazyFrame({"symbol": list(spans), "start": [span.start for span in spans.values()]}, schema={"symbol": pl.String, "start": pl.Date})
    rows = lake.scan("bars").join(starts, on="symbol").filter(pl.col("date") < pl.col("start"))
    return rows.filter(pl.col("date") == pl.col("date").max().over("symbol")).drop("start").collect()


def months(span: Span) -> list[Span]:
    """A span cut at the turns of months."""
    found = []
    start = span.start
    while start <= span.end:
        end = (start.replace(day=28) + timedelta(days=4)).replace(day=1) - DAY
        found.append(Span(start, min(end, span.end)))
        start = end + DAY
    return found
