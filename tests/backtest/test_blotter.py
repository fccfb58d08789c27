"""An account of written orders is the account of whoever wrote them, to the cent."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.blotter import trade_orders
from backtest.costs import FREE, CostSettings
from backtest.market import Market
from backtest.orders import next_orders
from backtest.result import Result
from backtest.simulation import SimulationSettings, simulate
from backtest.strategies import Targets, TopkBuffer, TopkDropout
from backtest.targets import Evening, evening_of, simulate_targets
from data.errors import KestrelError

NAMES = ("000001.SZ", "300001.SZ", "600001.SH", "600002.SH")
CASH = SimulationSettings(cash=1e6)


def rights_of(market: Market, day: int) -> pl.DataFrame:
    """What the exchange has announced for the session after `day`."""
    columns = {"cash": market.cash_DN[day + 1], "bonus": np.zeros(market.axes.shape[1]), "transfer": market.ratio_DN[day + 1]}
    return pl.DataFrame({"symbol": market.axes.symbols, "ex_date": [market.axes.dates[day + 1]] * market.axes.shape[1], **columns})


def leaving(market: Market, day: int) -> list[str]:
    return [name for name, gone in zip(market.axes.symbols, market.delisted_N, strict=True) if gone == day + 1]


def lived(market: Market, strategy: TopkDropout | TopkBuffer | Targets, wish: object, settings: SimulationSettings) -> Result:
    """Evening by evening: the account so far, the orders for tomorrow, nothing later looked at."""
    orders: dict[date, pl.DataFrame] = {}
    result = None
    for day in range(len(market.axes.dates) - 1):
        if day:
            result = trade_orders(orders, market.until(day + 1), costs=CostSettings(), settings=settings)
        held = result.positions() if result else {}
        cash = float(result.cash_D[-1]) if result else settings.cash
        orders[market.axes.dates[day + 1]] = next_orders(
            wish(day, held, cash),
            held,
            cash,
            market.until(day + 1),
            session=market.axes.dates[day + 1],
            strategy=strategy,
            costs=CostSettings(),
            session_number=market.first_session + day + 1,
            dividends=rights_of(market, day),
            leaving=leaving(market, day),
            buys=settings.buys,
        )
    return trade_orders(orders, market, costs=CostSettings(), settings=settings)


def same(one: Result, other: Result) -> None:
    assert one.nav_cents_D.tolist() == other.nav_cents_D.tolist()
    assert one.cash_cents_D.tolist() == other.cash_cents_D.tolist()
    assert one.shares_DN.tolist() == other.shares_DN.tolist()


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    strategy=st.sampled_from([TopkDropout(k=4, drop=2), TopkBuffer(k=4, buffer=6, every=1), TopkBuffer(k=3, buffer=5, every=3, band=0.0)]),
    buys=st.sampled_from(["score", "largest", "pro_rata"]),
)
def test_orders_written_evening_by_evening_make_the_account_of_the_backtest(random_market, seed, strategy, buys):
    market = random_market(seed)
    scores = np.random.default_rng(seed).normal(size=market.axes.shape)
    scores[np.isnan(market.close_DN)] = np.nan
    chosen = CASH.model_copy(update={"buys": buys})
    whole = simulate(scores, market, strategy=strategy, costs=CostSettings(), settings=chosen)
    same(lived(market, strategy, lambda day, *_: scores[day], chosen), whole)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_orders_of_target_weights_make_the_account_of_the_backtest(random_market, seed):
    market = random_market(seed)
    drawn = np.random.default_rng(seed).random(market.axes.shape)

    def weigher(evening: Evening) -> np.ndarray | None:
        if evening.session % 3 == 1:
            return None
        wanted_N = np.where(evening.price_N > 0, drawn[evening.session] + evening.weights_N, 0.0)
        return 0.9 * wanted_N / wanted_N.sum()

    def wish(day: int, held: dict[str, int], cash: float) -> np.ndarray:
        shares_N = np.array([held.get(name, 0) for name in market.axes.symbols], dtype=np.int64)
        found = weigher(evening_of(day, shares_N, round(cash * 100), market))
        return np.full(len(shares_N), np.nan) if found is None else found

    same(lived(market, Targets(), wish, CASH), simulate_targets(weigher, market, costs=CostSettings(), settings=CASH))


def test_orders_meet_limits_suspensions_and_cash_of_their_session(market_of):
    trading = np.ones((3, 4), dtype=bool)
    trading[1, 1] = False
    market = market_of(np.full((3, 4), 10.0), symbols=NAMES, trading=trading)
    names = market.axes.symbols
    rows = [(names[0], "sell", 100, None), (names[1], "buy", 100, None), (names[2], "buy", 0, "no_cash"), (names[3], "buy", 900, None)]
    orders = pl.DataFrame(rows, schema=["symbol", "side", "shares", "reason"], orient="row")
    found = trade_orders({market.axes.dates[1]: orders}, market, costs=FREE, settings=SimulationSettings(cash=5_000.0)).trades
    assert found.select("symbol", "shares", "reason").rows() == [
        (names[0], 0, "t+1"),
        (names[1], 0, "suspended"),
        (names[2], 0, "no_cash"),
        (names[3], 500, "no_cash"),
    ]


def test_orders_of_strangers_are_refused(market_of):
    market = market_of(np.full((3, 4), 10.0), symbols=NAMES)
    one = pl.DataFrame([("600999.SH", "buy", 100, None)], schema=["symbol", "side", "shares", "reason"], orient="row")
    with pytest.raises(KestrelError, match=r"600999\.SH, which has no bars"):
        trade_orders({market.axes.dates[1]: one}, market, costs=FREE)
    with pytest.raises(KestrelError, match="no session of the account"):
        trade_orders({date(2020, 1, 2): one}, market, costs=FREE)
