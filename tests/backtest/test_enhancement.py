"""The fund on a random market: limits hold in its real book, nothing later is read, and what gives way is told."""

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest

from backtest.benchmark import BenchmarkSettings, returns
from backtest.costs import FREE, CostSettings
from backtest.enhancement import Enhancement, Enhancer, Outlook
from backtest.market import Market
from backtest.metrics import tracking_error
from backtest.optimise.limits import Limits
from backtest.result import Result
from backtest.risk.styles import StyleRisk
from backtest.simulation import SimulationSettings
from backtest.targets import Evening, Targets, simulate_targets
from backtest.weights import index_weigher
from data.lake import Lake
from data.members import drifted_panel
from data.panel import to_panels
from factors.panel import axes_of

SESSIONS, STOCKS, BEGIN = 150, 40, 130
LIMITS = Limits(tracking_error=0.06, name=0.05, industry=0.08, style=0.5, styles={}, turnover=0.2)


@pytest.fixture(scope="module")
def world(market_of: Callable[..., Market]) -> dict[str, Any]:
    rng = np.random.default_rng(11)
    groups = np.tile(np.arange(STOCKS) % 4, (SESSIONS, 1))
    daily = 0.01 * rng.normal(size=(SESSIONS, 1)) + 0.005 * rng.normal(size=(SESSIONS, 4))[:, groups[0]] + 0.015 * rng.normal(size=(SESSIONS, STOCKS))
    close = np.round(20 * np.cumprod(1 + daily, axis=0), 2)
    trading = rng.random((SESSIONS, STOCKS)) > 0.03
    symbols = tuple(f"{600000 + n}.SH" for n in range(STOCKS))
    market = market_of(close, symbols=symbols, trading=trading)
    member = np.arange(STOCKS) < 35
    index = close * member * np.exp(rng.normal(size=STOCKS))
    return {
        "market": market,
        "returns": np.vstack([np.full((1, STOCKS), np.nan), close[1:] / close[:-1] - 1]),
        "caps": close * 1e8,
        "member": np.tile(member, (SESSIONS, 1)),
        "index": index / index.sum(axis=1, keepdims=True),
        "style": np.tile(rng.normal(size=STOCKS), (SESSIONS, 1)),
        "scores": rng.normal(size=(SESSIONS, STOCKS)),
        "groups": groups,
    }


def enhancer(world: dict[str, Any], **changes: Any) -> Enhancer:
    names = ["a", "b", "c", "d"]
    outlook = Outlook(world["scores"], world["index"], {"Style": world["style"]}, world["groups"], names, ["Industries are of 2026."])
    risk = StyleRisk(world["returns"], {"Style": world["style"]}, world["caps"], world["member"], groups_DN=world["groups"], groups=names)
    settings = Enhancement(**({"limits": LIMITS, "every": 1, "ic": 0.1} | changes))
    return Enhancer(settings, outlook, risk, world["market"], costs=CostSettings())


@pytest.fixture(scope="module")
def account(world: dict[str, Any]) -> tuple[Enhancer, Result]:
    fund = enhancer(world)
    dates = world["market"].axes.dates
    result = simulate_targets(
        fund, world["market"], costs=CostSettings(), settings=SimulationSettings(cash=1e8), targets=Targets(band=1e-6), start=dates[BEGIN]
    )
    return fund, result


def cash_evening(world: dict[str, Any], session: int) -> Evening:
    nothing = np.zeros(STOCKS)
    return Evening(session, nothing, nothing.astype(np.int64), world["market"].last_DN[session], 1e8, 1e8)


def test_the_aimed_book_keeps_every_limit_and_is_whole_lots(world: dict[str, Any]) -> None:
    fund, evening = enhancer(world), cash_evening(world, BEGIN)
    weights = fund(evening)
    assert weights is not None
    index = world["index"][BEGIN]
    assert 0.98 - 1e-3 <= weights.sum() <= 0.99 + 1e-3
    assert np.abs(weights - index)[world["market"].trading_DN[BEGIN]].max() <= LIMITS.name + 1e-4
    assert fund.forecasts["tracking_error"][0] <= LIMITS.tracking_error
    shares = weights * evening.equity / evening.price_N
    assert ((shares - 0.5) / 100)[shares > 0] == pytest.approx(np.rint((shares - 0.5) / 100)[shares > 0], abs=1e-6)


def test_the_simulated_account_comes_to_the_lots_that_are_meant(world: dict[str, Any], account: tuple[Enhancer, Result]) -> None:
    fund, evening = enhancer(world), cash_evening(world, BEGIN - 1)
    weights = fund(evening)
    assert weights is not None
    _, result = account
    meant = np.floor(weights * evening.equity / evening.price_N).astype(np.int64)
    bought = np.where(world["market"].trading_DN[BEGIN], meant, 0)
    filled = result.shares_DN[0]
    assert (filled == bought)[filled > 0].mean() > 0.9  # the rest met a limit


def test_turnover_stays_within_its_cap_once_the_book_stands(account: tuple[Enhancer, Result]) -> None:
    fund, result = account
    assert fund.forecasts["turnover"][1:].max() <= LIMITS.turnover + 1e-6  # type: ignore[operator]
    assert result.turnover_D[1:].max() <= LIMITS.turnover + 0.02  # prices of the next session


def test_what_gave_way_is_a_frame_of_date_constraint_wanted_and_given(account: tuple[Enhancer, Result]) -> None:
    fund, _ = account
    assert fund.relaxations.columns == ["date", "constraint", "wanted", "given"]
    assert fund.forecasts.height == SESSIONS - BEGIN
    assert "Industries are of 2026." in fund.remarks


def test_suspended_names_keep_the_weight_they_have(world: dict[str, Any], account: tuple[Enhancer, Result]) -> None:
    _, result = account
    held, market = result.shares_DN, world["market"]
    day = next(d for d in range(1, len(held)) if ((held[d] > 0) & ~market.trading_DN[BEGIN + d]).any())
    shares, price = held[day], market.last_DN[BEGIN + day]
    value = shares * price
    evening = Evening(BEGIN + day, value / result.nav_D[day], shares, price, float(result.cash_D[day]), float(result.nav_D[day]))
    weights, stuck = enhancer(world)(evening), ~market.trading_DN[BEGIN + day]
    assert weights is not None
    assert (weights[stuck] == evening.weights_N[stuck]).all()


def test_later_rows_change_no_book(world: dict[str, Any]) -> None:
    poisoned = {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in world.items()}
    for name in ("returns", "caps", "index", "style", "scores"):
        poisoned[name][BEGIN + 1 :] = 7.7
    poisoned["member"][BEGIN + 1 :] = False
    poisoned["market"] = world["market"].until(BEGIN + 1)
    honest, blind = (enhancer(one)(cash_evening(world, BEGIN)) for one in (world, poisoned))
    assert honest is not None
    assert np.array_equal(honest, blind)


def test_no_opinion_and_unknown_members_leave_the_book_alone(world: dict[str, Any]) -> None:
    assert enhancer(world | {"scores": np.full((SESSIONS, STOCKS), np.nan)})(cash_evening(world, BEGIN)) is None
    assert enhancer(world | {"index": np.zeros((SESSIONS, STOCKS))})(cash_evening(world, BEGIN)) is None


def test_the_calendar_says_when_to_look_again(world: dict[str, Any]) -> None:
    fund, evening = enhancer(world, every=5), cash_evening(world, BEGIN)
    held = evening._replace(shares_N=np.full(STOCKS, 100))
    assert fund(held) is None  # session 131 trades, and 131 isn't a multiple of 5
    assert fund(evening) is not None


@pytest.mark.slow
def test_the_index_held_by_its_members_tracks_000905_within_1_1_percent_a_year(pack_lake: Lake) -> None:
    bars = pack_lake.read("bars", start=date(2015, 1, 1))
    axes = axes_of(bars, pack_lake.read("calendar"))
    panels = to_panels(bars, ["close", "adj"], axes)
    index_DN, _ = drifted_panel(pack_lake.read("members"), axes, "000905.SH", panels["close"] * panels["adj"])
    no_rights = pl.DataFrame(schema={"symbol": pl.String, "ex_date": pl.Date})
    market = Market.of(bars, pack_lake.read("securities"), no_rights, axes, price_basis=pack_lake.price_basis)
    start = next(day for day in axes.dates if day.year == 2017)
    account = SimulationSettings(cash=1e9)
    result = simulate_targets(index_weigher(np.nan_to_num(index_DN)), market, costs=FREE, settings=account, start=start)
    index_D = returns(pack_lake.read("index_bars"), result.dates, BenchmarkSettings(kind="price"))
    assert tracking_error(result.returns_D, index_D) <= 0.011
