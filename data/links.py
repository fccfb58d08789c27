"""Which companies a piece of news is about: those that its source names, else those found in it by code, short name and alias of that day."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from data.errors import KestrelError

# Short names that are also words, or that name who wrote the piece: they link only where they head it, as in 机器人：… or 机器人(300024).
WORDS = frozenset({"机器人", "太阳能", "中国电影", "同花顺", "东方财富", "新华网", "人民网", "大智慧"})
ALIASES = {"symbol": pl.String, "alias": pl.String, "start": pl.Date, "end": pl.Date}
_CODE = re.compile(r"(?<!\d)[03689]\d{5}(?!\d)")


@dataclass(frozen=True)
class Links:
    """Names and aliases and when they held, {name: [(symbol, first day, last day)]}; names by symbol; symbols by their six digits."""

    held: Mapping[str, list[tuple[str, date, date]]]
    called: Mapping[str, list[tuple[str, date, date]]]
    codes: Mapping[str, str]
    pattern: re.Pattern[str]

    def of(self, text: str, day: date) -> list[str]:
        """Symbols that the text names on that day, in the order of their first mention."""
        found: dict[str, int] = {}
        for code in _CODE.finditer(text):
            if code[0] in self.codes:
                found.setdefault(self.codes[code[0]], code.start())
        for name in self.pattern.finditer(text):
            if name[0] in WORDS and not (name.start() <= 1 and text[name.end() : name.end() + 1] in tuple("：:（(】")):
                continue
            for symbol, first, last in self.held[name[0]]:
                if first <= day <= last:
                    found[symbol] = min(found.get(symbol, name.start()), name.start())
        return sorted(found, key=lambda symbol: (found[symbol], symbol))

    def name(self, symbol: str, day: date) -> str | None:
        """What the company was called that day."""
        return next((name for name, first, last in self.called.get(symbol, ()) if first <= day <= last), None)


def links(securities: pl.DataFrame, names: pl.DataFrame | None = None, aliases: pl.DataFrame | None = None) -> Links:
    """Links out of the tables securities and names, and of aliases (symbol, alias, start, end; a null end holds on).

    Where a stock has dated names, the name that securities gives it isn't used: it may be a later one.
    """
    held: dict[str, list[tuple[str, date, date]]] = {}
    dated = _spans(names) if names is not None else []
    known = {symbol for symbol, *_ in dated}
    undated = [(symbol, name, date.min, date.max) for symbol, name in securities.select("symbol", "name").iter_rows() if name and symbol not in known]
    also = [] if aliases is None else [(s, name, first, last or date.max) for s, name, first, last in aliases.select(*ALIASES).iter_rows()]
    called: dict[str, list[tuple[str, date, date]]] = {}
    for symbol, name, first, last in [*dated, *undated]:
        called.setdefault(symbol, []).append((name, first, last))
    for symbol, name, first, last in [*dated, *undated, *also]:
        for spelling in {name, name.removeprefix("*")}:
            held.setdefault(spelling, []).append((symbol, first, last))
    codes = {symbol[:6]: symbol for symbol in securities["symbol"].to_list()}
    words = sorted((name for name in held if len(name) > 1), key=lambda name: (-len(name), name))
    return Links(held, called, codes, re.compile("|".join(map(re.escape, words)) or r"(?!)"))


def read_aliases(path: Path) -> pl.DataFrame:
    """The alias table of a CSV file; raises KestrelError where columns are missing."""
    try:
        return pl.read_csv(path, schema_overrides=ALIASES).select(*ALIASES)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise KestrelError(
            f"{path} is no table of aliases: {str(error).splitlines()[0]}. It needs {', '.join(ALIASES)}; an empty end holds on."
        ) from None


def linked(news: pl.DataFrame, found: Links) -> pl.DataFrame:
    """The news with the symbols that its texts name where the source names none."""
    missing = news.filter(pl.col("symbols").is_null() | (pl.col("symbols").list.len() == 0))
    if not missing.height:
        return news
    rows = missing.select("id", "title", "body", pl.col("published_at").dt.date().alias("day")).iter_rows()
    told = {id_: found.of(f"{title}\n{body or ''}", day) for id_, title, body, day in rows}
    about = pl.DataFrame({"id": list(told), "told": list(told.values())}, schema={"id": pl.String, "told": pl.List(pl.String)})
    return news.join(about, on="id", how="left", maintain_order="left").with_columns(pl.coalesce("told", "symbols").alias("symbols")).drop("told")


def _spans(names: pl.DataFrame) -> list[tuple[str, str, date, date]]:
    """(symbol, name, first day, last day) of every dated name: each holds until the next one of its stock begins."""
    ordered = names.sort("symbol", "start").with_columns(pl.col("start").shift(-1).over("symbol").alias("next"))
    return [
        (s, name, first, later - timedelta(days=1) if later else date.max)
        for s, name, first, later in ordered.select("symbol", "name", "start", "next").iter_rows()
    ]
