"""One evening after the other: fetched, checked, scored, ordered and published once, or refused with a reason."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from data.calendar import Sessions
from data.errors import KestrelError
from data.lake import Lake, open_lake
from data.publication import ZONE
from data.sources.source import VendorError
from pipelines import paper
from pipelines.batch.drift import drift, summary
from pipelines.batch.gates import gate
from pipelines.batch.journal import FILE, Journal
from pipelines.batch.lock import LATER, locked
from pipelines.batch.notice import tell
from pipelines.build import build_factors, current_factors
from pipelines.choice import Choice, choose
from pipelines.config import Config
from pipelines.positions import Book, book_of
from pipelines.publication import MANIFEST, folder_of, mend, publish, published
from pipelines.runs import read_json
from pipelines.signal import dataset_before, ground_of, identity, is_published, manifest, memory_before, refuse_stranger, signal_of
from pipelines.simulate import SIMULATED

LOCK = "batch.lock"
Fetcher = Callable[[Lake, Config, date], list[str]]  # brings the lake up to a session; what a reader must know


@dataclass(frozen=True)
class Asked:
    """What a command line asks for: nothing means the session that is due, by the config."""

    day: date | None = None
    model: str | None = None
    positions: Path | None = None
    catch_up: bool = False
    dry_run: bool = False
    again: bool = False
    wait: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What came of a session: published, unchanged (it was already), dry, or refused with the reason.  seconds: by step."""

    session: date
    outcome: str
    reason: str = ""
    folder: str | None = None
    trade_on: date | None = None
    orders: int = 0
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    exit_code: int = 0

    def row(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self) | {"session": self.session, "warnings": list(self.warnings)}


@dataclass
class Evening:
    """A session under way: where its steps are noted, and what a reader must know."""

    config: Config
    asked: Asked
    day: date
    ledger: Path | None  # where its steps are noted; a dry run notes nothing
    journal: Journal | None = None
    run: int = 0
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step."""
        began = time.monotonic()
        try:
            with self.journal.step(self.run, name) if self.journal else nullcontext():
                yield
        finally:
            self.seconds[name] = round(time.monotonic() - began, 3)


def run_batch(config: Config, asked: Asked, *, fetcher: Fetcher | None = None, now: datetime | None = None) -> list[Outcome]:
    """Publish what is due, and say what came of each session; the first one that is refused is the last one tried.

    Raises KestrelError where nothing can be begun: no lake, no such session, another batch at work.
    """
    lake, signals = open_lake(config.lake), Path(config.signals)
    days = due(lake, config, asked, now or datetime.now(ZoneInfo(ZONE)))
    if asked.dry_run:
        return [evening(Evening(config, asked, day, None), fetcher) for day in days]
    outcomes: list[Outcome] = []
    with locked(Path(config.runs) / LOCK, wait=asked.wait):
        mend(signals)
        for day in days:
            outcomes.append(evening(Evening(config, asked, day, Path(config.runs) / FILE), fetcher))
            if outcomes[-1].exit_code:
                break
    failed = tell(config.batch.notice, [outcome.row() for outcome in outcomes])
    return [*outcomes[:-1], replace(outcomes[-1], warnings=(*outcomes[-1].warnings, *failed))] if failed else outcomes


def due(lake: Lake, config: Config, asked: Asked, now: datetime) -> list[date]:
    """The sessions that are asked for: one, or with `catch_up` all since the last that was published.

    By default the last session whose close is known at config.batch.hour in Shanghai.  A simulated market has no clock: its last session is
    today.  Raises KestrelError for a day that is no session.
    """
    sessions = Sessions.of(lake.read("calendar"))
    if asked.day is not None and asked.day not in sessions:
        known = f"{sessions.dates[0]} to {sessions.dates[-1]}"
        around = f"The last one before it is {sessions.last(asked.day)}" if asked.day >= sessions.dates[0] else "It lies before the first"
        raise KestrelError(f"{asked.day} is not a session with factors: it is none of the calendar's ({known}). {around}.")
    here = now.astimezone(ZoneInfo(ZONE))
    today = asked.day or sessions.last(here.date())
    if asked.day is None and SIMULATED in lake.facts():
        today = lake.scan("bars").select(pl.col("date").max()).collect().item()
    elif asked.day is None and today == here.date() and here.hour < config.batch.hour:
        today = sessions.dates[sessions.dates.index(today) - 1]
    done = [session for session in published(Path(config.signals)) if session < today]
    return list(sessions.between(sessions.next(done[-1]), today)) if asked.catch_up and done else [today]


def evening(now: Evening, fetcher: Fetcher | None) -> Outcome:
    """One session, from the fetch to the published folder; what a user can mend, and a disk that is full, is a refusal with its reason."""
    began = time.monotonic()
    try:
        if now.ledger:
            now.journal = Journal(now.ledger)
            now.run = now.journal.begin(now.day)
        found = _published(now, fetcher)
    except (KestrelError, OSError, sqlite3.Error) as error:
        code = LATER if isinstance(error, VendorError) else error.exit_code if isinstance(error, KestrelError) else 1
        found = Outcome(now.day, "refused", str(error), exit_code=code)
    found = replace(found, warnings=tuple(now.notes), seconds=now.seconds)
    if now.journal:
        try:
            spent, warned = time.monotonic() - began, found.warnings
            now.journal.end(now.run, outcome=found.outcome, reason=found.reason, orders=found.orders, warnings=warned, seconds=spent)
        except sqlite3.Error as error:
            found = replace(found, warnings=(*found.warnings, f"The run ledger {now.ledger} can't be written: {error}"))
    return found


def _published(now: Evening, fetcher: Fetcher | None) -> Outcome:
    config, day, folder = now.config, now.day, folder_of(Path(now.config.signals), now.day)
    lake = open_lake(config.lake)
    if folder.is_dir() and not now.asked.again:
        if not (now.asked.model or now.asked.positions) or _is_asked(now, lake, folder):
            made = read_json(folder / MANIFEST)
            return Outcome(day, "unchanged", folder=str(folder), trade_on=date.fromisoformat(made["trade_on"]), orders=int(made["orders"]))
        _refuse_history(lake, config, folder)
    _prepare(now, lake, fetcher)
    lake = lake.pin()
    with now.step("model"):
        choice, memory, book = _asked(now, lake)
        _refuse_stale(lake, choice, day, config.batch.model_age)
    signals = Path(config.signals)
    with now.step("positions"):
        ground = ground_of(lake, config, day, since=paper.first_session(signals, day) if book.source == paper.PAPER else None)
        key = identity(config, day, choice, book, memory)
        if book.source == paper.PAPER:
            book = paper.book(ground, signals)
    with now.step("orders"):
        dataset = dataset_before(lake, config, day)
        found = signal_of(lake, config, choice, book, ground, dataset, memory)
    with now.step("drift"):
        drifted = drift(found, dataset, ground, signals)
        now.notes += summary(drifted.flags)
    if now.asked.dry_run:
        return Outcome(day, "dry", trade_on=found.trade_on, orders=found.orders.height)
    with now.step("publish"):
        contents = {**found.contents(), "drift.csv": drifted.factors, "drift.json": drifted.told()}
        publish(folder, contents, manifest(lake, config, found, choice, book, key) | {"notes": now.notes})
    return Outcome(day, "published", folder=str(folder), trade_on=found.trade_on, orders=found.orders.height)


def _is_asked(now: Evening, lake: Lake, folder: Path) -> bool:
    """Whether the published folder is what a command line asks for by a model or a positions file of its own."""
    choice, memory, book = _asked(now, lake)
    return is_published(folder, identity(now.config, now.day, choice, book, memory))


def _refuse_history(lake: Lake, config: Config, folder: Path) -> None:
    """Raise KestrelError where other orders than those published would be orders of a session that the paper account has traded."""
    made, last = read_json(folder / MANIFEST), lake.scan("bars").select(pl.col("date").max()).collect().item()
    if config.batch.book == paper.PAPER == made["account"] and date.fromisoformat(made["trade_on"]) <= last:
        found = f"{folder} was published by another model or book, and the paper account traded its orders on {made['trade_on']}"
        raise KestrelError(f"{found}: new ones would rewrite that. To do it: --again")


def _asked(now: Evening, lake: Lake) -> tuple[Choice, dict[str, Any], Book]:
    """(the models, what the evening before left to remember, the book, the paper account's only by name)."""
    config, asked = now.config, now.asked
    if config.batch.model == "latest" or asked.model:
        choice = choose(config, now.day, model=asked.model)
    else:
        from pipelines.champion import registered

        choice = registered(config, config.batch.model, now.day)
    file = asked.positions or (None if config.batch.book in ("empty", paper.PAPER) else Path(config.batch.book))
    if file is None and config.batch.book == paper.PAPER:
        book = Book({}, config.backtest.simulation.cash, paper.PAPER)
    else:
        book = book_of(file, config.backtest.simulation.cash, lake, now.day)
    return choice, memory_before(Path(config.signals), now.day, book), book


def _prepare(now: Evening, lake: Lake, fetcher: Fetcher | None) -> None:
    """Bring the lake up to the session: bars, checks, scores of news, factors.  A dry run asks nobody and writes nothing."""
    config, day, dry = now.config, now.day, now.asked.dry_run
    if fetcher is not None and config.batch.fetch and not dry:
        with now.step("fetch"):
            now.notes += fetcher(lake, config, day)
    with now.step("checks"):
        findings = gate(lake, config, day)
        now.notes += [f"{one.table}: {one.check}: {one.why}" for one in findings if one.check == "news feed"]
    if config.batch.score_news and not dry:
        with now.step("news"):
            now.notes += _score_news(lake, config, day)
    with now.step("factors"):
        if dry:
            current_factors(lake)
        else:
            build_factors(lake, config)
        refuse_stranger(lake, day)


def _score_news(lake: Lake, config: Config, day: date) -> list[str]:
    """Score the pieces since the session before by [sentiment], within its budget; what went wrong, which stops nothing unless it must."""
    from pipelines.sentiment import score, scorer_of

    before = Sessions.of(lake.read("calendar"))
    try:
        done = score(lake, config.sentiment, scorer_of(config.sentiment), start=before.dates[before.dates.index(day) - 1], end=day)
    except KestrelError as error:
        if config.batch.news == "require":
            raise
        return [f"news weren't scored: {error}"]
    return [f"scoring news stopped: {done['stopped']}"] if done["stopped"] else []


def _refuse_stale(lake: Lake, choice: Choice, day: date, most: int) -> None:
    """Raise KestrelError for a model that has seen nothing for too long."""
    age = len(Sessions.of(lake.read("calendar")).between(choice.seen, day)) - 1
    if age > most:
        found = f"The model {choice.model} of {choice.training.name} learnt until {choice.seen}, {age} sessions before {day}"
        raise KestrelError(f"{found}; batch.model_age allows {most}. Run: kestrel train")
