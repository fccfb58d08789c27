"""Build: the factor table of a lake, of which only what is missing, redefined or dated after a change in the data is computed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import cache
from io import BytesIO
from itertools import chain, pairwise
from typing import Any

import polars as pl

from data import events, members, publication, reports
from data import panel as data_panel
from data.errors import KestrelError
from data.history import first_difference, unshared
from data.lake import Lake
from data.progress import Counted, Track, silent
from factors import build, compute, elementwise, folds, kernels, machine, program, registry, sections, statements
from factors import panel as panel_file
from factors.alpha158 import quantiles, slabs, tiles, windows
from factors.cached import digest
from factors.panel import TABLES, Panel, build_panel, of_one_scorer
from factors.plugins import extend
from pipelines.config import Config
from pipelines.scale import ScaleSettings, spread

MAKERS = (
    *(events, members, data_panel, publication, reports, panel_file, statements, build, compute, program, machine, folds, elementwise, kernels),
    *(sections, tiles, windows, quantiles, slabs),
)
FACT = "factors"  # the lake's fact that holds the State of its factor table


@dataclass(frozen=True)
class State:
    """What a factor table was built from.

    table: its own version.  versions: of the tables it was computed from.  definitions: each factor's expression.  basis: of the
    prices.  sets, scorer, latency: what was asked for.  code: that made
    the values.  key: equal ones mean equal factor tables.
    """

    table: int
    versions: dict[str, int]
    definitions: dict[str, str]
    basis: str
    sets: list[str]
    scorer: str | None
    latency: float
    code: str
    key: str


@dataclass(frozen=True)
class Work:
    """What a build did: factors computed over all sessions since their definition is new, and the day from which on all were (None: none)."""

    fresh: list[str]
    since: date | None

    def __str__(self) -> str:
        """What was done, for a person."""
        if self.since is None:
            return f"are current, {len(self.fresh)} of them new or redefined and computed over all sessions" if self.fresh else "are current"
        return "were computed over all sessions" if self.since == date.min else f"were computed from {self.since} on"


@cache
def code() -> str:
    """A digest of the files between the lake's tables and a factor's value; after an edit of one, values are made anew."""
    return digest(*(str(module.__file__) for module in MAKERS))


@dataclass(frozen=True)
class Asked:
    """What a factor table is to hold: sets, users' modules, whose scores of news, and the minutes it takes to read a piece."""

    sets: tuple[str, ...] = ("library",)
    modules: tuple[str, ...] = ()
    scorer: str | None = None
    latency: float = 0.0

    def panel(self, lake: Lake) -> Panel:
        """The panel of the lake's tables."""
        return build_panel(self.tables(lake), latency=timedelta(minutes=self.latency))

    def tables(self, lake: Lake) -> dict[str, pl.DataFrame]:
        """The tables that factors read, news_scores those of one scorer."""
        tables = {name: lake.read(name) for name in ("calendar", *TABLES) if lake.has(name)}
        if "news_scores" in tables:
            tables["news_scores"] = of_one_scorer(tables["news_scores"], self.scorer)
        return tables

    def key(self, versions: Mapping[str, int]) -> str:
        """A hash of the definitions, of the versions of the tables, of how news are read, and of the code that makes values."""
        return build.key(registry.select(sets=self.sets), versions, self.scorer, self.latency, code())


def asked(config: Config) -> Asked:
    """What a config asks for."""
    return Asked(config.factors.sets, config.factors.modules, config.factors.scorer, config.sentiment.latency)


def build_factors(lake: Lake, config: Config | None = None, *, track: Track = silent) -> tuple[build.Choice, Work]:
    """Bring the factor table up to date with the config, by default one of defaults alone.  (what is available, what was computed)

    A factor whose definition is new is computed over all sessions; the others from the first session on that a change of the tables
    could move.  Values are those of a build from nothing, to the bit.
    """
    config = config or Config()
    wanted, versions, state = asked(config), _versions(lake), _state(lake)
    factors, key = registry.select(sets=wanted.sets), wanted.key(versions)
    if state is not None and state.key == key:
        return build.Choice([factor for factor in factors if factor.name in state.definitions], {}), Work([], None)
    panel = wanted.panel(lake.fixed(versions))  # of these versions, whatever others write meanwhile
    choice = build.choose(factors, panel, lake.price_basis)
    names = [factor.name for factor in choice.available]
    known = {} if state is None else state.definitions
    fresh = [factor.name for factor in choice.available if known.get(factor.name) != factor.expr.text]
    since = _since(lake, state, wanted, versions)
    there = {} if state is None else {"factors": state.table}
    plan = _Plan(lake.uri, versions | there, wanted, names, fresh, since or date.max)
    if not fresh and set(names) == set(known) and len(panel.axes.dates) - panel.axes.index(plan.since) <= build.BLOCK:
        _renew(lake, plan, panel)
    else:
        lake.stream("factors", _frames(plan, panel, config.scale, track))
    definitions = {factor.name: factor.expr.text for factor in choice.available}
    made = State(lake.version("factors"), versions, definitions, lake.price_basis, list(wanted.sets), wanted.scorer, wanted.latency, code(), key)
    lake.state({FACT: json.dumps(asdict(made))})
    return choice, Work(fresh, since)


def current_factors(lake: Lake) -> str:
    """The key of the factor table; raises KestrelError where it is missing or older than the tables it came from."""
    if not lake.has("factors"):
        raise KestrelError("The lake has no factor table yet. Run: kestrel factors build")
    state = _state(lake)
    if state is None or state.key != Asked(tuple(state.sets), (), state.scorer, state.latency).key(_versions(lake)):
        raise KestrelError("The factor table is older than the data or the factors' definitions. Run: kestrel factors build")
    return state.key


def _versions(lake: Lake) -> dict[str, int]:
    return {name: lake.version(name) for name in ("calendar", *TABLES) if lake.has(name)}


def _state(lake: Lake) -> State | None:
    """What the factor table was built from; None where there is none, or where it isn't the one that the lake's facts speak of."""
    if not lake.has("factors"):
        return None
    try:
        raw: dict[str, Any] = json.loads(lake.facts().get(FACT, ""))
        state = State(**raw)
    except (ValueError, TypeError):
        return None  # an older Kestrel's
    return state if state.table == lake.version("factors") else None


def _since(lake: Lake, state: State | None, wanted: Asked, after: Mapping[str, int]) -> date | None:
    """The first day from which on values may differ from those that are there; None where the tables hold the same rows."""
    if state is None or (state.basis, state.scorer, state.latency, state.code) != (lake.price_basis, wanted.scorer, wanted.latency, code()):
        return date.min
    before, old, new, days = state.versions, lake.fixed(state.versions), lake.fixed(after), []
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            if name not in before or name not in after:
                return date.min  # a column more or less may be null where it was not
            try:
                start = unshared(old.open(name, before[name]), new.open(name, after[name]))
                was = _dated(old, name, start)
            except KestrelError:  # vacuumed
                return date.min
            days.append(first_difference("news" if name == "news_scores" else name, was, _dated(new, name, start)))
    return min((day for day in days if day is not None), default=None)


def _dated(lake: Lake, name: str, start: date | None) -> pl.DataFrame:
    """A table from a day on; scores of news with the moment at which their news was published."""
    frame = lake.read(name, start=start)
    return frame.join(lake.read("news").select("id", "published_at"), on="id", how="left") if name == "news_scores" else frame


@dataclass(frozen=True)
class _Plan:
    """What a factor table is made of, in plain values, so that another process can make a part of it.

    Sessions before `since` take the factors that aren't `fresh` from the table that is there; all else is computed.
    """

    uri: str
    versions: dict[str, int]  # of the factor table that is there, too
    asked: Asked
    names: list[str]
    fresh: list[str]
    since: date


@dataclass(frozen=True)
class _Part:
    """Sessions of a plan: all before `since`, or none."""

    plan: _Plan
    first: date
    last: date


def _frames(plan: _Plan, panel: Panel, scale: ScaleSettings, track: Track) -> Iterator[pl.DataFrame]:
    """The whole table, in order."""
    days = panel.axes.dates
    cut = panel.axes.index(plan.since)
    if scale.on == "local":
        parts = _parts(plan, days, cut, len(days))
        blocks = chain.from_iterable(_made(part, panel) for part in parts)
        yield from track(Counted(blocks, -(-cut // build.BLOCK) + -(-(len(days) - cut) // build.BLOCK)), "factors")
    else:
        # Each part reads the lookback before it again: few and large ones, but enough of them to keep everyone at work.
        parts = _parts(plan, days, cut, -(-len(days) // (2 * scale.width)))
        yield from map(pl.read_ipc, track(Counted(spread(_elsewhere, parts, scale), len(parts)), "factors"))


def _parts(plan: _Plan, days: Sequence[date], cut: int, size: int) -> list[_Part]:
    edges = sorted({*range(0, cut, size), *range(cut, len(days), size), len(days)})
    return [_Part(plan, days[start], days[stop - 1]) for start, stop in pairwise(edges)]


def _elsewhere(part: _Part) -> bytes:
    """A part of the table as an Arrow file, made in a process that has nothing but the lake."""
    extend(part.plan.asked.modules)
    panel = part.plan.asked.panel(Lake(part.plan.uri, versions=part.plan.versions))
    made = BytesIO()
    pl.concat(_made(part, panel)).write_ipc(made)
    return made.getvalue()


def _made(part: _Part, panel: Panel) -> Iterator[pl.DataFrame]:
    """A part of the table, block by block."""
    plan = part.plan
    computed = plan.names if part.first >= plan.since else plan.fresh
    kept = [name for name in plan.names if name not in set(computed)]
    there = Lake(plan.uri, versions=plan.versions)
    if not computed:
        yield there.read("factors", columns=["date", "symbol", *kept], start=part.first, end=part.last)
        return
    factors = [factor for factor in registry.select(sets=plan.asked.sets) if factor.name in set(computed)]
    for frame in build.frames(factors, panel, start=panel.axes.index(part.first), stop=panel.axes.index(part.last) + 1):
        if kept and frame.height:
            old = there.read("factors", columns=["date", "symbol", *kept], start=frame["date"][0], end=frame["date"][-1])
            frame = frame.join(old, on=["date", "symbol"], how="left", maintain_order="left")
        yield frame.select("date", "symbol", *plan.names)


def _renew(lake: Lake, plan: _Plan, panel: Panel) -> None:
    """Replace the sessions from `since` on; none where the tables hold the rows that they held."""
    if plan.since == date.max:
        return
    row = panel.axes.index(plan.since)
    frames = build.frames(registry.select(plan.names, sets=plan.asked.sets), panel, start=row) if row < len(panel.axes.dates) else iter(())
    nothing = lake.read("factors", start=date.max)
    lake.replace("factors", pl.concat([nothing, *(frame.select(nothing.columns) for frame in frames)]), plan.since, date.max)
