"""Sleeves in one account: what the stack wants, how risk becomes capital, and the split of the account's P&L."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.costs import FREE, CostSettings
from backtest.netting import NOTHING, Order, divide, netted, share
from backtest.simulation import SimulationSettings
from backtest.sleeves import Sleeve, Stack, Stacking, risk_parts
from backtest.targets import Evening, simulate_targets
from data.errors import KestrelError

NAMES = ("600001.SH", "600002.SH")
CAPITAL = Stacking(by="capital")


def always(*weights):
    return lambda evening: np.array(weights)


def noisy(seed, stocks, every):
    """Random weights of random stocks every few sessions, known by the session alone."""

    def weigh(evening):
        if evening.session % every:
            return None
        rng = np.random.default_rng([seed, evening.session])
        weights = rng.random(stocks) * (rng.random(stocks) < 0.5) * (evening.price_N > 0)
        return weights / max(weights.sum(), 1.0) * rng.uniform(0.5, 1.0)

    return weigh


def evening_of(market, session, equity=1e6):
    nothing = np.zeros(market.axes.shape[1])
    return Evening(session, nothing, nothing.astype(np.int64), market.last_DN[session], equity, equity)


def test_the_stack_wants_the_sum_of_its_sleeves(market_of):
    market = market_of(np.full((4, 2), 10.0), symbols=NAMES)
    stack = Stack([Sleeve("a", always(1.0, 0.0), 3.0), Sleeve("b", always(0.2, 0.6), 1.0)], market, stacking=CAPITAL)
    assert stack(evening_of(market, 1)) == pytest.approx([0.75 + 0.05, 0.15])
    assert stack.targets_SN[1] == pytest.approx(np.array([[0.75, 0.0], [0.05, 0.15]]))


def test_a_sleeve_sees_its_own_book_moved_by_prices_and_rights(market_of):
    seen = []

    def watching(evening):
        seen.append(evening)
        return np.array([0.5, 0.5]) if evening.session == 1 else None

    close = [[10, 10], [10, 10], [11, 9.5]]
    rights = [{"symbol": NAMES[1], "ex_date": date(2024, 3, 5), "cash": 0.5}]
    market = market_of(close, symbols=NAMES, dividends=rights, pre_close=[[10, 10], [10, 10], [10, 9.5]])
    stack = Stack([Sleeve("a", watching, 1.0), Sleeve("b", always(0.0, 0.0), 1.0)], market, stacking=CAPITAL)
    assert stack(evening_of(market, 1)) is not None
    stack(evening_of(market, 2))
    assert seen[0].weights_N.tolist() == [0.0, 0.0]
    assert seen[1].weights_N == pytest.approx([0.55 / 1.05, 0.5 / 1.05])
    assert (seen[1].equity, seen[1].shares_N.tolist()) == (500_000, [23809, 25062])  # 500,000 x 0.5238 / 11 and x 0.4762 / 9.5
    assert seen[1].cash == pytest.approx(0.0)


def test_a_stack_that_nobody_moves_leaves_the_book_alone(market_of):
    market = market_of(np.full((4, 2), 10.0), symbols=NAMES)
    stack = Stack([Sleeve("a", lambda evening: None, 1.0)], market, stacking=CAPITAL)
    assert stack(evening_of(market, 1)) is None
    assert stack.targets_SN == {}


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), sleeves=st.integers(1, 5))
def test_risk_parts_give_every_sleeve_its_budget_of_the_variance(seed, sleeves):
    rng = np.random.default_rng(seed)
    moves = rng.normal(size=(40, sleeves)) * rng.uniform(0.1, 3, sleeves) + rng.normal(size=(40, 1))
    covariance = np.cov(moves.T).reshape(sleeves, sleeves)
    budget = rng.uniform(0.1, 1, sleeves)
    budget /= budget.sum()
    part = risk_parts(covariance, budget)
    added = part * (covariance @ part)
    assert part.sum() == pytest.approx(1)
    assert added / added.sum() == pytest.approx(budget, abs=1e-6)


def test_a_sleeve_with_twice_the_risk_gets_half_the_capital(market_of):
    """Two books that move independently, one twice as far: equal budgets of risk are 2 to 1 in capital."""
    rng = np.random.default_rng(0)
    steps = np.linalg.qr(rng.normal(size=(60, 2)))[0]
    steps = (steps - steps.mean(axis=0)) / steps.std(axis=0)
    steps[:, 1] -= steps[:, 0] * (steps[:, 0] @ steps[:, 1]) / 60
    close = 1000 * np.vstack([np.ones((2, 2)), np.cumprod(1 + steps / steps.std(axis=0) * [0.01, 0.02], axis=0)])
    market = market_of(close, symbols=NAMES)
    stack = Stack([Sleeve("calm", always(1.0, 0.0), 1.0), Sleeve("wild", always(0.0, 1.0), 1.0)], market, stacking=Stacking(window=60))
    for session in range(1, 62):
        stack(evening_of(market, session))
    assert stack.part_S == pytest.approx([2 / 3, 1 / 3], abs=1e-6)


def test_sleeves_that_cannot_be_told_apart_are_refused(market_of):
    market = market_of(np.full((2, 2), 10.0), symbols=NAMES)
    for sleeves in ([], [Sleeve("a", always(0.0, 0.0), 1.0)] * 2, [Sleeve("a", always(0.0, 0.0), 0.0)]):
        with pytest.raises(KestrelError, match="its own name and a positive budget"):
            Stack(sleeves, market)


@given(total=st.integers(0, 10**15), weights=st.lists(st.integers(0, 10**9), min_size=1, max_size=6))
def test_what_is_divided_adds_up_and_exceeds_no_weight(total, weights):
    parts = divide(total, weights)
    assert sum(parts) == (total if any(weights) else 0)
    assert min(parts) >= 0
    assert total > sum(weights) or all(part <= weight for part, weight in zip(parts, weights, strict=True))


def test_a_cross_costs_nothing_and_an_order_is_shared_by_wish():
    """One sells 300, others want 500 and 100: 300 meet inside, the account bought the other 300."""
    part = share([500, -300, 100], [0, 300, 50], Order(1, 300, 300 * 1000, 600), 10.0)
    assert part.moved_S == [500, -300, 100]
    assert part.crossed == 300 * 1000
    assert part.cost_S == [500, 0, 100]
    assert part.flow_S == [-500_000 - 500, 300_000, -100_000 - 100]


def test_sleeves_may_meet_without_any_order():
    part = share([200, -200], [0, 200], NOTHING, 12.34)
    assert (part.moved_S, part.flow_S, part.cost_S, part.crossed) == ([200, -200], [-246_800, 246_800], [0, 0], 246_800)


def test_what_is_filled_beyond_the_wishes_is_shared_by_holding():
    part = share([0, 0], [300, 100], Order(0, 200, 200_000, 40), 10.0)
    assert (part.moved_S, part.flow_S, part.cost_S) == ([-150, -50], [150_000 - 30, 50_000 - 10], [30, 10])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), charged=st.booleans(), basis=st.sampled_from(["risk", "capital"]), deal=st.sampled_from(["open", "close"]))
def test_pnl_of_the_sleeves_sums_to_the_accounts_to_the_cent(random_market, seed, charged, basis, deal):
    market = random_market(seed)
    stocks = market.axes.shape[1]
    sleeves = [Sleeve(f"s{i}", noisy(seed + i, stocks, every), 1.0 + i) for i, every in enumerate((1, 2, 5))]
    stack = Stack(sleeves, market, stacking=Stacking(by=basis, window=10, every=3))
    account = SimulationSettings(deal=deal, cash=1e6)
    result = simulate_targets(stack, market, costs=CostSettings() if charged else FREE, settings=account)
    found = netted(result, stack.names, stack.targets_SN, market, deal=deal)
    before = np.concatenate([[result.capital], result.nav_cents_D[:-1]])
    assert (found.pnl_cents_SD.sum(axis=0) == result.nav_cents_D - before).all()
    assert found.costs_cents_SD.sum() == round(sum(paid.sum() for paid in result.costs_D.values()) * 100)
    assert (found.shares_SN.sum(axis=0) == result.shares_DN[-1]).all()
    assert found.shares_SN.min() >= 0
    assert charged or not found.costs_cents_SD.any()


def test_a_lone_sleeve_owns_the_whole_account(random_market):
    market = random_market(3)
    stack = Stack([Sleeve("all", noisy(1, market.axes.shape[1], 1), 1.0)], market, stacking=CAPITAL)
    result = simulate_targets(stack, market, costs=CostSettings())
    found = netted(result, stack.names, stack.targets_SN, market)
    assert found.pnl_cents_SD[0].sum() == result.nav_cents_D[-1] - result.capital
    assert not found.crossed_cents_D.any()


def test_the_stack_knows_nothing_of_later_sessions(random_market):
    market = random_market(5)
    stocks = market.axes.shape[1]

    def wanted(market):
        sleeves = [Sleeve("a", noisy(1, stocks, 2), 1.0), Sleeve("b", noisy(2, stocks, 3), 2.0)]
        stack = Stack(sleeves, market, stacking=Stacking(window=10, every=1))
        for session in range(1, 15):
            stack(evening_of(market, session))
        return stack.targets_SN

    whole, early = wanted(market), wanted(market.until(15))
    assert whole.keys() == early.keys()
    assert all((whole[session] == early[session]).all() for session in whole)
