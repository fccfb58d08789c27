"""Paper: the account that trades the published orders at the next session's prices under the rules, and its own report."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from backtest.benchmark import BenchmarkSettings
from backtest.blotter import trade_orders
from backtest.construction import Trail
from backtest.covenant import breaches
from backtest.orders import ORDERS
from backtest.report.document import write_report
from backtest.report.labels import Lang
from backtest.report.sheet import Comparison, Outlook, Sheet, Signals
from backtest.result import Result
from backtest.stress import shocked
from data.errors import KestrelError
from data.lake import Lake
from pipelines.config import Config
from pipelines.explain import around, attributed, exposed, scene
from pipelines.portfolio import Account, Ground, hedged, index_returns
from pipelines.positions import Book
from pipelines.publication import folder_of, published, read_published
from pipelines.runs import DONE, write_json
from pipelines.signal import ground_of
from pipelines.trade import figures, save

PAPER = "paper"


def sessions_of(signals: Path, day: date) -> dict[date, date]:
    """{session: the one that trades its orders} of what the paper account traded up to the close of `day`."""
    made = {session: found for session, found in published(signals).items() if found.get("account") == PAPER}
    pairs = {session: date.fromisoformat(str(found["trade_on"])) for session, found in made.items()}
    return {session: trade_on for session, trade_on in pairs.items() if trade_on <= day}


def first_session(signals: Path, day: date) -> date | None:
    """The session of the paper account's first orders; None where none is traded by the close of `day`."""
    return min(sessions_of(signals, day), default=None)


def account(ground: Ground, signals: Path) -> Result | None:
    """The account at the close of the ground's last session: every published order since the first, traded; None before the first.

    It is worked out anew from what was published and the lake's prices, so nothing of it can be lost.
    Raises KestrelError where published orders were edited, or the ground begins too late.
    """
    config, day = ground.config, ground.market.axes.dates[-1]
    pairs = sessions_of(signals, day)
    if not pairs:
        return None
    orders = {trade_on: orders_of(signals, session) for session, trade_on in pairs.items()}
    return trade_orders(
        orders,
        ground.market,
        costs=config.backtest.costs,
        settings=config.backtest.simulation,
        start=min(orders),
        end=day,
        rules=config.exchange_rules(),
    )


def orders_of(signals: Path, session: date) -> pl.DataFrame:
    """The published orders of a session, columns ORDERS; raises KestrelError where they aren't what was published."""
    return read_published(signals, session, "orders.csv", ORDERS)


def book(ground: Ground, signals: Path) -> Book:
    """The paper account's book at the close of the ground's last session."""
    found = account(ground, signals)
    if found is None:
        return Book({}, ground.config.backtest.simulation.cash, PAPER)
    return Book(found.positions(), float(found.cash_D[-1]), PAPER, found)


def statement(lake: Lake, config: Config, *, day: date | None = None, lang: Lang = "en") -> Path:
    """Write the account's files and page into runs/paper, and return the folder; by default up to the lake's last session.

    Raises KestrelError where no published order was traded yet.
    """
    lake, signals = lake.pin(), Path(config.signals)
    last: Any = lake.scan("bars").select(pl.col("date").max()).collect().item()
    day = day or last
    ground = ground_of(lake, config, day, since=first_session(signals, day))
    result = account(ground, signals)
    if result is None:
        what = f"{config.signals} holds no orders of the paper account that were traded by {day}"
        raise KestrelError(f"{what}. Set batch.book = 'paper' and run kestrel signal every evening.")
    folder, hedge = Path(config.runs) / PAPER, hedged(result, ground)
    save(folder, Account(result, Trail()), hedge, ground)
    found = figures(result, ground) | ({f"hedged_{key}": value for key, value in hedge.summary().items()} if hedge else {})
    benchmark = config.backtest.benchmark
    total = index_returns(ground, result.dates, benchmark)
    price = index_returns(ground, result.dates, BenchmarkSettings(index=benchmark.index, kind="price"))
    label = f"{benchmark.index} {'with dividends' if benchmark.kind == 'total_return' else 'price'}"
    seen = scene(lake, around(ground.market, result), benchmark.index)
    sheet = Sheet(
        title=f"Paper account against {label}",
        result=result,
        comparison=Comparison(label, total, price),
        facts={"orders": f"{len(sessions_of(signals, day))} sessions' published in {config.signals}"},
        signals=Signals(),
        exposures=exposed(seen, result),
        outlook=_outlook(signals, day),
        names=dict(lake.read("securities").filter(pl.col("name").is_not_null()).select("symbol", "name").iter_rows()),
        attribution=attributed(seen, result, ground.market, total, price),
        capacity=None,
        trail=Trail(),
        broken=breaches(result.returns_D, total, result.dates, config.backtest.covenant),
        shocks=shocked(result, ground.market, ground.index_D, hedge=hedge),
        hedged=hedge,
        lang=lang,
    )
    if len(result.dates) > 1:  # a single day has no spread to draw
        write_report(folder, sheet)
    write_json(folder / DONE, {"span": [result.dates[0], result.dates[-1]], "account": finite(found)})
    return folder


def finite(found: dict[str, float]) -> dict[str, float | None]:
    """Figures with None where one can't be told."""
    return {name: float(value) if np.isfinite(value) else None for name, value in found.items()}


def _outlook(signals: Path, day: date) -> Outlook:
    """The orders published for the next session, if any."""
    made = published(signals).get(day)
    if made is None or made.get("account") != PAPER:
        return Outlook(note=f"No orders were published in {folder_of(signals, day)}.")
    return Outlook(date.fromisoformat(str(made["trade_on"])), orders_of(signals, day), "As published.")
