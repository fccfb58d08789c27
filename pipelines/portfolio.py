"""Portfolio: the config's strategy over scores becomes an account; the lake says what its weighers know on each evening."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.benchmark import BenchmarkSettings, known_returns, levels
from backtest.construction import Construction, Trail
from backtest.enhancement import Enhancement, Enhancer, Outlook, risk_model
from backtest.futures.neutral import neutralise
from backtest.futures.result import NeutralResult
from backtest.guard import Guarded, Sight, told
from backtest.market import Market
from backtest.netting import netted
from backtest.result import Result
from backtest.risk.model import RiskModel
from backtest.simulation import SimulationSettings, simulate
from backtest.sleeves import Sleeve, Stack
from backtest.strategies import Targets, TopkBuffer, TopkDropout
from backtest.stress import sellable
from backtest.targets import Weigher, simulate_targets
from backtest.weights import IndexItself, index_weigher, weigher
from data.errors import KestrelError
from data.lake import Lake
from data.panel import Floats, to_panel
from factors.panel import axes_of, carried
from pipelines.config import Backtest, Config
from pipelines.explain import SIZE, Scene, scene

# D sessions, N stocks
TABLES = ("calendar", "bars", "securities", "dividends", "index_bars")  # that every account reads
KNOWN = ("members", "factors", "industries", "caps")  # that weighers and the guard read
EXACT = 1e-6  # the band of a book that decides about small trades itself


class Account(NamedTuple):
    """The account of some scores, and what the making of its book left behind."""

    result: Result
    trail: Trail


@dataclass(frozen=True)
class Ground:
    """What all accounts of a config stand on.  What weighers and hedges alone need is read when one of them asks."""

    lake: Lake
    config: Config
    market: Market
    risks: dict[str, RiskModel] = field(default_factory=dict)  # by their settings: they don't depend on scores

    @classmethod
    def of(cls, lake: Lake, config: Config, *, start: date | None = None, end: date | None = None) -> Self:
        """The lake as a market to trade in; with an end as it was known at that close."""
        bars, calendar = lake.read("bars", start=start, end=end), lake.read("calendar")
        axes = axes_of(bars, calendar)
        dividends = announced(lake, axes.dates[-1] if end is None else end)
        first = int(calendar.filter(pl.col("date") == axes.dates[0])["session"][0])
        rules, basis = config.exchange_rules(), lake.price_basis
        market = Market.of(bars, lake.read("securities"), dividends, axes, price_basis=basis, first_session=first, rules=rules)
        return cls(lake, config, market)

    @cached_property
    def index_bars(self) -> pl.DataFrame:
        """The table of index levels."""
        return self.lake.read("index_bars")

    @cached_property
    def index_D(self) -> Floats:
        """The benchmark's return of each session of the market, NaN where it is unknown."""
        return known_returns(self.index_bars, self.market.axes.dates, self.config.backtest.benchmark)

    @cached_property
    def seen(self) -> Scene:
        """The index and the stocks' traits at every close; raises KestrelError where nobody ever knew the index's members."""
        index = self.config.backtest.benchmark.index
        found = scene(self.lake, self.market.axes, index)
        if not found.known_D.any():
            raise KestrelError(f"The lake has no members of {index}, which the strategy or its guard reads. Import members, or choose topk_buffer.")
        return found

    @cached_property
    def outlook(self) -> Outlook:
        """All that an enhancement knows besides scores."""
        seen = self.seen
        return Outlook(np.empty((0, 0)), np.nan_to_num(seen.weights_DN), seen.styles, seen.groups_DN, seen.groups, seen.remarks)

    @cached_property
    def sight(self) -> Sight:
        """What a guard looks at."""
        return Sight(self.market, self.index_D, self.outlook.index_DN, self.seen.styles)

    def risk(self, settings: Enhancement) -> RiskModel:
        """The risk model of these settings; raises KestrelError where one of styles would lack the stocks' float caps."""
        key = settings.model_dump_json(include={"risk", "style_risk", "statistical_risk"})
        if key not in self.risks:
            if settings.risk == "styles" and SIZE not in self.seen.styles:
                why = f"A risk model of styles weighs stocks by float cap, which the factor table lacks. {' '.join(self.seen.remarks)}"
                raise KestrelError(f"{why} Or set backtest.strategy.risk = 'statistical'.")
            cap_DN = np.exp(carried(self.seen.styles[SIZE])) if settings.risk == "styles" else np.empty((0, 0))
            self.risks[key] = risk_model(settings, self.outlook, traded_returns(self.market), cap_DN, self._makers())
        return self.risks[key]

    def _makers(self) -> NDArray[np.bool_]:
        """The stocks that make a risk model's factors, [D, N]: members of the index, and all before anyone knows them."""
        return ((self.outlook.index_DN > 0) | ~self.seen.known_D[:, None]) & np.isfinite(self.market.close_DN)


def announced(lake: Lake, day: date) -> pl.DataFrame:
    """Dividends that are public at the close of `day`."""
    if not lake.has("dividends"):
        return pl.DataFrame(schema={"symbol": pl.String, "ex_date": pl.Date})
    return lake.read("dividends").filter(pl.min_horizontal("ex_date", "announced_on") <= day)


def traded_returns(market: Market) -> Floats:
    """Returns over the reference price, rights counted, [D, N]; NaN unless a stock traded in this session and the one before."""
    returns_DN = np.full(market.axes.shape, np.nan)
    both_DN = market.trading_DN[1:] & market.trading_DN[:-1]
    returns_DN[1:] = np.where(both_DN, market.close_DN[1:] / market.reference_DN[1:] - 1, np.nan)
    return returns_DN


def span(scores_DN: Floats, ground: Ground) -> tuple[date, date]:
    """The sessions from the one after the first score to the one after the last, inside the config's start and end.

    Raises KestrelError where no score lies on the market, or the config leaves no session.
    """
    days, settings = ground.market.axes.dates, ground.config.backtest
    scored = np.flatnonzero(np.isfinite(scores_DN).any(axis=1))
    if not len(scored):
        raise KestrelError("None of the scores lies on a session and stock of the lake. Check their dates and symbols.")
    inside = [day for day in days[scored[0] + 1 : scored[-1] + 2] if (settings.start or day) <= day <= (settings.end or day)]
    if scored[0] + 1 == len(days):
        raise KestrelError(f"The scores begin on {days[-1]}, the last session of the lake, so none is left to trade them. Bring the lake up to date.")
    if not inside:
        found = f"The scores can be traded from {days[scored[0] + 1]} to {days[min(scored[-1] + 1, len(days) - 1)]}"
        raise KestrelError(f"{found}, but backtest.start is {settings.start} and backtest.end {settings.end}. Choose days inside.")
    return inside[0], inside[-1]


def trade(scores: pl.DataFrame, ground: Ground, simulation: SimulationSettings | None = None) -> Account:
    """The account of one model's scores, or with sleeves of every model's, from the session after the first score on.

    simulation: in the place of the config's.
    """
    settings, market = ground.config.backtest, ground.market
    if simulation is not None:
        settings = settings.model_copy(update={"simulation": simulation})
    if not ranked(ground.config):
        return _weighed(scores, ground, settings)
    assert isinstance(settings.strategy, TopkDropout | TopkBuffer)
    scores_DN = to_panel(scores, "score", market.axes)
    start, end = span(scores_DN, ground)
    result = simulate(
        scores_DN,
        market,
        strategy=settings.strategy,
        costs=settings.costs,
        settings=settings.simulation,
        start=start,
        end=end,
        rules=ground.config.exchange_rules(),
    )
    return Account(result, Trail())


@dataclass(frozen=True)
class Weighing:
    """The weigher of a config over some scores, and the parts of it that leave something behind."""

    whole: Weigher
    panels: list[Floats]  # the scores of each strategy
    enhancers: dict[str | None, Enhancer]
    stack: Stack | None
    guarded: Guarded | None

    @classmethod
    def of(cls, scores: pl.DataFrame, ground: Ground) -> Self:
        """The strategy's weigher, or the sleeves' stacked, within the guard's limits."""
        settings, market = ground.config.backtest, ground.market
        wanted: dict[str | None, tuple[Construction, pl.DataFrame]] = {None: (settings.strategy, scores)}
        if settings.sleeves:
            wanted = {sleeve.name: (sleeve.strategy, _of(sleeve.model, scores)) for sleeve in settings.sleeves}
        panels = {name: to_panel(own, "score", market.axes) for name, (_, own) in wanted.items()}
        each = {name: weigher_of(strategy, panels[name], ground) for name, (strategy, _) in wanted.items()}
        stack = None
        if settings.sleeves:
            sleeves = [Sleeve(sleeve.name, each[sleeve.name], sleeve.budget) for sleeve in settings.sleeves]
            stack = Stack(sleeves, market, stacking=settings.stacking, index_D=ground.index_D)
        whole: Weigher = stack or each[None]
        guarded = Guarded(whole, ground.sight, settings.guard) if settings.guard else None
        enhancers = {name: one for name, one in each.items() if isinstance(one, Enhancer)}
        return cls(guarded or whole, list(panels.values()), enhancers, stack, guarded)

    @property
    def targets(self) -> Targets:
        """How exactly its weights are held."""
        return Targets(band=EXACT) if self.enhancers else Targets()

    def memory(self) -> dict[str, Any]:
        """What this evening leaves to the next; nothing where a book says it all."""
        return {name: part.memory() for name, part in self._parts.items()}

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Go on from the memory of the evening before."""
        for name, part in self._parts.items():
            if name in memory:
                part.recall(memory[name])

    @property
    def _parts(self) -> dict[str, Stack | Guarded | Enhancer]:
        """Those that remember, by a name of their own."""
        found: dict[str, Stack | Guarded | Enhancer | None] = {"sleeves": self.stack, "guard": self.guarded}
        found |= {f"enhancement {name}" if name else "enhancement": one for name, one in self.enhancers.items()}
        return {name: part for name, part in found.items() if part is not None}


def ranked(config: Config) -> bool:
    """Whether the compiled loop decides by scores alone; otherwise a weigher is asked every evening."""
    return not config.backtest.sleeves and isinstance(config.backtest.strategy, TopkDropout | TopkBuffer)


def _weighed(scores: pl.DataFrame, ground: Ground, settings: Backtest) -> Account:
    """The account of weighers."""
    market = ground.market
    weighing = Weighing.of(scores, ground)
    stack, guarded = weighing.stack, weighing.guarded
    start, end = span(np.fmax.reduce(weighing.panels), ground)
    result = simulate_targets(
        weighing.whole,
        market,
        costs=settings.costs,
        settings=settings.simulation,
        targets=weighing.targets,
        start=start,
        end=end,
        rules=ground.config.exchange_rules(),
    )
    parts = netted(result, stack.names, stack.targets_SN, market, deal=settings.simulation.deal) if stack else None
    cuts = told(guarded.cuts, market.axes.dates) if guarded else None
    result = result if stack else replace(result, strategy=settings.strategy)
    return Account(result, Trail.of(weighing.enhancers, cuts, parts))


def weigher_of(strategy: Construction, scores_DN: Floats, ground: Ground) -> Weigher:
    """A strategy over scores as a weigher."""
    assert not isinstance(strategy, TopkDropout | TopkBuffer), "the compiled loop decides these itself"
    if isinstance(strategy, IndexItself):
        return index_weigher(ground.outlook.index_DN, invested=strategy.invested)
    if not isinstance(strategy, Enhancement):
        return weigher(strategy, scores_DN, ground.market)
    outlook, config = replace(ground.outlook, scores_DN=scores_DN), ground.config
    return Enhancer(strategy, outlook, ground.risk(strategy), ground.market, costs=config.backtest.costs, rules=config.exchange_rules())


def hedged(result: Result, ground: Ground) -> NeutralResult | None:
    """The account around a long book that is short of index futures; None where the config has no hedge."""
    neutral, lake = ground.config.backtest.hedge, ground.lake
    if neutral is None:
        return None
    if not lake.has("futures_bars"):
        raise KestrelError("backtest.hedge is short of index futures, and the lake has no futures_bars. Import them, or leave the hedge out.")
    return neutralise(
        result,
        lake.read("futures_bars"),
        ground.index_bars,
        neutral=neutral,
        calendar=lake.read("calendar")["date"].to_list(),
        sellable_D=sellable(result, ground.market),
        rules=ground.config.exchange_rules(),
    )


def index_returns(ground: Ground, dates: tuple[date, ...], settings: BenchmarkSettings) -> Floats:
    """Daily returns of an index over consecutive sessions of the market, [D]; raises KestrelError where a level is unknown."""
    first = ground.market.axes.index(dates[0])
    found = levels(ground.index_bars, ground.market.axes.dates[first - 1 : first + len(dates)], settings)
    return np.asarray(found[1:] / found[:-1] - 1)


def versions(lake: Lake, config: Config) -> Mapping[str, int]:
    """The versions of the tables that this config's accounts read."""
    tables = [*TABLES, *(() if ranked(config) else KNOWN), *(("futures_bars",) if config.backtest.hedge else ())]
    return {name: lake.version(name) for name in tables if lake.has(name)}


def _of(model: str, scores: pl.DataFrame) -> pl.DataFrame:
    """One model's scores; raises KestrelError where there are none."""
    own = scores.filter(pl.col("model") == model)
    if own.is_empty():
        there = ", ".join(scores["model"].unique(maintain_order=True))
        raise KestrelError(f"A sleeve of backtest.sleeves trades '{model}', which has no scores here. There are: {there}.")
    return own
