"""What the strategies want, by hand."""

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from backtest.choices import best, blank_plan, choose, ranked, within
from backtest.fills import Book
from backtest.strategies import Strategy, TopkBuffer, TopkDropout, due, policy

nan = np.nan


def plan_of(strategy, scores, held, cash=1000, price=1.0):
    plan = blank_plan(len(scores))
    book = Book(np.array([cash * 100]), np.array(held), np.zeros(len(held), np.int64))
    choose(policy(strategy), np.array(scores, dtype=float), book, np.full(len(scores), price), plan)
    sells, buys = plan.count_2
    return plan.sells_N[:sells].tolist(), plan.sell_shares_N[:sells].tolist(), plan.buys_N[:buys].tolist(), plan.buy_value_N[:buys].tolist()


@pytest.mark.parametrize(
    ("scores", "held", "sells", "buys"),
    [
        ([5, 4, 3, 2, 1, 0], [0, 0, 0, 0, 0, 0], [], [0, 1, 2]),  # an empty book is filled to k
        ([5, 4, 3, 2, 1, 0], [1, 1, 1, 0, 0, 0], [], []),  # the worst of held and new are new: nothing to do
        ([2, 1, 0, 5, 4, 3], [1, 1, 1, 0, 0, 0], [2, 1], [3, 4]),  # two a session, worst first
        ([5, 1, 3, 4, 2, 0], [1, 1, 1, 0, 0, 0], [1], [3]),  # held 0 2 1, new 3 4: the last two are 4 and 1
        ([nan, 1, 3, 4, 2, 0], [1, 1, 1, 0, 0, 0], [0, 1], [3, 4]),  # without a score: worst
        ([5, 4, 3, nan, nan, nan], [0, 0, 0, 1, 1, 1], [5, 4], [0, 1]),
        ([5, 4, nan, nan, nan, nan], [0, 0, 0, 1, 1, 0], [4, 3], [0, 1]),  # too few candidates
        ([1, 1, 1, 1, 1, 2], [0, 0, 0, 0, 0, 0], [], [5, 0, 1]),  # ties by symbol
        ([9, 8, 7, 6, 5, 4], [0, 1, 1, 1, 1, 0], [4, 3], [0]),  # one too many held: two out, one in
    ],
)
def test_dropout_sells_and_buys_as_qlib_defines_it(scores, held, sells, buys):
    found = plan_of(TopkDropout(k=3, drop=2), scores, held)
    assert (found[0], found[2]) == (sells, buys)


def test_buffer_keeps_a_name_until_it_leaves_the_buffer_and_sells_one_without_score():
    strategy = TopkBuffer(k=2, buffer=4, every=1, band=0.2, invested=1.0)
    assert plan_of(strategy, [6, 5, 4, 3, 2, 1], [0, 0, 0, 500, 0, 0], 500) == ([], [], [0], [50_000])  # fourth of the buffer of four: kept
    assert plan_of(strategy, [6, 5, 4, 3, 2, 1], [0, 0, 0, 0, 500, 0], 500) == ([4], [500], [0, 1], [50_000, 50_000])
    assert plan_of(strategy, [nan, 5, 4, 3, 2, 1], [500, 0, 0, 0, 0, 0], 500)[0] == [0]


def test_buffer_brings_back_to_equal_weight_what_left_the_band():
    strategy = TopkBuffer(k=2, buffer=4, every=1, band=0.2, invested=1.0)
    assert plan_of(strategy, [6, 5, 4, 3], [560, 440, 0, 0], 0) == ([], [], [], [])
    assert plan_of(strategy, [6, 5, 4, 3], [700, 300, 0, 0], 0) == ([0], [200], [1], [20_000])


@pytest.mark.parametrize("seed", range(20))
def test_best_is_a_stable_sort(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 10, 40).astype(float)
    scores[rng.random(40) < 0.2] = nan
    skip, out, m = (rng.random(40) < 0.2).astype(np.int64), np.zeros(41, np.int64), int(rng.integers(0, 45))
    out = np.zeros(50, np.int64)
    found = best(scores, skip, m, out)
    expected = sorted((n for n in range(40) if not skip[n] and np.isfinite(scores[n])), key=lambda n: (-scores[n], n))[:m]
    assert out[:found].tolist() == expected


@pytest.mark.parametrize("seed", range(20))
def test_what_is_held_within_the_buffer_is_counted_without_ranking_the_others(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 10, 40).astype(float)
    scores[rng.random(40) < 0.2] = rng.choice([nan, np.inf, -np.inf])
    held, m = np.flatnonzero(rng.random(40) < 0.3), int(rng.integers(0, 45))
    order = sorted((n for n in range(40) if np.isfinite(scores[n])), key=lambda n: (-scores[n], n))
    assert ranked(scores, held).tolist() == [n for n in order if n in held] + [n for n in held if not np.isfinite(scores[n])]
    assert within(scores, ranked(scores, held), m) == len(set(order[:m]) & set(held.tolist()))


def test_rebalancing_counts_sessions_of_the_calendar():
    assert due(TopkBuffer(every=5), np.arange(8, 12)).tolist() == [False, False, True, False]
    assert due(TopkDropout(), np.arange(3)).all()


def test_settings_read_by_their_kind_and_refuse_nonsense():
    read = TypeAdapter(Strategy).validate_python
    assert read({"kind": "topk_buffer", "k": 30}) == TopkBuffer(k=30)
    for wrong in (
        {"kind": "topk_dropout", "k": 0},
        {"kind": "topk_buffer", "k": 50, "buffer": 40},
        {"kind": "topk_dropout", "hold": 1},
        {"kind": "best"},
    ):
        with pytest.raises(ValidationError):
            read(wrong)
