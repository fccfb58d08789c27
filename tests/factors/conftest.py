"""A hand-made market with every table: 16 stocks over 340 sessions, with suspensions, limits, a listing, a delisting, dividends, a split and news."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from data import calendar
from data.completion import completed
from data.events import NAMES
from data.mapping import Mapping
from data.panel import Axes, Floats
from data.validation import validated
from factors.build import values
from factors.compute import Computer
from factors.expressions import Expr
from factors.panel import Panel, build_panel
from factors.registry import select
from factors.statements import ITEMS

Tables = dict[str, pl.DataFrame]
INDEX = "000905.SH"
SESSIONS = 340
SYMBOLS = [f"00000{n}.SZ" for n in range(1, 5)] + [f"{300750 + n}.SZ" for n in range(3)] + [f"{600000 + n}.SH" for n in range(9)]  # as sorted
SUSPENDED = {3: slice(100, 130), 5: slice(300, 304)}  # stock: sessions
LISTED, DELISTED = (7, 60), (8, 250)  # stock, session
DIVIDEND, SPLIT = (0, 200), (1, 220)


@pytest.fixture(scope="session")
def tables() -> Tables:
    return _tables()


@pytest.fixture(scope="session")
def panel(tables: Tables) -> Panel:
    return build_panel(tables)


@pytest.fixture(scope="session")
def library_values(panel: Panel) -> dict[str, np.ndarray]:
    """Every factor of the library over the market, [D, N] each."""
    return values(select(), panel)


@pytest.fixture(scope="session")
def histories(panel: Panel) -> dict[tuple[int, int], dict[str, Floats]]:
    """{(session, stock): {column: its values up to that session}} for five cells: plain, suspended of late, split, and long suspended."""
    change = np.vstack([np.full((1, len(SYMBOLS)), np.nan), panel.columns["close"][1:] / panel.columns["last"][:-1] - 1])
    market = np.concatenate([[np.nan], np.nanmean(change[1:], axis=1)])[:, None]
    columns = {**panel.columns, "change": change, "market": market, **_crowd(panel), "residual": _residuals(change, market)}
    cells = [(339, 0), (320, 2), (310, 5), (290, 1), (260, 3)]
    return {(t, n): {name: values[: t + 1, n if values.shape[1] > 1 else 0] for name, values in columns.items()} for t, n in cells}


def _crowd(panel: Panel) -> dict[str, Floats]:
    """The market's mean turnover and amount."""
    turnover = panel.columns["volume"] / panel.columns["float_shares"]
    means = {"market_turnover": turnover, "market_amount": panel.columns["amount"]}
    return {name: np.nanmean(values, axis=1)[:, None] for name, values in means.items()}


def _residuals(change: Floats, market: Floats) -> Floats:
    """What the market leaves of each session's return by the slope of the 60 sessions that end with it."""
    found = np.full(change.shape, np.nan)
    for t in range(len(change)):
        y = change[max(0, t - 59) : t + 1]
        x = np.where(np.isnan(y), np.nan, market[max(0, t - 59) : t + 1])
        seen = np.isfinite(y).sum(axis=0)
        y0, x0 = y - np.nansum(y, axis=0) / np.maximum(seen, 1), x - np.nansum(x, axis=0) / np.maximum(seen, 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            slope = np.nansum(x0 * y0, axis=0) / np.nansum(x0 * x0, axis=0)
        found[t] = np.where(seen >= 30, change[t] - slope * market[t], np.nan)
    return found


@pytest.fixture(scope="session")
def panel_of() -> Callable[..., Panel]:
    """A panel of the columns given as [D, N] or [D, 1] arrays; every stock trades in every session."""
    return _panel_of


@pytest.fixture(scope="session")
def computed() -> Callable[..., Floats]:
    """Values of an expression over columns given as arrays."""

    def compute(expr: Expr, **columns: Floats) -> Floats:
        return Computer(_panel_of(**columns), [expr], threads=1)(expr)

    return compute


def _panel_of(**columns: Floats) -> Panel:
    shape = np.broadcast_shapes(*(values.shape for values in columns.values()))
    axes = Axes(tuple(_weekdays(shape[0])), tuple(f"{600000 + n}.SH" for n in range(shape[1])))
    return Panel(axes, {name: np.asarray(values, dtype=np.float64) for name, values in columns.items()}, np.ones(shape, dtype=bool))


def _weekdays(count: int) -> list[date]:
    days = (date(2018, 1, 1) + timedelta(days=n) for n in range(2 * count + 7))
    return [day for day in days if day.weekday() < 5][:count]


def _tables() -> Tables:
    days, rng = _weekdays(SESSIONS + 20), np.random.default_rng(17)
    sessions = calendar.table(days)
    raw = {"calendar": sessions, "bars": _bars(days[:SESSIONS], rng), "securities": _securities(days), **_caps(days[:SESSIONS], rng)}
    found = completed(raw, Mapping(price_basis="raw", tables={}))
    found |= {**_around(days, rng), **_news(days[:SESSIONS], rng)}
    return {name: validated(name, frame) for name, frame in found.items()}


def _bars(days: list[date], rng: np.random.Generator) -> pl.DataFrame:
    rows: list[dict[str, object]] = []
    market = rng.normal(0, 0.01, len(days))
    for n, symbol in enumerate(SYMBOLS):
        close = float(rng.integers(400, 4000)) / 100
        for t, day in enumerate(days):
            if (n == LISTED[0] and t < LISTED[1]) or (n == DELISTED[0] and t > DELISTED[1]):
                continue
            before = close
            if (n, t) == DIVIDEND:
                before = round(close - 0.3, 2)
            elif (n, t) == SPLIT:
                before = round(close / 2, 2)
            trading = not (n in SUSPENDED and SUSPENDED[n].start <= t < SUSPENDED[n].stop)
            st = n == 6 and t > 150
            most = 0.045 if st else 0.098
            moves = np.clip(market[t] * (0.5 + n / 10) + rng.normal(0, 0.02, 2), -most, most)
            close, first = (round(before * (1 + move), 2) if trading else before for move in moves)
            if trading and t % 97 == 3 * n and not st:
                close = (int(before * 100 + 0.5) * 11 + 5) // 10 / 100  # at the upper limit
            low, high = (round(edge, 2) for edge in (min(close, first) * (1 - 0.01 * trading * rng.random()), max(close, first)))
            volume = float(rng.integers(1_000, 90_000) * 100) if trading else 0.0
            prices = {"open": first, "high": high, "low": low, "close": close, "pre_close": before}
            traded = {"volume": volume, "amount": volume * (high + low + 2 * close) / 4, "is_trading": trading}
            rows.append({"date": day, "symbol": symbol, **prices, **traded, "is_st": st})
    return pl.DataFrame(rows)


def _securities(days: list[date]) -> pl.DataFrame:
    listed = {SYMBOLS[LISTED[0]]: days[LISTED[1]]}
    rows = {"symbol": SYMBOLS, "list_date": [listed.get(symbol) for symbol in SYMBOLS]}
    gone = [days[DELISTED[1] + 1] if n == DELISTED[0] else None for n in range(len(SYMBOLS))]
    return pl.DataFrame({**rows, "delist_date": gone}, schema_overrides={"list_date": pl.Date, "delist_date": pl.Date})


def _caps(days: list[date], rng: np.random.Generator) -> Tables:
    shape = (len(days), len(SYMBOLS))
    shares = np.tile(rng.integers(1, 40, len(SYMBOLS)) * 1e8, (len(days), 1))
    shares[SPLIT[1] :, SPLIT[0]] *= 2
    ratios = {name: rng.uniform(low, 40, shape) * rng.choice([1, 1, 1, -1], shape) for name, low in (("pe_ttm", 5), ("pcf_ttm", 3))}
    ratios |= {name: rng.uniform(0.5, 9, shape) for name in ("pb", "ps_ttm")}
    keys = {"date": np.repeat(np.array(days), len(SYMBOLS)).tolist(), "symbol": SYMBOLS * len(days)}
    panels = {"total_shares": shares, "float_shares": shares * rng.uniform(0.3, 0.9, len(SYMBOLS)), **ratios}
    return {"caps": pl.DataFrame({**keys, **{name: values.ravel() for name, values in panels.items()}})}


def _around(days: list[date], rng: np.random.Generator) -> Tables:
    """Tables beside the bars: index, members, industries, reports, dividends."""
    levels = 5000 * np.cumprod(1 + rng.normal(0, 0.012, SESSIONS))
    listed = [SYMBOLS[n] for n in range(len(SYMBOLS)) if n != LISTED[0]]
    paid = {"symbol": SYMBOLS[:2], "ex_date": [days[200], days[220]], "cash": [0.3, 0.0], "bonus": [0.0, 1.0], "transfer": [0.0, 0.0]}
    industries = pl.DataFrame({"symbol": SYMBOLS, "start": days[0], "code": ["a", "b"] * 8, "hindsight": False})
    moved = pl.DataFrame({"symbol": SYMBOLS[4], "start": days[150], "code": "b", "hindsight": False})
    return {
        "index_bars": pl.DataFrame({"date": days[:SESSIONS], "index": INDEX, "close": levels, "close_tr": levels * 1.1}),
        "members": pl.DataFrame({"date": days[0], "index": INDEX, "symbol": listed, "weight": 1 / len(listed)}),
        "industries": pl.concat([industries, moved]),
        "reports": _reports(),
        "dividends": pl.DataFrame({**paid, "announced_on": [days[190], days[210]]}),
    }


def _reports() -> pl.DataFrame:
    """25 quarters of every stock, filed 20 to 115 days after they end, one in eight restated within the year; losses and gaps among them."""
    rng, rows = np.random.default_rng(23), []
    for symbol in SYMBOLS:
        level = rng.uniform(1e8, 1e9)
        for place in range(25):
            year, quarter = 2013 + place // 4, place % 4 + 1
            flows = np.cumsum(level * rng.uniform(0.8, 1.4, 4))[quarter - 1] * np.array([1.0, 0.1, 0.12, 0.3]) * rng.uniform(0.3, 1.7, 4)
            signs = np.array([1.0, rng.choice([1, 1, 1, 1, -1]), rng.choice([1, 1, 1, -1]), 1.0])
            assets = level * rng.uniform(4, 6)
            figures = [*(flows * signs), *(assets * rng.uniform(0.1, 0.5, 4) * [1, 0, 1, 1] + [0, assets, 0, 0])]
            period = date(year + quarter // 4, quarter * 3 % 12 + 1, 1) - timedelta(days=1)
            said = period + timedelta(days=int(rng.integers(20, 116)))
            filed = {"symbol": symbol, "period_end": period, "announced_on": said, "revision": 0}
            row = filed | dict(zip(ITEMS, figures, strict=True))
            rows.append(row)
            if rng.random() < 0.125:
                rows.append(row | {"announced_on": said + timedelta(days=200), "revision": 1, "net_profit": figures[1] * 0.8})
    missing = (SYMBOLS[10], date(2018, 3, 31))
    return pl.DataFrame([row for row in rows if (row["symbol"], row["period_end"]) != missing])


def _news(days: list[date], rng: np.random.Generator) -> Tables:
    """About one item a session, at any hour of any day, a third of them about two stocks."""
    zone, count = ZoneInfo("Asia/Shanghai"), 400
    minutes = np.sort(rng.integers(0, (days[-1] - days[0]).days * 1440, count))
    moments = [datetime(days[0].year, days[0].month, days[0].day, tzinfo=zone) + timedelta(minutes=int(minute)) for minute in minutes]
    named = [sorted(rng.choice(SYMBOLS, 1 + (n % 3 == 0), replace=False).tolist()) for n in range(count)]
    news = pl.DataFrame({"id": [f"{n:04}" for n in range(count)], "published_at": moments, "symbols": named, "title": "a title"})
    scores = news.select("id", pl.col("symbols").alias("symbol")).explode("symbol").with_columns(scorer=pl.lit("plain"))
    told = pl.Series("event", [NAMES[place % len(NAMES)] for place in range(scores.height)])
    return {
        "news": news.with_columns(pl.col("published_at").dt.convert_time_zone("Asia/Shanghai")),
        "news_scores": scores.with_columns(pl.Series("score", rng.uniform(-1, 1, scores.height)), told),
    }
