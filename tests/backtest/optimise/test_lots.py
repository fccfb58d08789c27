from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.optimise.ladder import decide
from backtest.optimise.limits import GROUPS, Limits
from backtest.optimise.lots import Gauge, Lots, nearest, neighbours, whole
from backtest.optimise.problem import Problem

Drawn = Callable[..., tuple[Problem, list]]


def lots(stocks: int, star: bool = False) -> Lots:
    minimum, step = (200, 1) if star else (100, 100)
    return Lots(np.full(stocks, minimum), np.full(stocks, step))


@pytest.mark.parametrize(
    ("wanted", "held", "star", "trade"),
    [
        (149.0, 0, False, 100), (151.0, 0, False, 200), (49.0, 0, False, 0), (99.0, 0, True, 0), (101.0, 0, True, 200), (233.4, 0, True, 233),
        (-149.0, 1000, False, -100), (-1000.0, 1000, False, -1000), (-130.0, 130, False, -130), (-90.0, 130, False, -100), (-80.0, 80, False, -80),
        (-150.0, 1000, True, -200), (-50.0, 1000, True, 0), (-60.0, 1030, False, -100),
    ],
)  # fmt: skip
def test_trades_round_to_what_an_order_may_name(wanted: float, held: int, star: bool, trade: int) -> None:
    assert nearest(np.array([wanted]), np.array([held]), lots(1, star)).tolist() == [trade]


@pytest.mark.parametrize(
    ("trade", "held", "star", "up", "down"),
    [
        (0, 0, False, 100, 0), (100, 0, False, 200, 0), (0, 250, False, 100, -100), (-200, 250, False, -100, -250), (-250, 250, False, -200, -250),
        (-80, 80, False, 0, -80), (0, 500, True, 200, -200), (-200, 500, True, 0, -201), (200, 0, True, 201, 0), (-500, 500, True, -499, -500),
    ],
)  # fmt: skip
def test_neighbours_are_one_lot_away(trade: int, held: int, star: bool, up: int, down: int) -> None:
    above, below = neighbours(np.array([trade]), np.array([held]), lots(1, star))
    assert (above[0], below[0]) == (up, down)


def test_the_gauge_foretells_the_breach_after_each_move(drawn: Drawn, wide: Limits) -> None:
    limits = wide.model_copy(update={"name": 0.05, "industry": 0.02, "style": 0.1, "turnover": 0.1, "tracking_error": 0.02})
    problem, _ = drawn(4, limits=limits)
    gauge = Gauge(problem)
    stocks, moves = np.arange(12), np.random.default_rng(0).normal(0, 0.02, 12)
    _, after = gauge(problem.held_N, moves, stocks)
    for n in range(12):
        moved_N = problem.held_N.copy()
        moved_N[n] += moves[n]
        assert gauge(moved_N, moves, stocks)[0] == pytest.approx(after[n])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), price=st.floats(2.0, 60.0), stuck=st.integers(0, 3))
def test_whole_lots_keep_every_limit_or_say_which_they_break(drawn: Drawn, wide: Limits, seed: int, price: float, stuck: int) -> None:
    rng = np.random.default_rng(seed)
    equity, price_N = 2e7, np.round(price * rng.uniform(0.5, 2.0, 12), 2)
    shares_N = rng.integers(0, 40, 12) * 100 + rng.choice([0, 37], 12)
    shares_N = (shares_N * (0.9 * equity / max((shares_N * price_N).sum(), 1.0))).astype(np.int64)
    limits = wide.model_copy(update={"tracking_error": 0.2, "turnover": 0.5, "industry": 0.15, "cash_most": 0.03})
    problem, _ = drawn(seed, limits=limits, stuck=stuck, held_N=shares_N * price_N / equity)
    decision = decide(problem, GROUPS)
    rule = lots(12)
    found_N, broken = whole(decision.problem, decision.weights_N, shares_N=shares_N, price_N=price_N, equity=equity, lots=rule)
    trade_N = found_N - shares_N
    assert (found_N >= 0).all()
    assert (trade_N[:stuck] == 0).all()
    assert ((trade_N % 100 == 0) | (found_N == 0)).all()
    book_N = found_N * price_N / equity
    assert broken == decision.problem.breaches(book_N, 1e-7)
    # Half a lot of each stock is all that rounding moves, and a repaired book lies within the limits where single lots can reach it.
    assert Gauge(decision.problem)(book_N, np.zeros(1), np.zeros(1, dtype=np.int64))[0] < 0.05
    assert book_N.sum() <= 1


def test_nearly_all_books_of_a_fund_keep_every_limit_after_rounding(drawn: Drawn, wide: Limits) -> None:
    limits = wide.model_copy(update={"tracking_error": 0.1, "industry": 0.1, "style": 0.3, "cash_most": 0.03, "name": 0.1})
    clean = 0
    for seed in range(20):
        problem, _ = drawn(seed, limits=limits, held_N=np.zeros(12))
        decision = decide(problem, GROUPS)
        price_N = np.random.default_rng(seed).uniform(3, 40, 12)
        _, broken = whole(decision.problem, decision.weights_N, shares_N=np.zeros(12, np.int64), price_N=price_N, equity=1e8, lots=lots(12))
        clean += not broken
    assert clean >= 18
