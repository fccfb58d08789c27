"""Fetch: what a lake lacks is asked from a chain of sources in pieces, kept beside the lake, and committed once all of it has passed the checks."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from data import calendar
from data.assembly import assembled, commit, ex_days, merged, settled
from data.calendar import Sessions
from data.checks import Finding, check
from data.completion import on_sessions, one_per_ex_date, with_ids
from data.errors import KestrelError
from data.gaps import after, last_bars, months, stock_spans
from data.ingest import refuse
from data.lake import Lake
from data.progress import Track, silent
from data.sources.chain import Chain, Empty
from data.sources.source import Absent, Span, VendorError
from data.staging import Staging, beside
from data.tables import SCHEMA_VERSION, TABLES

DEFAULT = ("members", "bars", "index_bars", "dividends", "industries")
EXTRA = ("reports", "news")


class Wish(BaseModel):
    """What is wanted: the members of an index since a day, single stocks, and which tables besides calendar and securities."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    since: date = date(2015, 1, 1)
    index: str | None = "000905.SH"
    symbols: Annotated[tuple[str, ...], Field(strict=False)] = ()  # "all": every share that was ever listed
    tables: Annotated[tuple[str, ...], Field(strict=False)] = DEFAULT


@dataclass
class Outcome:
    """What a fetch brought: rows by table, answers by function and source, what was left out, and what the checks found."""

    through: date
    rows: dict[str, int]
    answers: dict[str, dict[str, int]]
    notes: list[str]
    findings: list[Finding]


def fetch(lake: Lake, chain: Chain, wish: Wish, *, until: date, track: Track = silent) -> Outcome | None:
    """Bring the lake up to the last session on or before `until`; None where it is there already, or nobody has more yet.

    An interrupted fetch that asked the same goes on where it stopped, up to the day it had in mind.  Nothing is written before
    everything is there and checked.  Raises VendorError where no source answers, ChecksFailed where a blocking check finds something.
    """
    facts = lake.facts() if lake.has("about") else {}
    if facts.get("price_basis") == "adjusted" or facts.get("simulated"):
        held = "a simulated market" if facts.get("simulated") else "adjusted prices, and sources give them raw"
        raise KestrelError(f"{lake.uri} holds {held}. Fetch into another lake: kestrel --lake OTHER data fetch")
    question = json.loads(wish.model_dump_json()) | {"sources": chain.names}
    done = json.loads(facts["fetched"]) if facts.get("fetched", "").startswith("{") else None
    last = Sessions.of(lake.read("calendar") if lake.has("calendar") else calendar.seed()).last(until)
    if done and done["question"] == question and date.fromisoformat(done["through"]) >= last:
        return None
    staging = Staging(beside(lake.uri))
    aim = date.fromisoformat(staging.open(question, str(last)))
    known = done is not None and wish.since >= date.fromisoformat(done["since"])
    run = _Run(lake, chain, wish, staging, aim, track, known)
    try:
        outcome = run.outcome()
    except VendorError:
        raise  # the pieces so far are good
    except KestrelError:
        staging.clear()  # among them is what was refused: it must be asked again
        raise
    if outcome is not None:
        since = done["since"] if known and done else str(wish.since)
        told = {"question": question, "since": since, "through": str(outcome.through)}
        changed = {"import": "fetched since"} if "import" in facts else {}
        lake.state({"schema_version": str(SCHEMA_VERSION), "price_basis": "raw", "fetched": json.dumps(told), **changed})
    staging.clear()
    if outcome is not None and aim < last:
        outcome.notes.append(f"This finished an interrupted fetch up to {aim}. Run it again for the sessions since.")
    return outcome


def held_since(lake: Lake) -> date | None:
    """The first day that fetches of this lake have asked for; None where there was none."""
    told = lake.facts().get("fetched", "") if lake.has("about") else ""
    return date.fromisoformat(json.loads(told)["since"]) if told.startswith("{") else None


@dataclass
class _Run:
    """One fetch under way.  until: its last session.  known: whether the lake's rows go back as far as is wished."""

    lake: Lake
    chain: Chain
    wish: Wish
    staging: Staging
    until: date
    track: Track
    known: bool
    notes: list[str] = field(default_factory=list)
    answers: dict[str, Counter[str]] = field(default_factory=dict)

    def outcome(self) -> Outcome | None:
        """Ask for everything, check it, commit it."""
        tables = {name: frame for name, frame in self._tables().items() if frame.height}
        if "bars" in self.wish.tables and "bars" not in tables:
            return None
        whole = merged(self.lake, tables)
        others = {name: self.lake.read(name) for name in self.lake.tables() if name in TABLES and name not in whole}
        findings = check(others | whole, "raw")
        refuse(findings, f"What was fetched for {self.lake.uri}")
        commit(self.lake, tables, whole)
        through = tables["bars"]["date"].sort()[-1] if "bars" in tables else self.until
        rows = {name: tables[name].height for name in TABLES if name in tables}
        return Outcome(through, rows, {name: dict(found) for name, found in self.answers.items()}, self.notes, findings)

    def _tables(self) -> dict[str, pl.DataFrame]:
        """Every table's new rows."""
        wanted, days = self.wish.tables, self._calendar()
        securities = self._securities()
        tables = {"calendar": days}
        if "members" in wanted and self.wish.index:
            tables["members"] = self._members(self.wish.index, days)
        stocks = self._stocks(securities, tables.get("members"))
        if "bars" in wanted:
            tables |= self._bars(stocks, securities, days)
        if "index_bars" in wanted and self.wish.index:
            tables["index_bars"] = self._index_bars(self.wish.index)
        if "industries" in wanted and self.chain.offers("industries"):
            tables["industries"] = self._gather("industries", [(self._lacking("industries"),)])
        for name in (name for name in EXTRA if name in wanted):
            tables[name] = self._of_each(name, stocks)
        return tables

    # -- pieces

    def _gather(self, function: str, asked: Sequence[tuple[Any, ...]], *, empty: Empty = "ask on") -> pl.DataFrame:
        """The answers to all that is asked of one function, one after another."""
        frames = [self._piece(function, args, empty) for args in self.track(asked, function.replace("_", " "))]
        return pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()

    def _piece(self, function: str, args: tuple[Any, ...], empty: Empty) -> pl.DataFrame:
        """One answer; what an interrupted fetch kept isn't asked again."""
        found = self.staging.piece(function, args)
        if found is None:
            found = self.chain.ask(function, *args, empty=empty)
            self.staging.keep(function, args, *found)
        self.answers.setdefault(function, Counter())[found[0]] += 1
        return found[1]

    def _lacking(self, name: str) -> Span:
        """The days of a table without a date of its own: those after the last bar, all of them where the table isn't there."""
        start = after(self.lake, "bars") if self.known and self.lake.has(name) else None
        return Span(min(start or self.wish.since, self.until), self.until)

    # -- tables

    def _calendar(self) -> pl.DataFrame:
        """The exchange's sessions: by a source's word in the span it tells, by the seed's before and after."""
        seed = calendar.seed()
        if not self.chain.offers("calendar"):
            return seed
        span = Span(self.wish.since, self.until)
        told = self._gather("calendar", [(span,)], empty="refuse")["date"].to_list()
        return calendar.table([*told, *(day for day in seed["date"].to_list() if not span.start <= day <= span.end)])

    def _securities(self) -> pl.DataFrame:
        """Every share ever listed; where no source lists them, none: then the bars tell."""
        if self.chain.offers("securities"):
            return self._gather("securities", [()], empty="refuse")
        return pl.DataFrame(schema={"symbol": pl.String, "name": pl.String, "list_date": pl.Date, "delist_date": pl.Date})

    def _members(self, index: str, days: pl.DataFrame) -> pl.DataFrame:
        """The lists of members that the lake lacks, asked month by month; only a month that isn't over may have none."""
        start = after(self.lake, "members", index) if self.known else None
        spans = months(Span(start or self.wish.since, self.until))
        frames = [self._gather("members", [(index, span) for span in spans[:-1]], empty="refuse")]
        has_some = start is not None or len(spans) > 1
        frames.append(self._gather("members", [(index, span) for span in spans[-1:]], empty="believe" if has_some else "refuse"))
        found = pl.concat([frame for frame in frames if frame.height] or frames, how="diagonal_relaxed")
        return on_sessions(found, days).filter(pl.col("date") <= self.until) if found.height else found

    def _stocks(self, securities: pl.DataFrame, members: pl.DataFrame | None) -> list[str]:
        """The stocks wished for: named, or members of the index at any time the lake knows of."""
        if "all" in self.wish.symbols:
            return sorted(securities["symbol"].to_list())
        stocks = set(self.wish.symbols)
        lists = [members] if members is not None and members.height else []
        lists += [self.lake.read("members")] if self.lake.has("members") else []
        for frame in lists:
            stocks |= set(frame.filter(pl.col("index") == self.wish.index)["symbol"].to_list())
        if not stocks:
            raise KestrelError("There is no stock to fetch: name an index (--index 000905.SH) or stocks (--symbols 600000,000001).")
        return sorted(stocks)

    def _bars(self, stocks: list[str], securities: pl.DataFrame, days: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Bars, caps, securities and dividends: what follows the lake's last bar of each stock."""
        spans = stock_spans(self.lake if self.known else None, stocks, securities, Sessions.of(days), Span(self.wish.since, self.until))
        found = self._quotes(spans, days)
        if found.height:
            found, left_out = settled(found, securities, list(spans))
            self.notes += left_out
        if not found.height:
            return {}
        context = last_bars(self.lake, spans)
        found = self._with_suspensions(found, context, securities, list(spans))
        tables = assembled(found, context, securities, days)
        if "dividends" in self.wish.tables and self.chain.offers("dividends"):
            paid = self._gather("dividends", [(stock, Span(*span)) for stock, span in ex_days(tables["bars"], context).items()])
            tables["dividends"] = one_per_ex_date(paid) if paid.height else paid
        return tables

    def _quotes(self, spans: dict[str, Span], days: pl.DataFrame) -> pl.DataFrame:
        """Bars of these spans: the commonest one by day where that takes fewer requests, the others by stock."""
        common, count = Counter(spans.values()).most_common(1)[0] if spans else (Span(self.until, self.until), 0)
        sessions = Sessions.of(days).between(*common)
        by_day = self._by_day(sessions) if self.chain.offers("market") and len(sessions) < count else None
        group = {stock for stock, span in spans.items() if span == common and by_day is not None}
        frames = [self._gather("bars", [(stock, span) for stock, span in spans.items() if stock not in group])]
        if by_day is not None and by_day.height:
            frames.append(by_day.filter(pl.col("symbol").is_in(group)))
        frames = [frame for frame in frames if frame.height]
        return pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()

    def _by_day(self, sessions: Sequence[date]) -> pl.DataFrame | None:
        """The whole market, session by session; a last one that nobody has yet is left for later.  None where stocks must be asked one by one."""
        frames = []
        try:
            frames.append(self._gather("market", [(day,) for day in sessions[:-1]], empty="refuse"))
            frames.append(self._gather("market", [(sessions[-1],)], empty="refuse"))
        except Absent as error:
            if not frames:
                raise
            self.notes.append(f"{sessions[-1]} is left out, nobody has it yet. Fetch again later.\n{error}")
        except VendorError as error:
            self.notes.append(f"Stocks were asked one by one, which takes longer.\n{error}")
            return None
        return pl.concat([frame for frame in frames if frame.height] or frames, how="diagonal_relaxed")

    def _with_suspensions(self, bars: pl.DataFrame, context: pl.DataFrame, securities: pl.DataFrame, asked: list[str]) -> pl.DataFrame:
        """Bars with a row on the last session for the stocks that a source calls suspended; the others without one are named."""
        last = bars["date"].sort()[-1]
        there = set(bars["symbol"].to_list()) | set(context["symbol"].to_list())
        gone = set(securities.filter(pl.col("delist_date") <= last)["symbol"].to_list())
        absent = sorted((set(asked) & there) - set(bars.filter(pl.col("date") == last)["symbol"].to_list()) - gone)
        if absent and self.chain.offers("suspensions"):
            told = self._gather("suspensions", [(last,)]).filter(pl.col("symbol").is_in(absent)).select("date", "symbol").unique()
            bars = pl.concat([bars, told.with_columns(is_trading=pl.lit(False))], how="diagonal_relaxed")
            absent = sorted(set(absent) - set(told["symbol"].to_list()))
        if absent:
            self.notes.append(f"{len(absent)} stocks have no bar on {last} (first: {absent[0]}): the next fetch asks for it again.")
        return bars

    def _index_bars(self, index: str) -> pl.DataFrame:
        """The index as price, and with dividends where a source has that."""
        start = after(self.lake, "index_bars", index) if self.known else None
        span = Span(start or self.wish.since, self.until)
        if span.start > span.end:
            return pl.DataFrame()
        found = self._gather("index_bars", [(index, span)], empty="refuse")
        try:
            returns = self._gather("total_returns", [(index, span)], empty="refuse")
        except VendorError as error:
            self.notes.append(f"{index} has no total return: against the price index, dividends look like skill.\n{error}")
            return found
        return found.join(returns.select("date", "close_tr"), on="date", how="left")

    def _of_each(self, name: str, stocks: list[str]) -> pl.DataFrame:
        """Reports or news of each stock; of one that is new to the lake since the first day wished for."""
        old = set(self.lake.scan("bars").select("symbol").unique().collect()["symbol"].to_list()) if self.lake.has("bars") else set()
        recent, whole = self._lacking(name), Span(self.wish.since, self.until)
        found = self._gather(name, [(stock, recent if stock in old else whole) for stock in stocks])
        return with_ids(found) if name == "news" and found.height else found
