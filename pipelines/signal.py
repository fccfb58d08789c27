"""Signal: from a session's close to the orders of the next, by the decisions that the backtest makes, from what that close knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from backtest.futures.result import NeutralResult
from backtest.futures.tickets import tickets
from backtest.orders import next_orders
from backtest.strategies import Targets, TopkBuffer, TopkDropout
from backtest.targets import evening_of
from data.calendar import Sessions
from data.errors import KestrelError
from data.lake import Lake
from data.panel import Floats, to_panel
from models.dataset import Dataset
from pipelines.choice import Choice, choose
from pipelines.config import Config
from pipelines.portfolio import Ground, Weighing, announced, hedged, ranked
from pipelines.positions import Book, book_of
from pipelines.prepare import dataset_of, digest
from pipelines.publication import MANIFEST, MEMORY, Content, folder_of, git_sha, publish, published
from pipelines.runs import read_json

LOOKBACK = 90  # sessions read before the signal's: what a model with a memory looks back on, and more than a suspended holding needs


@dataclass(frozen=True)
class Signal:
    """What a close says: scores, the orders of the session `trade_on`, the book that they start from, contracts where the book is hedged.

    memory: what weighers must remember until the next evening.
    """

    day: date
    trade_on: date
    scores: pl.DataFrame
    orders: pl.DataFrame
    positions: pl.DataFrame
    memory: dict[str, Any]
    contracts: pl.DataFrame | None = None
    transfer: float = 0.0  # CNY that the long book is told to raise for the margin account (+) or gets from it (-)

    def contents(self) -> dict[str, Content]:
        """The files that are published."""
        found: dict[str, Content] = {"orders.csv": self.orders, "scores.csv": self.scores, "positions.csv": self.positions}
        if self.contracts is not None:
            found["futures.csv"] = self.contracts
        return found | ({MEMORY: self.memory} if self.memory else {})


def signal(
    lake: Lake, config: Config, *, day: date | None = None, model: str | None = None, positions: Path | None = None, again: bool = False
) -> tuple[Path, bool]:
    """Publish the orders for the session after `day`, by default the last one with factors.  (folder, whether it was written)

    The model is the one that the latest training chose on its validation dates, fitted on dates before `day`.  What is published stays
    as it is, whatever the lake learns later, until another model, config or book is asked for, or it is asked for `again`.
    Raises KestrelError for a date without data, and for positions that can't be read.
    """
    lake = lake.pin()
    day = day or sessions_with_factors(lake)[-1]
    refuse_stranger(lake, day)
    choice = choose(config, day, model=model)
    book = book_of(positions, config.backtest.simulation.cash, lake, day)
    memory = memory_before(Path(config.signals), day, book)
    key = identity(config, day, choice, book, memory)
    folder = folder_of(Path(config.signals), day)
    if not again and is_published(folder, key):
        return folder, False
    found = signal_of(lake, config, choice, book, ground_of(lake, config, day), dataset_before(lake, config, day), memory)
    publish(folder, found.contents(), manifest(lake, config, found, choice, book, key))
    return folder, True


def sessions_with_factors(lake: Lake) -> list[date]:
    """The sessions of the factor table, in order."""
    found: list[date] = lake.scan("factors").select(pl.col("date").unique().sort()).collect()["date"].to_list()
    return found


def refuse_stranger(lake: Lake, day: date) -> None:
    """Raise KestrelError for a day without factors."""
    there = sessions_with_factors(lake)
    if day not in there:
        raise KestrelError(
            f"{day} is not a session with factors: the lake has {there[0]} to {there[-1]}. Choose one of them, or bring the lake up to date."
        )


def identity(config: Config, day: date, choice: Choice, book: Book, memory: Mapping[str, Any]) -> str:
    """A hash of all that was asked for.  What the lake knew is in the manifest: it doesn't change what is published."""
    asked = {"day": day, "training": choice.training.name, "model": choice.model, "fits": choice.sums, **book.identity(), "memory": memory}
    return digest({**asked, **config.model_dump(mode="json", include={"backtest", "rules", "universe", "factors"})})


def is_published(folder: Path, key: str) -> bool:
    """Whether the folder holds the signal of this identity."""
    return (folder / MANIFEST).is_file() and bool(read_json(folder / MANIFEST)["identity"] == key)


def memory_before(signals: Path, day: date, book: Book) -> dict[str, Any]:
    """What the last signal before `day` left to remember, of the same kind of book; nothing where there is none."""
    before = [when for when, made in published(signals).items() if when < day and made.get("account") == book.source]
    file = folder_of(signals, before[-1]) / MEMORY if before else None
    found: dict[str, Any] = read_json(file) if file and file.is_file() else {}
    return found


def ground_of(lake: Lake, config: Config, day: date, *, since: date | None = None) -> Ground:
    """The market as the close of `day` knows it: from `since` or LOOKBACK sessions before on, for weighers from the beginning."""
    if not ranked(config):
        return Ground.of(lake, config, end=day)
    return Ground.of(lake, config, start=min(since or day, _lookback(lake, day)), end=day)


def dataset_before(lake: Lake, config: Config, day: date) -> Dataset:
    """What models score `day` by."""
    return dataset_of(lake, config, start=_lookback(lake, day), end=day)


def _lookback(lake: Lake, day: date) -> date:
    sessions = Sessions.of(lake.read("calendar"))
    return sessions.dates[max(sessions.dates.index(day) - LOOKBACK, 0)]


def signal_of(
    lake: Lake, config: Config, choice: Choice, book: Book, ground: Ground, dataset: Dataset, memory: Mapping[str, Any] | None = None
) -> Signal:
    """The signal of the ground's last session; memory: what the evening before left, see `Weighing.memory`."""
    market, settings = ground.market, config.backtest
    day, sessions = market.axes.dates[-1], Sessions.of(lake.read("calendar"))
    scores = choice.scores(dataset)
    wish_N, strategy, left = _wish(scores, ground, book, memory or {})
    orders = next_orders(
        wish_N,
        book.shares,
        book.cash,
        market,
        session=sessions.next(day),
        strategy=strategy,
        costs=settings.costs,
        session_number=market.first_session + len(market.axes.dates),
        dividends=announced(lake, day) if lake.price_basis == "raw" else None,
        leaving=leaving(lake, sessions.next(day)),
        worth=1.0 if settings.simulation.delisted == "last_close" else 0.0,
        buys=settings.simulation.buys,
        rules=config.exchange_rules(),
    )
    hedge = _hedge(book, ground)
    shown = scores if config.backtest.sleeves else scores.drop("model")
    targets_N = wish_N if isinstance(strategy, Targets) else np.full(len(wish_N), np.nan)
    return Signal(
        day=day,
        trade_on=sessions.next(day),
        scores=shown,
        orders=orders,
        positions=_positions(book, ground, targets_N),
        memory=left,
        contracts=tickets(hedge, sessions.next(day), config.exchange_rules()) if hedge else None,
        transfer=hedge.plan.transfer / 100 if hedge else 0.0,
    )


def leaving(lake: Lake, session: date) -> list[str]:
    """The stocks that are known to have left the exchange by a session."""
    found: list[str] = lake.read("securities").filter(pl.col("delist_date") <= session)["symbol"].to_list()
    return found


def manifest(lake: Lake, config: Config, found: Signal, choice: Choice, book: Book, key: str) -> dict[str, Any]:
    """What a signal was made of: hashes of the models, versions of the tables, config, code."""
    return {
        "identity": key,
        "session": found.day,
        "trade_on": found.trade_on,
        "account": book.source,
        "model": choice.model,
        "training": choice.training.name,
        "fits": choice.sums,
        "learnt_until": choice.seen,
        "held": {**book.shares, "cash": book.cash},
        "transfer": found.transfer,
        "orders": found.orders.height,
        "versions": lake.versions(),
        "git": git_sha(),
        "config": config.model_dump(mode="json"),
    }


def _wish(
    scores: pl.DataFrame, ground: Ground, book: Book, memory: Mapping[str, Any]
) -> tuple[Floats, TopkDropout | TopkBuffer | Targets, dict[str, Any]]:
    """(scores or target weights [N], how orders are made of them, what is left to remember)."""
    market, strategy = ground.market, ground.config.backtest.strategy
    if ranked(ground.config):
        assert isinstance(strategy, TopkDropout | TopkBuffer)
        return to_panel(scores, "score", market.axes)[-1], strategy, {}
    weighing = Weighing.of(scores, ground)
    weighing.recall(memory)
    place = {name: n for n, name in enumerate(market.axes.symbols)}
    shares_N = np.zeros(len(place), dtype=np.int64)
    for name, count in book.shares.items():
        if name not in place:
            raise KestrelError(f"{name} is held but has no bars in the lake. Mend the positions, or fetch it.")
        shares_N[place[name]] = count
    wanted_N = weighing.whole(evening_of(len(market.axes.dates) - 1, shares_N, round(book.cash * 100), market, owed=book.owed))
    return np.full(len(place), np.nan) if wanted_N is None else wanted_N, weighing.targets, weighing.memory()


def _hedge(book: Book, ground: Ground) -> NeutralResult | None:
    """The account around the book that is short of futures; None where there is no hedge, or no session of the book yet."""
    if ground.config.backtest.hedge is None:
        return None
    if book.source != "paper":
        raise KestrelError(
            "backtest.hedge needs to know the margin account, which only the paper account keeps. Set batch.book = 'paper', or no hedge."
        )
    return hedged(book.result, ground) if book.result else None


def _positions(book: Book, ground: Ground, targets_N: Floats) -> pl.DataFrame:
    """What is held, symbol by symbol, with the weights wanted where there are any; the row 'cash' is CNY.  `--positions` reads it back."""
    market = ground.market
    price = dict(zip(market.axes.symbols, market.last_DN[-1].tolist(), strict=True))
    target = dict(zip(market.axes.symbols, targets_N.tolist(), strict=True))
    names = [name for name in market.axes.symbols if book.shares.get(name) or target[name] > 0]
    held = [int(book.shares.get(name, 0)) for name in names]
    values = [count * price[name] if count else 0.0 for name, count in zip(names, held, strict=True)]
    equity = book.cash + sum(values) - book.owed / 100
    rows = [(name, float(count), price[name], value, value / equity, target[name]) for name, count, value in zip(names, held, values, strict=True)]
    rows.append(("cash", book.cash, 1.0, book.cash, book.cash / equity, float("nan")))
    columns = {"symbol": pl.String, **dict.fromkeys(("shares", "price", "value", "weight", "target"), pl.Float64)}
    return pl.DataFrame(rows, schema=columns, orient="row").fill_nan(None)
