"""Gates: what a session's data must be like before orders are made of them."""

from datetime import date, timedelta
from typing import Any

import polars as pl

from data.calendar import Sessions
from data.checks import Finding, blocking, check
from data.errors import ChecksFailed
from data.lake import Lake
from pipelines.config import Config

DAILY = ("bars", "caps", "index_bars", "futures_bars")  # read for a window of sessions alone
WIDE = ("minute_bars", "factors", "scores", "news", "news_scores")  # checked when they are imported
FEWEST = 5  # stocks that may be missing in the smallest market
REPEATED = ("open", "high", "low", "close", "volume")


def gate(lake: Lake, config: Config, day: date) -> list[Finding]:
    """The findings of a session's data, none of them blocking.

    Raises ChecksFailed with the table of failures where one blocks: no bars or half of them, the bars of the session before once more, an
    index or futures that the config needs and nobody has, a news feed that is required and silent, or a blocking check of the tables.
    """
    tables = window(lake, day, config.batch.window)
    findings = [*_session(tables, config, day), *_needed(tables, config, day), *_news(lake, config, day), *check(tables, lake.price_basis)]
    failed = blocking(findings)
    if failed:
        raise ChecksFailed(
            f"{len(failed)} checks forbid orders from the close of {day}:\n{told(failed)}\nFetch the session again and rerun, or name another: --date"
        )
    return findings


def window(lake: Lake, day: date, sessions: int) -> dict[str, pl.DataFrame]:
    """The tables that are checked, as far as the close of `day`: daily ones of the last sessions, the rest whole."""
    dates = [each for each in Sessions.of(lake.read("calendar")).dates if each <= day]
    start = dates[max(len(dates) - sessions, 0)]
    found = {}
    for name in lake.tables():
        if name in DAILY:
            found[name] = lake.read(name, start=start, end=day)
        elif name == "members":
            lists = lake.read(name, end=day)
            in_force = lists.filter(pl.col("date") <= start)["date"].max()
            found[name] = lists.filter(pl.col("date") >= (start if in_force is None else in_force))
        elif name not in WIDE:
            found[name] = lake.read(name)
    return found


def told(findings: list[Finding]) -> str:
    """Findings as lines of a table."""
    return "\n".join(f"  {one.table}: {one.check}, {one.rows:,} rows, first {one.first}: {one.why}" for one in findings)


def _session(tables: dict[str, pl.DataFrame], config: Config, day: date) -> list[Finding]:
    """Whether the session is there, whole, and not the one before once more."""
    bars = tables["bars"]
    today, earlier = bars.filter(pl.col("date") == day), bars.filter(pl.col("date") < day)
    if today.is_empty():
        last = earlier["date"].max()
        return [
            _finding("session", "bars", 0, str(day), f"no stock has a bar; the lake ends on {last!s}: vendors have nothing yet, or weren't asked")
        ]
    before = earlier.filter(pl.col("date") == pl.col("date").max())
    gone = tables["securities"].filter(pl.col("delist_date") <= day)["symbol"].implode()
    missing = before.filter(~pl.col("symbol").is_in(today["symbol"].implode()), ~pl.col("symbol").is_in(gone))
    found = []
    if missing.height > max((1 - config.batch.coverage) * before.height, FEWEST if before.height > FEWEST else 0):
        why = f"{missing.height} of {before.height} stocks have no bar: a vendor that is half loaded"
        found.append(_finding("whole session", "bars", missing.height, f"{day} {missing['symbol'].sort()[0]}", why))
    traded = today.filter(pl.col("is_trading"))
    same = traded.join(before, on=["symbol", *REPEATED], how="semi")
    if same.height > config.batch.stale * max(traded.height, 1):
        why = f"{same.height} of {traded.height} bars repeat the session before, volume and all: a vendor that serves yesterday"
        found.append(_finding("fresh session", "bars", same.height, str(day), why))
    return found


def _needed(tables: dict[str, pl.DataFrame], config: Config, day: date) -> list[Finding]:
    """Whether what the strategy reads besides bars reaches the session."""
    wanted: dict[str, Any] = {}
    if config.backtest.guard or config.backtest.sleeves or config.backtest.hedge:
        wanted["index_bars"] = pl.col("index") == config.backtest.benchmark.index
    if config.backtest.hedge:
        wanted["futures_bars"] = pl.col("product") == config.backtest.hedge.product
    found = []
    for name, which in wanted.items():
        rows = tables[name].filter(which, pl.col("date") == day) if name in tables else None
        if rows is None or rows.is_empty():
            found.append(_finding("reaches the session", name, 0, str(day), "the config's strategy, guard or hedge reads it"))
    return found


def _news(lake: Lake, config: Config, day: date) -> list[Finding]:
    """Whether the news feed is alive."""
    rule = config.batch.news
    if rule == "ignore" or (rule == "warn" and not lake.has("news")):
        return []
    last = (
        lake.scan("news").select(pl.col("published_at").dt.date()).filter(pl.col("published_at") <= day).max().collect().item()
        if lake.has("news")
        else None
    )
    if last is not None and last >= day - timedelta(days=config.batch.news_days):
        return []
    why = f"the feed is silent since {last or 'ever'}: factors of news know nothing newer"
    return [Finding("news feed", "news", "blocking" if rule == "require" else "warning", 0, 1.0, str(last), why)]


def _finding(name: str, table: str, rows: int, first: str, why: str) -> Finding:
    return Finding(name, table, "blocking", rows, 1.0, first, why)
