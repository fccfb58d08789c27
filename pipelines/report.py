"""Report: one account of a backtest as an HTML page with plots, and the same numbers as JSON."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from backtest.benchmark import BenchmarkSettings
from backtest.covenant import breaches
from backtest.enhancement import Enhancement
from backtest.orders import next_orders
from backtest.report.document import write_report
from backtest.report.labels import Lang
from backtest.report.sheet import Comparison, Outlook, Sheet, Signals
from backtest.result import Result
from backtest.strategies import TopkBuffer, TopkDropout, due
from backtest.stress import shocked
from backtest.sweep import measured
from data.calendar import Sessions
from data.errors import KestrelError
from data.lake import Lake
from data.panel import Floats, to_panel
from factors.judge import daily_rank_ic
from factors.quantiles import quantile_returns
from factors.ranks import row_moments
from models.labels import forward_returns
from pipelines.config import Config, stored
from pipelines.explain import around, attributed, exposed, scene
from pipelines.holdout import seen
from pipelines.ledger import Ledger
from pipelines.lookup import find
from pipelines.portfolio import Ground, hedged, index_returns, trade
from pipelines.runs import DONE, read_json
from pipelines.simulate import SIMULATED
from pipelines.trade import scores_of

HORIZONS = (1, 2, 5, 10, 20)
YEAR = 243
AMOUNTS, FEW = (1e6, 1e7, 1e8, 1e9, 1e10), (1e7, 1e8, 1e9)  # CNY that a capacity curve starts with; FEW where each takes an optimiser


def report(lake: Lake, config: Config, run: str = "latest", model: str | None = None, lang: Lang = "en") -> Path:
    """Write the report of one model's account and return the page's path.

    The account is simulated again from the run's scores and config, which gives the same trades.  lang: of the page's labels; a Chinese
    page lies in the folder `<model>-zh`.  Raises KestrelError for a run or model that isn't there.
    """
    runs = Path(config.runs)
    folder, named = find(config, run, ("backtest",))
    found, model = read_json(folder / DONE), model or named
    name = _account(found, folder, runs, model)
    config = stored(folder / "config.json", config)
    lake = seen(lake, config.holdout, folder)
    ground = Ground.of(lake, config)
    scores = scores_of(pl.read_parquet(folder / "scores.parquet"), name, config)
    account = trade(scores, ground)
    result, hedge, benchmark = account.result, hedged(account.result, ground), config.backtest.benchmark
    total = index_returns(ground, result.dates, benchmark)
    price = index_returns(ground, result.dates, BenchmarkSettings(index=benchmark.index, kind="price"))
    label = f"{benchmark.index} {'with dividends' if benchmark.kind == 'total_return' else 'price'}"
    title = f"{name} against {label}" if hedge is None else f"{name} hedged with {hedge.settings.product} futures, against cash"
    stage = scene(lake, around(ground.market, result), benchmark.index)
    signals, outlook = Signals(), Outlook(note="No orders here: kestrel signal writes those of sleeves, which remember more than a book.")
    if not config.backtest.sleeves:
        scores_DN = to_panel(scores, "score", ground.market.axes)
        signals, outlook = _signals(scores_DN, ground.market.last_DN, ground.market.axes.dates), _outlook(ground, scores_DN, result)
    sheet = Sheet(
        title=title + (", simulated market" if SIMULATED in lake.facts() else ""),
        result=result,
        comparison=Comparison(label, total, price),
        facts=_facts(lake, found, folder, name, result, config),
        signals=signals,
        exposures=exposed(stage, result),
        outlook=outlook,
        names=dict(lake.read("securities").filter(pl.col("name").is_not_null()).select("symbol", "name").iter_rows()),
        attribution=attributed(stage, result, ground.market, total, price),
        capacity=_capacities(scores, ground, total, result),
        trail=account.trail,
        broken=breaches(result.returns_D, total, result.dates, config.backtest.covenant) if account.trail.forecasts.height else None,
        shocks=shocked(result, ground.market, ground.index_D, hedge=hedge),
        hedged=hedge,
        lang=lang,
    )
    page, _ = write_report(folder / (name if lang == "en" else f"{name}-{lang}"), sheet)
    return page


def _capacities(scores: pl.DataFrame, ground: Ground, total: Floats, result: Result) -> pl.DataFrame:
    """The account again with more and less money, all else as it was: a row an amount."""
    settings = ground.config.backtest
    optimised = any(isinstance(one, Enhancement) for one in [settings.strategy, *(sleeve.strategy for sleeve in settings.sleeves)])
    rows = []
    for cash in FEW if optimised else AMOUNTS:
        own = cash == settings.simulation.cash
        found = result if own else trade(scores, ground, settings.simulation.model_copy(update={"cash": cash})).result
        rows.append({"cash": cash, **measured(found, total)[0]})
    return pl.DataFrame(rows)


def _account(found: dict[str, Any], folder: Path, runs: Path, model: str | None) -> str:
    """The account asked for, else that of the model chosen on validation dates, else the first."""
    there = [row["model"] for row in found["models"]]
    training = runs / found["source"]
    chosen = read_json(training / DONE)["chosen"] if (training / DONE).is_file() else there[0]
    name = model or (chosen if chosen in there else there[0])
    if name not in there:
        raise KestrelError(f"{folder} has no account of '{name}'. It has: {', '.join(there)}.")
    return name


def _facts(lake: Lake, found: dict[str, Any], folder: Path, account: str, result: Result, config: Config) -> dict[str, str]:
    """What a reader must know beside the plots."""
    runs = Path(config.runs)
    facts = {"run": folder.name, "model": account, "scores": found["source"]}
    facts["table versions"] = ", ".join(f"{name} {version}" for name, version in lake.versions().items())
    facts["evaluations on overlapping dates"] = str(Ledger(runs / "ledger.db").count(result.dates[0], result.dates[-1]))
    training = runs / found["source"] / DONE
    if row := next((row for row in read_json(training)["models"] if row["model"] == account), None) if training.is_file() else None:
        facts["chosen on"] = f"validation dates (RankIC there {row['valid_rank_ic']:.4f})"
    for sleeve in config.backtest.sleeves:
        facts[f"sleeve {sleeve.name}"] = f"{sleeve.strategy.kind} of {sleeve.model}, budget {sleeve.budget:g}"
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


def _outlook(ground: Ground, scores_DN: np.ndarray, result: Result) -> Outlook:
    """The orders of the session after the account's last, from what is known at its last close."""
    lake, config, market = ground.lake, ground.config, ground.market
    last, strategy = result.dates[-1], config.backtest.strategy
    if not isinstance(strategy, TopkDropout | TopkBuffer):
        return Outlook(note=f"No orders here: kestrel signal writes those of {strategy.kind}.")
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
    past = market.until(place + 1)
    scale_N = past.scale_DN[-1]
    held = {name: round(shares / scale_N[past.axes.symbols.index(name)]) for name, shares in result.positions().items()}
    announced = lake.read("dividends").filter(pl.col("announced_on") <= last) if lake.has("dividends") and lake.price_basis == "raw" else None
    try:
        orders = next_orders(
            scores_DN[place],
            held,
            float(result.cash_D[-1]),
            past,
            session=session,
            strategy=strategy,
            costs=config.backtest.costs,
            session_number=number[session],
            dividends=announced,
            buys=config.backtest.simulation.buys,
            rules=config.exchange_rules(),
        )
    except KestrelError as error:
        return Outlook(session, note=f"No orders: {error}")
    return Outlook(session, orders, "Shares and prices as traded." if lake.price_basis == "adjusted" else "")
