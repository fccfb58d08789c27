"""The panel: the lake's tables as dense arrays [session, stock], one per column of factors/expressions.py, known at each close."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from data.errors import KestrelError
from data.events import EVENTS, GROUPS
from data.members import industries_panel
from data.panel import Axes, Floats, to_panel, to_panels
from data.publication import sessions_known
from factors.expressions import COLUMNS, MARKET
from factors.kernels import carry
from factors.statements import statement_panels

# The tables that a panel may read; a lake that lacks one lacks its columns.
TABLES = ("bars", "caps", "dividends", "news", "news_scores", "index_bars", "reports", "industries")
NEGATIVE = -0.25  # a score below it is nearer to bad than to neutral
AT_LIMIT = 1e-4  # a close this near its limit, relative, is at it: floats and half-cents


@dataclass(frozen=True)
class Panel:
    """columns: {name: [D, N], or [D, 1] for the market}, float64, NaN = null.  trading [D, N]: the stock traded that session."""

    axes: Axes
    columns: Mapping[str, Floats]
    trading: np.ndarray


def axes_of(bars: pl.DataFrame, calendar: pl.DataFrame) -> Axes:
    """Every session of the calendar between the first and the last bar, and every stock with a bar."""
    days = bars["date"]
    sessions = calendar.filter(pl.col("date").is_between(days.min(), days.max())).sort("date")["date"].to_list()
    return Axes(tuple(sessions), tuple(bars["symbol"].unique().sort().to_list()))


def build_panel(tables: Mapping[str, pl.DataFrame], *, index: str = "000905.SH", latency: timedelta = timedelta(0)) -> Panel:
    """The panel of these tables: 'bars' and 'calendar' at least, the others where there are any; news_scores of one scorer."""
    axes = axes_of(tables["bars"], tables["calendar"])
    columns, trading = _from_bars(tables["bars"], axes)
    steps: dict[str, Callable[[pl.DataFrame], dict[str, Floats]]] = {
        "caps": lambda caps: _from_caps(caps, tables["bars"], axes),
        "dividends": lambda dividends: {"cash_dividend": _cash(dividends, axes)},
        "news": lambda news: _from_news(news, of_one_scorer(tables["news_scores"]) if "news_scores" in tables else None, axes, latency),
        "index_bars": lambda bars: _from_index(bars, index, axes),
        "reports": lambda reports: statement_panels(reports, axes, COLUMNS),
        "industries": lambda industries: _from_industries(industries, axes),
    }
    # A stock before its first bar is no part of any session: that it lists later, nobody knows.
    unlisted_DN = np.isnan(columns["last"])
    for name, step in steps.items():
        # No row of dividends says that none was paid; no row of anything else says nothing.
        if name in tables and (tables[name].height or name == "dividends"):
            found = step(tables[name])
            columns |= {name: values if name in MARKET else np.where(unlisted_DN, np.nan, values) for name, values in found.items()}
    unknown = set(columns) - set(COLUMNS)
    assert not unknown, unknown
    return Panel(axes, columns, trading)


def carried(values: Floats) -> Floats:
    """Nulls filled by the value before."""
    out = np.empty_like(values)
    carry(np.ascontiguousarray(values), out)
    return out


def _from_bars(bars: pl.DataFrame, axes: Axes) -> tuple[dict[str, Floats], np.ndarray]:
    """Prices times the cumulative factor, shares over it; null while suspended but for `last` and `raw_close`, which carry."""
    names = ["open", "high", "low", "close", "volume", "amount", "adj", "limit_up", "limit_down", "raw_close", "is_trading"]
    raw = to_panels(bars, names, axes)
    trading = (raw["is_trading"] == 1) & (raw["volume"] > 0)
    adj = raw["adj"]
    null_untraded = np.where(trading, 1.0, np.nan)
    columns = {name: raw[name] * adj * null_untraded for name in ("open", "high", "low", "close")}
    columns["volume"] = raw["volume"] / adj * null_untraded
    columns["amount"] = raw["amount"] * null_untraded
    with np.errstate(invalid="ignore", divide="ignore"):
        # Adjusted lakes hold volume = amount / vwap, so this is their vwap too (data/completion.py).
        columns["vwap"] = columns["amount"] / columns["volume"]
        up = raw["close"] >= raw["limit_up"] * (1 - AT_LIMIT)
        down = raw["close"] <= raw["limit_down"] * (1 + AT_LIMIT)
    columns["limit_up_hit"] = np.where(np.isfinite(raw["limit_up"]), up, 0.0) * null_untraded
    columns["limit_down_hit"] = np.where(np.isfinite(raw["limit_down"]), down, 0.0) * null_untraded
    columns["last"] = carried(raw["close"] * adj)
    if np.isfinite(raw["raw_close"]).any():
        columns["raw_close"] = carried(raw["raw_close"])
    return columns, trading


def _from_caps(caps: pl.DataFrame, bars: pl.DataFrame, axes: Axes) -> dict[str, Floats]:
    """Shares on the basis of the prices and the vendor's ratios, each carried to the next value; columns all null are left out."""
    names = [name for name in ("total_shares", "float_shares", "pe_ttm", "pb", "ps_ttm", "pcf_ttm") if caps[name].is_not_null().any()]
    panels = {name: carried(values) for name, values in to_panels(caps, names, axes).items()}
    adj = carried(to_panel(bars, "adj", axes))
    return {name: values / adj if name.endswith("_shares") else values for name, values in panels.items()}


def _cash(dividends: pl.DataFrame, axes: Axes) -> Floats:
    """Cash a share on its ex-date, 0 on every other session; an ex-date is known before its session opens."""
    paid = dividends.select(pl.col("ex_date").alias("date"), "symbol", "cash")
    return np.nan_to_num(to_panel(paid, "cash", axes))


def of_one_scorer(scores: pl.DataFrame, scorer: str | None = None) -> pl.DataFrame:
    """The rows of this scorer; with none named, all rows where one scorer made them.

    Raises KestrelError where several did and none is named, since no mean of theirs is what any of them meant, and for one that isn't there.
    """
    there = scores["scorer"].unique().sort().to_list()
    if scorer is None and len(there) > 1:
        raise KestrelError(f"news_scores holds the scores of {', '.join(there)}. Say whose factors are made of: --set factors.scorer={there[0]}")
    if scorer is not None and scorer not in there:
        raise KestrelError(f"news_scores holds no scores of {scorer}, but of {', '.join(there) or 'nobody'}. Score with it, or set factors.scorer.")
    return scores if scorer is None else scores.filter(pl.col("scorer") == scorer)


def _from_news(news: pl.DataFrame, scores: pl.DataFrame | None, axes: Axes, latency: timedelta) -> dict[str, Floats]:
    """News by the session at whose close they are known: how many, and of the scored ones how many, how good, how unlike, how many bad.

    Where the scorer tells events, how many report one of each group, too.  A stock without news counts 0 where the market has any that
    session; where it has none, the feed is silent and nobody knows.  So do scored news, and news read for events.
    """
    pieces = known_sessions(news, axes, latency=latency)
    known = pieces.explode("symbols").rename({"symbols": "symbol"})
    columns = {"news_count": _added(known, np.ones(known.height), axes) + _silent(pieces, axes)}
    if scores is not None and scores.height:
        scored = known.join(scores.select("id", "symbol", "score"), on=["id", "symbol"]).sort("date", "symbol", "id")
        score = scored["score"].to_numpy()
        parts = {"news_weight": np.ones(len(score)), "news_sum": score, "news_squares": score**2, "news_negative": score < NEGATIVE}
        added = {name: _added(scored, values.astype(np.float64), axes) for name, values in parts.items()}
        silent_D1 = _silent(pieces.join(scores, on="id", how="semi"), axes)
        columns |= {name: values + silent_D1 for name, values in added.items()}
        with np.errstate(invalid="ignore"):
            columns["news_tone"] = added["news_sum"] / added["news_weight"]
        if "event" in scores.columns and scores["event"].is_not_null().any():
            columns |= _events(pieces, known, scores.filter(pl.col("event").is_not_null()), axes)
    return columns


def _events(pieces: pl.DataFrame, known: pl.DataFrame, scores: pl.DataFrame, axes: Axes) -> dict[str, Floats]:
    """Items that report an event of each group; null in sessions without a piece that was read for events."""
    read = known.join(scores.select("id", "symbol", "event"), on=["id", "symbol"])
    groups = read["event"].replace_strict({name: event.group for name, event in EVENTS.items()}, default=None, return_dtype=pl.String)
    silent_D1 = _silent(pieces.join(scores, on="id", how="semi"), axes)
    ones = {group: read.filter(groups == group) for group in GROUPS}
    return {f"news_{group}": _added(rows, np.ones(rows.height), axes) + silent_D1 for group, rows in ones.items()}


def _silent(pieces: pl.DataFrame, axes: Axes) -> Floats:
    """0 in sessions that brought any piece, whomever it names, null in the others, [D, 1]: a stock listed later doesn't end a silence."""
    return np.where(np.isin(axes.days, pieces["date"].to_numpy().astype("datetime64[D]")), 0.0, np.nan)[:, None]


def _added(rows: pl.DataFrame, values: Floats, axes: Axes) -> Floats:
    """Sums [D, N] of the rows (date, symbol) of each cell, in the order of the rows: one cell's bits know of no other's."""
    days, stocks, on_axis = axes.positions(rows)
    cells = days[on_axis] * axes.shape[1] + stocks[on_axis]
    sums: Floats = np.bincount(cells, weights=values[on_axis], minlength=axes.shape[0] * axes.shape[1]).astype(np.float64)
    return sums.reshape(axes.shape)


def known_sessions(news: pl.DataFrame, axes: Axes, *, close_hour: int = 15, latency: timedelta = timedelta(0)) -> pl.DataFrame:
    """(id, symbols, date): the first session whose close, 15:00 in Shanghai, comes at or after the piece is known."""
    return sessions_known(news, axes.dates, close_hour=close_hour, latency=latency)


def _from_index(bars: pl.DataFrame, index: str, axes: Axes) -> dict[str, Floats]:
    """The index's close as one market-wide column, carried; nothing where the lake has another index."""
    closes = bars.filter(pl.col("index") == index).select("date", pl.col("index").alias("symbol"), "close")
    if not closes.height:
        return {}
    return {"index_close": carried(to_panel(closes, "close", Axes(axes.dates, (index,))))}


def _from_industries(industries: pl.DataFrame, axes: Axes) -> dict[str, Floats]:
    """The number of each stock's industry as known at the session; nothing where all that is known comes of hindsight."""
    numbers = industries_panel(industries, axes)
    return {} if numbers is None else {"industry": np.where(numbers >= 0, numbers, np.nan)}
