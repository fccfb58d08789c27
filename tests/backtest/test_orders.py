from dataclasses import fields
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.costs import FREE, CostSettings
from backtest.market import Market
from backtest.orders import ORDERS, next_orders
from backtest.simulation import SimulationSettings, simulate
from backtest.strategies import TopkBuffer, TopkDropout
from data.errors import KestrelError
from data.panel import Axes

NAMES = ("000001.SZ", "300001.SZ", "600001.SH", "688001.SH")


def cut(market: Market, last: int) -> Market:
    """The market as it was known at the close of session `last`."""
    values = {field.name: getattr(market, field.name) for field in fields(market)}
    values |= {name: value[: last + 1] for name, value in values.items() if name.endswith("_DN")}
    values["axes"] = Axes(market.axes.dates[: last + 1], market.axes.symbols)
    return Market(**values)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    strategy=st.sampled_from([TopkDropout(k=4, drop=2), TopkBuffer(k=4, buffer=6, every=1), TopkBuffer(k=3, buffer=5, every=3, band=0.0)]),
    day=st.integers(3, 28),
)
def test_orders_written_in_the_evening_are_those_the_simulation_trades_in_the_morning(random_market, seed, strategy, day):
    market = random_market(seed)
    scores = np.random.default_rng(seed).normal(size=market.axes.shape)
    scores[np.isnan(market.close_DN)] = np.nan
    result = simulate(scores, market, strategy=strategy, costs=CostSettings(), settings=SimulationSettings(cash=1e6, delisted="last_close"))
    if day == market.delisted_N[1] - 1:  # what leaves the exchange tomorrow is cash tomorrow: the order file can't know
        return
    rights = [
        {
            "symbol": name,
            "ex_date": market.axes.dates[day + 1],
            "cash": market.cash_DN[day + 1, n],
            "bonus": 0.0,
            "transfer": market.ratio_DN[day + 1, n],
        }
        for n, name in enumerate(market.axes.symbols)
    ]
    held = {name: int(result.shares_DN[day - 1, n]) for n, name in enumerate(market.axes.symbols) if result.shares_DN[day - 1, n]}
    orders = next_orders(
        scores[day],
        held,
        float(result.cash_D[day - 1]),
        cut(market, day),
        session=market.axes.dates[day + 1],
        strategy=strategy,
        costs=CostSettings(),
        session_number=market.first_session + day + 1,
        dividends=pl.DataFrame(rights),
    )
    traded = result.trades.filter(pl.col("date") == market.axes.dates[day + 1])
    assert orders["symbol"].to_list() == traded["symbol"].to_list()
    assert orders["side"].to_list() == traded["side"].to_list()
    for order, fill in zip(orders.iter_rows(named=True), traded.iter_rows(named=True), strict=True):
        whole = order["side"] == "buy" or fill["ordered"] == held[order["symbol"]]  # a trim is cut to whole lots in the order file already
        assert order["shares"] == fill["ordered"] if whole else order["shares"] <= fill["ordered"]


def test_orders_carry_lots_reference_prices_limits_and_reasons(market_of):
    trading = np.ones((3, 4), dtype=bool)
    trading[2, 0] = False
    market = market_of(np.full((3, 4), 10.0), symbols=NAMES, trading=trading)
    orders = next_orders(
        np.array([4.0, 3.0, 2.0, 1.0]),
        {"688001.SH": 150},
        9_000.0,
        market,
        session=date(2024, 3, 6),
        strategy=TopkDropout(k=3, drop=1, invested=1.0),
        costs=FREE,
    )
    assert orders.schema == ORDERS
    assert orders.select("priority", "symbol", "side", "shares", "reference_price", "limit_up", "limit_down", "pieces", "reason").rows() == [
        (1, "688001.SH", "sell", 150, 10.0, 12.0, 8.0, 1, None),
        (2, "000001.SZ", "buy", 300, 10.0, 11.0, 9.0, 1, "suspended"),
        (3, "300001.SZ", "buy", 300, 10.0, 12.0, 8.0, 1, None),
        (4, "600001.SH", "buy", 300, 10.0, 11.0, 9.0, 1, None),
    ]


def test_rights_of_the_next_session_lower_the_reference_price_and_raise_the_holding(market_of):
    market = market_of(np.full((3, 4), 10.0), symbols=NAMES)
    rights = pl.DataFrame([{"symbol": "600001.SH", "ex_date": date(2024, 3, 6), "cash": 0.5, "bonus": 0.0, "transfer": 0.5}])
    orders = next_orders(
        np.array([4.0, 3.0, 2.0, 1.0]),
        {"600001.SH": 300},
        0.0,
        market,
        session=date(2024, 3, 6),
        strategy=TopkDropout(k=1, drop=1, invested=1.0),
        costs=FREE,
        dividends=rights,
    )
    sell = orders.row(0, named=True)
    assert (sell["symbol"], sell["shares"], sell["reference_price"], sell["limit_up"], sell["limit_down"]) == ("600001.SH", 450, 6.33, 6.96, 5.7)
    assert orders["shares"][1] == 200  # 450 * 6.33 + 150 of cash buys 2 lots at 10


def test_small_target_is_left_out_with_its_reason(market_of):
    market = market_of(np.full((3, 4), 10.0), symbols=NAMES)
    orders = next_orders(
        np.array([1.0, 2.0, 3.0, 4.0]), {}, 2_500.0, market, session=date(2024, 3, 6), strategy=TopkBuffer(k=2, buffer=2, invested=1.0), costs=FREE
    )
    assert orders.select("symbol", "shares", "reason").rows() == [("688001.SH", 0, "below_lot"), ("600001.SH", 100, None)]


def test_order_beyond_the_largest_size_says_how_many_it_becomes(market_of):
    market = market_of(np.full((3, 4), 10.0), symbols=NAMES)
    orders = next_orders(np.array([1.0, 2, 3, 4]), {}, 3e6, market, session=date(2024, 3, 6), strategy=TopkDropout(k=1, drop=1), costs=FREE)
    assert orders.select("symbol", "shares", "pieces").row(0) == ("688001.SH", 285_000, 3)


def test_strategy_that_is_not_due_writes_no_orders(market_of):
    market = market_of(np.full((3, 4), 10.0), symbols=NAMES)
    strategy = TopkBuffer(k=1, buffer=1, every=5)
    numbers = {
        number: next_orders(
            np.array([1.0, 2, 3, 4]), {"000001.SZ": 100}, 1e6, market, session=date(2024, 3, 6), strategy=strategy, costs=FREE, session_number=number
        ).height
        for number in (10, 11)
    }
    assert numbers == {10: 2, 11: 0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positions": {"600999.SH": 100}}, "600999.SH"),
        ({"positions": {"600001.SH": -100}}, "held short"),
        ({"cash": -1.0}, "cash is -1"),
        ({"session": date(2024, 3, 5)}, "already knows 2024-03-05"),
        ({"score_N": np.zeros(3)}, "shape"),
    ],
)
def test_impossible_accounts_and_days_are_refused(market_of, change, message):
    market = market_of(np.full((3, 4), 10.0), symbols=NAMES)
    given = {"score_N": np.arange(4.0), "positions": {}, "cash": 1e6, "session": date(2024, 3, 6)} | change
    with pytest.raises(KestrelError, match=message):
        next_orders(given["score_N"], given["positions"], given["cash"], market, session=given["session"], strategy=TopkDropout(), costs=FREE)
