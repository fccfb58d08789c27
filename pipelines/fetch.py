"""Fetching at the desk: which sources are asked, and up to which session."""

import time
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from data.errors import KestrelError
from data.fetch import DEFAULT, EXTRA, Wish, fetch, held_since
from data.lake import Lake
from data.sources.akshare import Akshare
from data.sources.baostock import Baostock
from data.sources.chain import Chain
from data.sources.source import Source
from data.sources.tushare import Tushare, token
from data.symbols import symbol
from pipelines.config import Config

SOURCES: dict[str, type[Source]] = {"tushare": Tushare, "baostock": Baostock, "akshare": Akshare}
PUBLISHED = 18  # o'clock in Shanghai, when vendors have the session's bars


def chain_of(name: str) -> Chain:
    """The sources of a name: one, or with 'auto' all of them, tushare first where TUSHARE_TOKEN is set."""
    if name not in ("auto", *SOURCES):
        raise KestrelError(f"'{name}' is not a source. There are: auto, {', '.join(SOURCES)}.")
    names = [name] if name != "auto" else [known for known in SOURCES if known != "tushare" or token()]
    return Chain([SOURCES[known]() for known in names], sleep=time.sleep)


def published(now: datetime | None = None) -> date:
    """The last day whose bars vendors have by now."""
    here = (now or datetime.now(ZoneInfo("Asia/Shanghai"))).astimezone(ZoneInfo("Asia/Shanghai"))
    return here.date() - timedelta(days=0 if here.hour >= PUBLISHED else 1)


def wished(lake: Lake, tables: tuple[str, ...], since: date | None, index: str, symbols: str) -> Wish:
    """The wish of a command line: symbols in any spelling; without a first day, the lake's own."""
    unknown = [name for name in tables if name not in (*DEFAULT, *EXTRA)]
    if unknown:
        raise KestrelError(f"'{unknown[0]}' can't be fetched. There are: {', '.join((*DEFAULT, *EXTRA))}; calendar and securities come with each.")
    stocks = [word.strip() for word in symbols.split(",") if word.strip()]
    first = since or held_since(lake)
    wish = Wish(
        index=None if index == "none" else symbol(index),
        symbols=tuple(sorted({"all" if word == "all" else symbol(word) for word in stocks})),
        tables=tables or DEFAULT,
    )
    return wish.model_copy(update={"since": first}) if first else wish


def fetched(lake: Lake, config: Config, day: date) -> list[str]:
    """Bring the lake up to a session by the config's source, news too where it holds any; what was left out, as sentences."""
    news = ("news",) if lake.has("news") and config.batch.news != "ignore" else ()
    outcome = fetch(lake, chain_of(config.batch.source), wished(lake, (*DEFAULT, *news), None, config.universe.index, ""), until=day)
    return [] if outcome is None else outcome.notes
