"""Laws of costs and of size, over random orders and markets."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.costs import FREE, CostSettings
from backtest.fees import Tariff, affordable, cost, outlay
from backtest.quotes import NO_CAP, Quote, cents
from backtest.simulation import SimulationSettings
from backtest.strategies import Targets
from backtest.targets import simulate_weights

quotes = st.builds(
    Quote,
    price=st.integers(1, 50_000).map(lambda price: price / 100),
    trading=st.just(value=True),
    limit_up=st.just(np.nan),
    limit_down=st.just(np.nan),
    lot_minimum=st.sampled_from([1, 100, 200]),
    lot_step=st.sampled_from([1, 100]),
    largest=st.sampled_from([3_000, 1_000_000]),
    scale=st.just(1.0),
    cap=st.just(NO_CAP),
    impact=st.sampled_from([0.0, 1e-6]),
)
tariffs = st.builds(
    Tariff,
    commission=st.integers(0, 30_000),
    minimum=st.sampled_from([0, 500]),
    stamp=st.sampled_from([0, 10_000]),
    transfer=st.sampled_from([0, 100]),
    per_share=st.sampled_from([0, 60]),
    slippage=st.sampled_from([0, 5_000]),
)


@settings(max_examples=300, deadline=None)
@given(q=quotes, t=tariffs, less=st.integers(1, 100_000), more=st.integers(0, 100_000))
def test_a_larger_order_never_costs_less(q, t, less, more):
    """But for the one cent that a commission in pieces may lose by rounding each of them."""
    smaller, larger = (cost(q, t, shares, cents(shares, q.price)) for shares in (less, less + more))
    pieces = (less + more) // q.largest
    assert smaller <= larger + pieces


@settings(max_examples=300, deadline=None)
@given(q=quotes, t=tariffs, wanted=st.integers(0, 100_000), cash=st.integers(0, 10**10))
def test_what_is_affordable_is_paid_for_and_one_step_more_is_not(q, t, wanted, cash):
    shares = affordable(q, t, wanted, q.price, cash)
    assert 0 <= shares <= wanted
    assert outlay(q, t, shares, q.price) <= cash
    more = shares + q.lot_step if shares else q.lot_minimum
    assert more > wanted or outlay(q, t, more, q.price) + more // q.largest + 1 > cash


@settings(max_examples=40, deadline=None)
@given(less=st.floats(0.01, 0.5), more=st.floats(0.0, 0.5), fees=st.sampled_from([CostSettings(), CostSettings(commission=0.003, slippage=0.01)]))
def test_costs_rise_with_turnover(market_of, less, more, fees):
    """Every evening a part of the equity is swapped from one stock to the other and back; prices stand still."""
    market = market_of(np.full((8, 2), 10.0), symbols=("600001.SH", "600002.SH"))
    paid, turned = [], []
    for part in (less, less + more):
        wishes = np.array([[0.5 - part / 2, 0.5 + part / 2], [0.5 + part / 2, 0.5 - part / 2]] * 4) * 0.9
        found = simulate_weights(wishes, market, costs=fees, settings=SimulationSettings(cash=1e8, impact=2 / 3), targets=Targets(band=0.0))
        paid.append(sum(each.sum() for each in found.costs_D.values()))
        turned.append(found.turnover_D.sum())
    assert turned[0] <= turned[1] * (1 + 1e-3)
    assert paid[0] <= paid[1] * (1 + 1e-3)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), capital=st.sampled_from([1e9, 1e11]))
def test_twice_the_capital_makes_twice_the_profit_but_for_rounding(random_market, seed, capital):
    market, rng = random_market(seed), np.random.default_rng(seed)
    wishes = rng.random(market.axes.shape)
    wishes *= rng.choice([0.5, 0.9, 1.0], (len(wishes), 1)) / wishes.sum(axis=1, keepdims=True)
    fees = CostSettings(commission=0.001, minimum=0.0, levies="none")
    once, twice = (
        simulate_weights(wishes, market, costs=fees, settings=SimulationSettings(cash=cash, lots=False), targets=Targets(band=0.0))
        for cash in (capital, 2 * capital)
    )
    rounded = len(once.ledger) * 4 * np.nanmax(market.close_DN)  # a share an order
    assert np.abs(twice.nav_D - 2 * once.nav_D).max() <= rounded


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), buys=st.sampled_from(["score", "largest", "pro_rata"]))
def test_order_of_symbols_is_irrelevant_to_weights(market_of, seed, buys):
    rng = np.random.default_rng(seed)
    close = np.round(10 * np.cumprod(1 + rng.normal(0, 0.03, (20, 8)), axis=0), 2)
    weights, other = rng.dirichlet(np.ones(8), 20), rng.permutation(8)
    names, account = tuple(f"60000{i}.SH" for i in range(8)), SimulationSettings(cash=1e6, buys=buys)
    ours = simulate_weights(weights, market_of(close, symbols=names), costs=FREE, settings=account)
    theirs = simulate_weights(weights[:, other], market_of(close[:, other], symbols=names), costs=FREE, settings=account)
    assert (ours.shares_DN[:, other] == theirs.shares_DN).all()
