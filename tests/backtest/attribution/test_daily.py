from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.attribution.backdrop import Backdrop, moves
from backtest.attribution.daily import attribute, whole_cents
from backtest.attribution.parts import linked
from backtest.costs import FREE, CostSettings
from backtest.metrics import relative_wealth
from backtest.result import COSTS
from backtest.simulation import SimulationSettings, simulate
from backtest.strategies import TopkBuffer, TopkDropout
from data.errors import KestrelError

NAMES = ("000001.SZ", "000002.SZ", "000003.SZ")


def backdrop_of(market, result, rng, *, known=True):
    """An index of some of the stocks, three groups, two styles: all drawn."""
    shape = result.shares_DN.shape
    weights = rng.random(shape) * (rng.random(shape) > 0.4)
    weights[:, 0] += 0.1
    weights /= weights.sum(axis=1, keepdims=True)
    if known:
        weights[rng.random(shape[0]) < 0.1] = np.nan
    z = rng.normal(size=(2, *shape))
    z[rng.random(z.shape) < 0.1] = np.nan
    b_D = rng.normal(0, 0.02, shape[0])
    returns, reference = moves(market, result)
    groups = rng.integers(-1, 3, shape)
    return Backdrop(b_D, b_D - 0.0001, returns, reference, weights, groups, ("banks", "steel", "tea"), {"Size": z[0], "Beta": z[1]})


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), cash=st.sampled_from([3e4, 1e6, 1e8]), daily=st.booleans(), deal=st.sampled_from(["open", "close", "vwap"]))
def test_parts_of_any_account_add_up_to_its_excess_to_the_cent(random_market, seed, cash, daily, deal):
    rng = np.random.default_rng(seed)
    market = random_market(seed % 50)
    strategy = TopkDropout(k=5, drop=2) if daily else TopkBuffer(k=4, buffer=6, every=3)
    scores = rng.normal(size=market.axes.shape)
    result = simulate(scores, market, strategy=strategy, costs=CostSettings(), settings=SimulationSettings(cash=cash, deal=deal))
    backdrop = backdrop_of(market, result, rng)
    found = attribute(result, backdrop)
    before = np.concatenate([[result.capital], result.nav_cents_D[:-1]])
    excess = [int(after - start) - int(np.floor(start * b + 0.5)) for after, start, b in zip(result.nav_cents_D, before, backdrop.b_D, strict=True)]
    assert found.cents_DP.dtype == np.int64
    assert found.cents_DP.sum(axis=1).tolist() == found.excess_D.tolist() == excess
    assert found.kinds.cents_DP.sum(axis=1).tolist() == excess
    costs = found.cents_DP[:, [place for place, (kind, _) in enumerate(found.parts) if kind == "cost"]]
    assert costs / 100 == pytest.approx(-np.stack([result.costs_D[name] for name in COSTS], axis=1))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_linked_parts_add_up_to_the_geometric_excess_of_any_period(random_market, seed):
    rng = np.random.default_rng(seed)
    market = random_market(seed % 50)
    scores = rng.normal(size=market.axes.shape)
    result = simulate(scores, market, strategy=TopkDropout(k=5, drop=2), costs=CostSettings(), settings=SimulationSettings(cash=1e6))
    backdrop = backdrop_of(market, result, rng)
    found = attribute(result, backdrop)
    first, last = sorted(rng.choice(len(result.dates), 2, replace=False))
    part = slice(int(first), int(last) + 1)
    geometric = relative_wealth(result.returns_D[part], backdrop.b_D[part])[-1] - 1
    assert linked(found, part).sum() == pytest.approx(geometric, abs=1e-7)  # half a cent a session of a million
    rounded = result.returns_D[part] - found.excess_D[part] / found.nav_before_D[part]
    assert linked(found, part).sum() == pytest.approx(relative_wealth(result.returns_D[part], rounded)[-1] - 1, abs=1e-13)


def test_linking_of_two_days_matches_the_hand_computed_figures(hand):
    result, backdrop = hand
    found = attribute(result, backdrop)
    ours, theirs = 1 + result.returns_D, 1 + backdrop.b_D
    k = np.log(ours / theirs) / (ours - theirs)
    growth = np.prod(ours / theirs)
    scale = (growth - 1) / np.log(growth)
    by_hand = (found.cents_DP / found.nav_before_D[:, None] * k[:, None]).sum(axis=0) * scale
    assert linked(found) == pytest.approx(by_hand, abs=1e-9)
    assert linked(found, slice(0, 0)).tolist() == [0.0] * len(found.parts)


def test_a_period_without_excess_links_to_nothing(hand):
    result, backdrop = hand
    same = replace(backdrop, b_D=result.returns_D, price_b_D=result.returns_D)
    assert linked(attribute(result, same)).sum() == pytest.approx(0, abs=1e-12)


@pytest.fixture(name="hand")
def _hand(market_of):
    """1,000 shares of the first stock, bought at 11 the day after it closed at 10; it then closes at 12, and at 12 again.

    Index: half the first stock, half the second, which goes 20, 21, 20; the third stands still outside of it.
    """
    close = [[10.0, 20.0, 5.0], [12.0, 21.0, 5.0], [12.0, 20.0, 5.0]]
    market = market_of(close, symbols=NAMES, open_=[[10.0, 20.0, 5.0], [11.0, 20.0, 5.0], [12.0, 21.0, 5.0]])
    scores = np.array([[3.0, 1.0, 2.0]] * 3)
    strategy = TopkBuffer(k=1, buffer=1, every=1, band=0.9, invested=0.5)
    free = SimulationSettings(cash=20_000, limits=False)
    result = simulate(scores, market, strategy=strategy, costs=FREE, settings=free)
    assert [result.positions(), result.nav_D.tolist()] == [{NAMES[0]: 1000}, [21_000, 21_000]]
    returns, reference = moves(market, result)
    weights = np.array([[0.5, 0.5, 0.0]] * 2)
    b_D = np.array([0.12, -0.025])
    return result, Backdrop(b_D, b_D, returns, reference, weights)


def test_a_fill_above_the_close_before_is_timing_and_the_rest_is_as_if_filled_there(hand):
    result, backdrop = hand
    found = attribute(result, backdrop)
    day = dict(zip([kind for kind, _ in found.kinds.parts], found.kinds.cents_DP[0].tolist(), strict=True))
    # equity 20,000 and 10,000 of it in the stock at the close before; the members made (20 % + 5 %) / 2 = 12.5 %, the index 12 %
    assert found.excess_D[0] == 100_000 - 240_000
    assert day["timing"] == -100_000  # 1,000 shares at 11 instead of 10
    assert day["cash"] == -120_000  # 10,000 that missed 12 %
    assert day["index_gap"] == 5_000  # 10,000 at 0.5 %
    assert day["selection"] == 75_000  # 10,000 at 20 % instead of 12.5 %
    assert sum(day.values()) == -140_000
    assert found.after_D[0] == 100_000  # and from 11 to the close at 12


def test_groups_without_styles_give_brinson_and_fachler(hand):
    result, backdrop = hand
    groups = np.array([[0, 1, 2]] * 2)
    found = attribute(result, replace(backdrop, groups_DN=groups, groups=("a", "b", "c")))
    parts = dict(zip(found.parts, found.cents_DP[0].tolist(), strict=True))
    # active weights of 10,000 invested: +0.5 in a, -0.5 in b; a made 20 %, b 5 %, the members 12.5 %
    assert parts["industry", "a"] == 37_500
    assert parts["industry", "b"] == 37_500
    assert parts["industry", "c"] == parts["industry", "unknown"] == 0
    assert parts["selection", ""] == 0


def test_stock_without_a_past_is_timed_against_its_own_fill(hand):
    result, backdrop = hand
    new = replace(backdrop, returns_DN=np.full((2, 3), np.nan), reference_DN=np.full((2, 3), np.nan))
    found = attribute(result, new)
    assert found.kinds.cents_DP[0][3] == 0  # timing
    assert found.cents_DP.sum(axis=1).tolist() == found.excess_D.tolist()
    assert found.unknown == 2  # an index of stocks without returns is unknown


def test_dividends_received_count_against_those_of_the_index(market_of):
    close = [[10.0, 20.0, 5.0], [10.0, 20.0, 5.0], [9.5, 20.0, 5.0], [9.5, 20.0, 5.0]]
    market = market_of(close, symbols=NAMES, dividends=[{"symbol": NAMES[0], "ex_date": date(2024, 3, 5), "cash": 0.5}])
    scores = np.array([[3.0, 1.0, 2.0]] * 4)
    strategy = TopkBuffer(k=1, buffer=1, every=1, band=0.9, invested=0.5)
    result = simulate(scores, market, strategy=strategy, costs=FREE, settings=SimulationSettings(cash=20_000, limits=False))
    price_b, b = np.array([0.0, -0.01, 0.0]), np.array([0.0, -0.005, 0.0])
    found = attribute(result, Backdrop(b, price_b, *moves(market, result), np.array([[0.0, 1.0, 0.0]] * 3)))
    day = dict(zip([kind for kind, _ in found.kinds.parts], found.kinds.cents_DP[1].tolist(), strict=True))
    assert day["dividends"] == 50_000 - 10_000  # 1,000 shares at 0.5; 20,000 at 0.5 %
    assert day["selection"] == -50_000  # the price fell by the dividend, the index's only member didn't move
    assert day["timing"] == day["unfilled"] == 0
    assert found.excess_D[1] == 10_000  # 20,000 less 0.5 % of it


def test_order_that_the_limit_refused_is_missed_until_orders_are_written_again(market_of):
    close = [[10.0, 20.0, 5.0], [11.0, 20.0, 5.0], [12.1, 20.0, 5.0], [12.1, 20.0, 5.0]]
    market = market_of(close, symbols=NAMES, open_=close)
    scores = np.array([[3.0, 2.0, 1.0]] * 4)
    strategy = TopkBuffer(k=2, buffer=2, every=3, band=0.9, invested=0.5)
    result = simulate(scores, market, strategy=strategy, costs=FREE, settings=SimulationSettings(cash=20_000))
    assert result.trades.select("symbol", "ordered", "shares", "reason").row(0) == (NAMES[0], 500, 0, "limit_up")
    zero = np.zeros(3)
    found = attribute(result, Backdrop(zero, zero, *moves(market, result), np.full((3, 3), np.nan)))
    unfilled = found.kinds.cents_DP[:, 4]
    assert unfilled.tolist()[:2] == [-50_000, -55_000]  # 500 shares from 10 to 11, and to 12.1 while no orders are written
    assert unfilled[2] == 0


def test_cents_that_rounding_leaves_go_to_the_largest_remainders_the_earlier_first():
    assert whole_cents(np.array([[0.5, 0.5, 1.0]]), np.array([2])).tolist() == [[1, 0, 1]]
    assert whole_cents(np.array([[-0.3, 0.7, 0.6]]), np.array([1])).tolist() == [[0, 1, 0]]
    with pytest.raises(AssertionError, match="add up"):
        whole_cents(np.array([[1.0, 1.0]]), np.array([5]))


def test_order_of_symbols_is_irrelevant(random_market):
    rng = np.random.default_rng(5)
    market = random_market(5)
    result = simulate(rng.normal(size=market.axes.shape), market, strategy=TopkDropout(k=5, drop=2), costs=CostSettings())
    backdrop = backdrop_of(market, result, rng)
    turn = rng.permutation(len(result.symbols))
    ledger = result.ledger.copy()
    ledger["stock"] = np.argsort(turn)[ledger["stock"]]
    symbols = tuple(result.symbols[n] for n in turn)
    turned = replace(result, symbols=symbols, shares_DN=result.shares_DN[:, turn], price_DN=result.price_DN[:, turn], ledger=ledger)
    panels = {name: getattr(backdrop, name)[:, turn] for name in ("returns_DN", "reference_DN", "weights_DN", "groups_DN")}
    other = replace(backdrop, **panels, styles={name: z[:, turn] for name, z in backdrop.styles.items()})
    assert np.abs(attribute(turned, other).cents_DP - attribute(result, backdrop).cents_DP).max() <= 1


def test_frame_holds_every_part_of_every_session(hand):
    result, backdrop = hand
    found = attribute(result, backdrop)
    frame = found.frame()
    assert frame.columns == ["date", "kind", "name", "value"]
    assert frame.group_by("date", maintain_order=True).agg(pl.col("value").sum())["value"].to_list() == pytest.approx((found.excess_D / 100).tolist())


def test_panels_of_another_shape_are_refused(hand):
    result, backdrop = hand
    with pytest.raises(KestrelError, match="weights_DN has the shape"):
        attribute(result, replace(backdrop, weights_DN=backdrop.weights_DN[:1]))
    with pytest.raises(KestrelError, match="b_D has 1 returns"):
        attribute(result, replace(backdrop, b_D=np.zeros(1)))


def test_lost_cents_are_an_error_not_a_part(hand):
    result, backdrop = hand
    with pytest.raises(AssertionError, match="the ledger explains"):
        attribute(replace(result, nav_cents_D=result.nav_cents_D + 1), backdrop)
