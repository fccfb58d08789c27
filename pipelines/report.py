"""Report: one account of a backtest as an HTML page with plots, and the same numbers as JSON."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from backtest.benchmark import BenchmarkSettings
from backtest.exposures import Exposures, exposures
from backtest.market import Market
from backtest.orders import next_orders
from backtest.report.document import write_report
from backtest.report.sheet import Comparison, Outlook, Sheet, Signals
from backtest.result import Result
from backtest.strategies import due
from data.calendar import Sessions
from data.errors import KestrelError
from data.lake import Lake
from data.members import drifted_panel, industries_panel
from data.panel import Axes, to_panel, to_panels
from factors.evaluate import quantile_returns
from factors.judge import daily_rank_ic
from factors.ranks import row_moments
from models.labels import forward_returns
from pipelines.build import current_factors
from pipelines.config import Config, stored
from pipelines.ledger import Ledger
from pipelines.runs import DONE, latest, read_json
from pipelines.simulate import SIMULATED
from pipelines.trade import index_returns, market_of, trade

HORIZONS = (1, 2, 5, 10, 20)
YEAR = 243
# The styles of a report and the factors that measure them; what the lake's factor table lacks is said on the page.
STYLES = {
    "Size": "log_float_cap",
    "Value": "book_to_price",
    "Momentum": "momentum_12_1",
    "Volatility": "volatility_60",
    "Beta": "beta_120",
    "Turnover": "turnover_20",
}


def report(lake: Lake, config: Config, run: str = "latest", model: str | None = None) -> Path:
    """Write the report of one model's account and return the page's path.

    The account is simulated again from the run's scores and config, which gives the same trades.  Raises KestrelError for a run or
    model that isn't there.
    """
    runs = Path(config.runs)
    folder = latest(runs, "backtest") if run == "latest" else runs / run
    found = read_json(folder / DONE)
    there = [row["model"] for row in found["models"]]
    training = runs / found["source"]
    chosen = read_json(training / DONE)["chosen"] if (training / DONE).is_file() else there[0]
    name = model or (chosen if chosen in there else there[0])
    if name not in there:
        raise KestrelError(f"{folder} has no account of '{name}'. It has: {', '.join(there)}.")
    config = stored(folder / "config.json", config)
    scores = pl.read_parquet(folder / "scores.parquet").filter(pl.col("model") == name)
    market = market_of(lake, config)
    result = trade(scores, market, config)
    index_bars, benchmark = lake.read("index_bars"), config.backtest.benchmark
    total = index_returns(index_bars, market, result, benchmark)
    price = index_returns(index_bars, market, result, BenchmarkSettings(index=benchmark.index, kind="price"))
    label = f"{benchmark.index} {'with dividends' if benchmark.kind == 'total_return' else 'price'}"
    facts = _facts(lake, found, folder, name, training, result, runs)
    scores_DN = to_panel(scores, "score", market.axes)
    securities = lake.read("securities")
    sheet = Sheet(
        title=f"{name} against {label}" + (", simulated market" if SIMULATED in lake.facts() else ""),
        result=result,
        comparison=Comparison(label, total, price),
        facts=facts,
        signals=_signals(scores_DN, market.last_DN, market.axes.dates),
        exposures=_exposures(lake, result, benchmark.index),
        outlook=_outlook(lake, config, market, scores_DN, result),
        names=dict(securities.filter(pl.col("name").is_not_null()).select("symbol", "name").iter_rows()),
    )
    page, _ = write_report(folder / name, sheet)
    return page


def _facts(lake: Lake, found: dict[str, Any], folder: Path, model: str, training: Path, result: Result, runs: Path) -> dict[str, str]:
    """What a reader must know beside the plots."""
    facts = {"run": folder.name, "model": model, "scores": found["source"]}
    facts["table versions"] = ", ".join(f"{name} {version}" for name, version in lake.versions().items())
    facts["evaluations on overlapping dates"] = str(Ledger(runs / "ledger.db").count(result.dates[0], result.dates[-1]))
    if (training / DONE).is_file():
        row = next(row for row in read_json(training / DONE)["models"] if row["model"] == model)
        facts["chosen on"] = f"validation dates (RankIC there {row['valid_rank_ic']:.4f})"
    if lake.price_basis == "adjusted":
        facts["prices"] = "multiplicatively adjusted: lots and, where no raw close is known, limits are approximations"
    return facts


def _signals(scores_DN: np.ndarray, prices_DN: np.ndarray, dates: tuple[Any, ...]) -> Signals:
    """RankIC by day, its decay and the excess of each fifth, of close-to-close returns from the session after the score."""
    y_DNH = forward_returns(prices_DN, HORIZONS, 1)
    scored = np.flatnonzero(np.isfinite(scores_DN).any(axis=1))
    rank_ics = {horizon: daily_rank_ic(scores_DN[scored], y_DNH[scored, :, place]) for place, horizon in enumerate(HORIZONS)}
    decay = {horizon: float(np.nanmean(found)) for horizon, found in rank_ics.items() if np.isfinite(found).any()}
    daily = np.where(np.isfinite(scores_DN[scored]), y_DNH[scored, :, 0], np.nan)
    fifths = quantile_returns(scores_DN[scored], daily - row_moments(daily)[0]) * YEAR
    return Signals(tuple(dates[place] for place in scored), rank_ics[5], decay, fifths.tolist(), horizon=5)


def _exposures(lake: Lake, result: Result, index: str) -> Exposures | None:
    """The book against the index at every close, from values of that close; None where the lake doesn't know the index's members."""
    axes = Axes(result.dates, result.symbols)
    b_DN, known_D = _index_weights(lake, axes, index)
    if not known_D.any():
        return None
    w_DN = result.shares_DN * np.nan_to_num(result.price_DN) / result.nav_D[:, None]
    remarks = ["The index stands at its latest published weights, moved by prices since."]
    if not known_D.all():
        remarks.append(f"Its members are unknown on {int((~known_D).sum())} of {len(known_D)} sessions, which stay empty.")
    styles, words = _styles(lake, axes)
    groups_DN, groups, origin = _industries(lake, axes)
    return exposures(axes.dates, w_DN, b_DN, styles, groups_DN=groups_DN, groups=groups, remarks=[*remarks, *words, *origin])


def _index_weights(lake: Lake, axes: Axes, index: str) -> tuple[np.ndarray, np.ndarray]:
    """(weights [D, N] at every close, 0 outside the index and NaN where nobody knows it; known [D])."""
    if not lake.has("members"):
        return np.full(axes.shape, np.nan), np.zeros(len(axes.dates), dtype=bool)
    members = lake.read("members", end=axes.dates[-1]).filter(pl.col("index") == index)
    in_force = members.filter(pl.col("date") <= axes.dates[0])["date"]
    begins: date = in_force.sort()[-1] if len(in_force) else axes.dates[0]  # older lists are out of force
    bars = lake.read("bars", columns=["date", "symbol", "close", "adj"], start=begins, end=axes.dates[-1])
    whole = Axes(tuple(bars["date"].unique().sort()), axes.symbols)
    panels = to_panels(bars, ["close", "adj"], whole)
    weights_DN, known_D = drifted_panel(members.filter(pl.col("date") >= begins), whole, index, panels["close"] * panels["adj"])
    last = slice(len(whole.dates) - len(axes.dates), None)
    return np.where(known_D[last, None], np.nan_to_num(weights_DN[last]), np.nan), known_D[last]


def _styles(lake: Lake, axes: Axes) -> tuple[dict[str, np.ndarray], list[str]]:
    """(raw values [D, N] by style, what a reader must know) out of the lake's factor table."""
    try:
        current_factors(lake)
    except KestrelError as error:
        return {}, [f"No style exposures: {error}"]
    there = set(lake.scan("factors").collect_schema().names())
    chosen = {style: name for style, name in STYLES.items() if name in there}
    table = lake.read("factors", columns=["date", "symbol", *chosen.values()], start=axes.dates[0], end=axes.dates[-1])
    panels = to_panels(table, list(chosen.values()), axes)
    words = [f"Styles are factors of the library: {', '.join(f'{style.lower()} is {name}' for style, name in chosen.items())}."]
    missing = [f"{style.lower()} ({name})" for style, name in STYLES.items() if name not in there]
    if missing:
        words.append(f"This lake can't feed {', '.join(missing)}.")
    return {style: panels[name] for style, name in chosen.items()}, words


def _industries(lake: Lake, axes: Axes) -> tuple[np.ndarray | None, list[str], list[str]]:
    """(industry numbers [D, N], their names, what a reader must know); a snapshot of hindsight is used where nothing else is known."""
    if not lake.has("industries"):
        return None, [], ["The lake has no industries."]
    table = lake.read("industries")
    dated = table.filter(~pl.col("hindsight"))
    words = []
    if dated.is_empty():
        words.append("Industries are hindsight: a later snapshot laid over the past. They describe the book; Kestrel's models never read them.")
        dated = table.with_columns(pl.lit(False).alias("hindsight"))
    elif dated.height < table.height:
        words.append(f"{table.height - dated.height} rows of the industries are hindsight and left out.")
    names = dict(dated.sort("code", "start").select("code", pl.coalesce("name", "code")).iter_rows())
    return industries_panel(dated, axes), [names[code] for code in sorted(names)], words


def _outlook(lake: Lake, config: Config, market: Market, scores_DN: np.ndarray, result: Result) -> Outlook:
    """The orders of the session after the account's last, from what is known at its last close."""
    last, strategy = result.dates[-1], config.backtest.strategy
    number = {row["date"]: row["session"] for row in lake.read("calendar").iter_rows(named=True)}
    try:
        sessions = Sessions.of(lake.read("calendar"))
        session = sessions.next(last)
    except KestrelError as error:
        return Outlook(note=str(error))
    place = market.axes.index(last)
    if not np.isfinite(scores_DN[place]).any():
        return Outlook(session, note=f"No orders: the run has no scores of {last}.")
    if result.positions() and not due(strategy, np.array([number[session]]))[0]:
        later = next((day for day in sessions.dates if day > session and due(strategy, np.array([number[day]]))[0]), None)
        return Outlook(session, note=f"No orders: {strategy.kind} doesn't trade on this session" + (f", but next on {later}." if later else "."))
    seen = market.until(place + 1)
    scale_N = seen.scale_DN[-1]
    held = {name: round(shares / scale_N[seen.axes.symbols.index(name)]) for name, shares in result.positions().items()}
    announced = lake.read("dividends").filter(pl.col("announced_on") <= last) if lake.has("dividends") and lake.price_basis == "raw" else None
    try:
        orders = next_orders(
            scores_DN[place],
            held,
            float(result.cash_D[-1]),
            seen,
            session=session,
            strategy=strategy,
            costs=config.backtest.costs,
            session_number=number[session],
            dividends=announced,
            rules=config.exchange_rules(),
        )
    except KestrelError as error:
        return Outlook(session, note=f"No orders: {error}")
    return Outlook(session, orders, "Shares and prices as traded." if lake.price_basis == "adjusted" else "")
