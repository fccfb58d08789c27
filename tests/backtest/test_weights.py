from collections.abc import Callable
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from backtest.costs import FREE
from backtest.market import Market
from backtest.simulation import SimulationSettings
from backtest.targets import Evening, Targets, simulate_targets
from backtest.weights import ScoreWeighted, VolatilityScaled, best, capped, index_weigher, weigher

NAN = float("nan")


def evening(held: dict[int, float], stocks: int = 4, session: int = 0) -> Evening:
    weights = np.zeros(stocks)
    for n, weight in held.items():
        weights[n] = weight
    return Evening(session, weights, (weights * 1000).astype(np.int64), np.ones(stocks), 1000 * (1 - weights.sum()), 1000.0)


def test_held_names_stay_within_the_buffer_and_the_best_fill_up() -> None:
    score, nobody = np.array([4.0, 3.0, 2.0, 1.0, NAN]), np.zeros(5, dtype=bool)
    assert best(score, nobody, nobody, 2, 3).tolist() == [True, True, False, False, False]
    third, fourth = np.arange(5) == 2, np.arange(5) == 3
    assert best(score, third, nobody, 2, 3).tolist() == [True, False, True, False, False]
    assert best(score, fourth, nobody, 2, 3).tolist() == [True, True, False, False, False]
    assert best(score, fourth, fourth, 2, 3).tolist() == [True, False, False, False, False]  # the stuck one takes a place


def test_scores_weigh_by_what_lies_above_the_buffer(market_of: Callable[..., Market]) -> None:
    market = market_of(np.full((3, 4), 10.0), symbols=("000001.SZ", "000002.SZ", "000004.SZ", "000005.SZ"))
    scores = np.tile([5.0, 3.0, 2.0, 1.0], (3, 1))
    settings = ScoreWeighted(k=2, buffer=2, every=1, most=0.9, invested=0.9)
    found = weigher(settings, scores, market)(evening({}))
    assert found == pytest.approx([0.9 * 3 / 4, 0.9 * 1 / 4, 0, 0])  # 5 - 2 and 3 - 2 above the best beyond the buffer


def test_calm_names_get_more(market_of: Callable[..., Market]) -> None:
    swing = np.array([1.0, 1.01, 1.0, 1.01, 1.0])
    close = 100 * np.stack([swing, 1 + 3 * (swing - 1)], axis=1)
    market = market_of(close, symbols=("000001.SZ", "000002.SZ"))
    settings = VolatilityScaled(k=2, buffer=2, every=1, most=1.0, invested=1.0, halflife=1000)
    found = weigher(settings, np.tile([1.0, 2.0], (5, 1)), market)(evening({}, stocks=2, session=4))
    assert found is not None
    assert found.sum() == pytest.approx(1.0)
    assert found[0] / found[1] == pytest.approx(3.0, rel=0.03)


def test_a_suspended_name_keeps_its_weight_and_its_place(market_of: Callable[..., Market]) -> None:
    trading = np.ones((2, 4), dtype=bool)
    trading[1, 3] = False
    market = market_of(np.full((2, 4), 10.0), symbols=("000001.SZ", "000002.SZ", "000004.SZ", "000005.SZ"), trading=trading)
    settings = ScoreWeighted(k=2, buffer=2, every=1, most=1.0, invested=0.9)
    found = weigher(settings, np.tile([5.0, 3.0, 2.0, 1.0], (2, 1)), market)(evening({3: 0.4}, session=1))
    assert found == pytest.approx([0.5, 0, 0, 0.4])


def test_the_calendar_says_when_to_look_again(market_of: Callable[..., Market]) -> None:
    market = market_of(np.full((6, 4), 10.0), symbols=("000001.SZ", "000002.SZ", "000004.SZ", "000005.SZ"), first_session=7)
    weigh = weigher(ScoreWeighted(k=1, buffer=1, every=5), np.tile([5.0, 3.0, 2.0, 1.0], (6, 1)), market)
    assert [weigh(evening({0: 0.5}, session=d)) is None for d in range(6)] == [True, True, False, True, True, True]  # session 7 + 2 + 1 = 10
    assert weigh(evening({}, session=0)) is not None
    flat = weigher(ScoreWeighted(k=1, buffer=1, every=1), np.ones((6, 4)), market)
    assert flat(evening({}, session=0)) is None  # no score tells them apart


@given(st.lists(st.floats(0.0, 10.0), min_size=1, max_size=30), st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_capped_weights_add_up_as_far_as_the_cap_allows(strengths: list[float], total: float, most: float) -> None:
    strength = np.array(strengths)
    found = capped(strength, total, most)
    assert (found <= most + 1e-12).all()
    assert (found[strength == 0] == 0).all()
    assert found.sum() == pytest.approx(min(total, most * np.count_nonzero(strength)))


def test_a_buffer_smaller_than_k_is_refused() -> None:
    with pytest.raises(ValidationError, match="buffer is 5 and k is 10"):
        ScoreWeighted(k=10, buffer=5)


def test_the_index_held_by_its_weights_earns_what_the_index_earns(market_of: Callable[..., Market]) -> None:
    close = 10 * np.cumprod(1 + np.random.default_rng(0).normal(0, 0.02, (20, 3)), axis=0)
    close[1] = close[0]  # what is bought at the close of the first session costs what it was sized at
    market = market_of(close, symbols=("000001.SZ", "000002.SZ", "000004.SZ"))
    shares = np.array([3.0, 2.0, 1.0])
    level = close @ shares
    weights = close * shares / level[:, None]
    account = SimulationSettings(deal="close", limits=False, lots=False, cash=1e9)
    result = simulate_targets(index_weigher(weights), market, costs=FREE, settings=account, targets=Targets(band=0.0), start=date(2024, 3, 4))
    assert result.nav_D[1:] / result.nav_D[0] == pytest.approx(level[2:] / level[1], abs=1e-6)
