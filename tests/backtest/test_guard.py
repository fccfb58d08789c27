"""The guard: what a reading cuts, how it is read from the market, and what it would have done on the pack."""

from datetime import date
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.benchmark import returns as index_returns
from backtest.guard import Cut, Guard, Guarded, Reading, Sight, applied, crowding, cut, read, replay
from backtest.market import Market
from backtest.stress import WINDOWS
from backtest.targets import Evening
from data.errors import KestrelError
from data.members import drifted_panel
from factors.panel import axes_of

CALM = Reading(volatility=0.2, limit_down=0.0, tracking=0.05, exposure=0.1, crowding=0.02)


def test_calm_cuts_nothing():
    assert cut(CALM, Guard()) == Cut(1.0, 1.0, ())


@pytest.mark.parametrize(
    ("measure", "value", "gross", "active"),
    [
        ("volatility", 0.60, 0.45 / 0.60, 1.0),
        ("limit_down", 0.125, 0.8, 1.0),
        ("limit_down", 0.90, 0.3, 1.0),  # never below `least`
        ("tracking", 0.16, 1.0, 0.5),
        ("exposure", 1.25, 1.0, 0.8),
        ("crowding", 0.20, 1.0, 0.75),
    ],
)
def test_a_measure_beyond_its_limit_cuts_in_proportion_and_says_so(measure, value, gross, active):
    found = cut(CALM._replace(**{measure: value}), Guard())
    assert found[:2] == pytest.approx((gross, active))
    assert len(found.reasons) == 1
    assert found.reasons[0].startswith(f"{measure} {value:.3g} > ")


def test_the_tightest_limit_counts_and_every_breach_is_named():
    found = cut(CALM._replace(volatility=0.5, limit_down=0.2, tracking=0.1, crowding=0.3), Guard())
    assert found[:2] == pytest.approx((0.5, 0.5))
    assert [reason.split()[0] for reason in found.reasons] == ["volatility", "limit_down", "tracking", "crowding"]


def test_an_unknown_measure_cuts_nothing():
    assert cut(Reading(*[float("nan")] * 5), Guard()) == Cut(1.0, 1.0, ())


@settings(deadline=None)
@given(st.lists(st.floats(0.0, 3.0), min_size=2, max_size=9))
def test_a_worse_reading_never_cuts_less(values):
    for calm, worse in pairwise(sorted(values)):
        for name in Reading._fields:
            assert cut(CALM._replace(**{name: worse}), Guard())[:2] <= cut(CALM._replace(**{name: calm}), Guard())[:2]


def test_a_cut_draws_towards_the_index_and_then_into_cash():
    weights, index = np.array([0.8, 0.1, 0.0]), np.array([0.2, 0.2, 0.6])
    assert applied(weights, index, Cut(1.0, 0.5, ())) == pytest.approx(0.5 * weights + 0.5 * 0.9 * index)
    assert applied(weights, index, Cut(0.5, 1.0, ())) == pytest.approx(0.5 * weights)
    assert applied(weights, np.zeros(3), Cut(1.0, 0.5, ())) == pytest.approx(weights)  # nobody knows the index


def test_crowding_is_the_mean_correlation_of_pairs():
    rng = np.random.default_rng(0)
    moves = rng.normal(size=(20, 4)) + 0.7 * rng.normal(size=(20, 1))
    pairs = np.corrcoef(moves.T)[np.triu_indices(4, 1)]
    assert crowding(moves, np.full(4, 0.2)) == pytest.approx(pairs.mean())
    assert np.isnan(crowding(moves, np.array([1.0, 0, 0, 0])))


@pytest.fixture(name="sight")
def _sight(market_of):
    """Thirty sessions of three stocks; on the last the first two of them close at their lower limit."""
    rng = np.random.default_rng(1)
    close = np.round(20 * np.cumprod(1 + rng.normal(0, 0.01, (30, 3)), axis=0), 2)
    close[29, :2] = np.floor(close[28, :2] * 0.9 * 100 + 0.5 + 1e-6) / 100
    market = market_of(close, symbols=("600001.SH", "600002.SH", "600003.SH"))
    index = np.concatenate([[0.0], (close[1:] / close[:-1] - 1).mean(axis=1)])
    return Sight(market, index, np.tile([0.5, 0.3, 0.2], (30, 1)), {"Size": np.tile([1.0, 2.0, 4.0], (30, 1))})


def evening_of(session):
    return Evening(session, np.zeros(3), np.zeros(3, np.int64), np.ones(3), 1.0, 1.0)


def test_a_reading_by_hand(sight):
    weights = np.array([0.6, 0.0, 0.4])
    found = read(29, weights, sight, Guard())
    close = sight.market.close_DN
    moves = (close[10:30] / close[9:29] - 1) @ weights - sight.index_D[10:30]
    assert found.limit_down == pytest.approx(2 / 3)
    assert found.volatility == pytest.approx(sight.index_D[10:30].std(ddof=1) * 243**0.5)
    assert found.tracking == pytest.approx(moves.std(ddof=1) * 243**0.5)
    z = (np.array([1.0, 2.0, 4.0]) - 7 / 3) / np.std([1, 2, 4])
    assert found.exposure == pytest.approx(abs(weights @ z - np.array([0.5, 0.3, 0.2]) @ z))
    assert read(28, weights, sight, Guard()).limit_down == 0.0


def test_a_reading_knows_nothing_of_later_sessions(sight):
    early = sight._replace(market=sight.market.until(25))
    poisoned = sight._replace(index_D=np.where(np.arange(30) > 24, 9.0, sight.index_D))
    weights = np.array([0.6, 0.0, 0.4])
    assert read(24, weights, early, Guard()) == read(24, weights, poisoned, Guard())


def test_before_the_window_is_full_nothing_is_cut(sight):
    guarded = Guarded(lambda evening: np.array([0.5, 0.5, 0.0]), sight)
    assert guarded(evening_of(5)).tolist() == [0.5, 0.5, 0.0]


def test_a_cut_reaches_a_book_that_its_weigher_left_alone(sight):
    """The weigher speaks once; when two of three members fall to their limit the guard sells, and it is silent while nothing changes."""
    guard = Guard(tracking=9.0, exposure=9.0, crowding=1.0, volatility=9.0)
    guarded = Guarded(lambda evening: np.array([0.5, 0.4, 0.0]) if evening.session == 26 else None, sight, guard)
    assert guarded(evening_of(25)) is None
    assert guarded(evening_of(26)) == pytest.approx([0.5, 0.4, 0.0])
    assert guarded(evening_of(28)) is None
    assert guarded(evening_of(29)) == pytest.approx([0.15, 0.12, 0.0])
    assert guarded.cuts[29][1].reasons == ("limit_down 0.667 > 0.1",)


def test_a_replay_outside_the_market_is_refused(sight):
    with pytest.raises(KestrelError, match="No session from 2001-01-01"):
        replay(np.zeros((30, 3)), sight, Guard(), date(2001, 1, 1), date(2001, 2, 1))


@pytest.mark.slow
def test_the_guard_on_the_pack_cuts_gross_in_crashes_and_leaves_calm_years_alone(pack_lake):
    """An equally weighted hundred of the members, replayed over the windows that the reports show."""
    start = date(2015, 4, 1)
    bars = pack_lake.read("bars", start=start)
    axes = axes_of(bars, pack_lake.read("calendar"))
    nothing = pl.DataFrame(schema={"symbol": pl.String, "ex_date": pl.Date})
    market = Market.of(bars, pack_lake.read("securities"), nothing, axes, price_basis=pack_lake.price_basis)
    member_DN, _ = drifted_panel(pack_lake.read("members"), axes, "000905.SH", market.last_DN)
    index_D = np.concatenate([[0.0], index_returns(pack_lake.read("index_bars"), axes.dates[1:])])
    sight = Sight(market, index_D, member_DN)
    first_DN = np.cumsum(np.nan_to_num(member_DN) > 0, axis=1) <= 100
    weight_DN = np.where(first_DN & (np.nan_to_num(member_DN) > 0), 0.01, 0.0)
    cuts = {name[:7]: replay(weight_DN, sight, Guard(), *span) for name, span in WINDOWS.items() if span[1] <= axes.dates[-1]}
    below = {name: float((frame["gross"] < 1).mean()) for name, frame in cuts.items()}
    assert below["2015-06"] > 0.9
    assert below["2016-01"] > 0.8
    assert below["2017: l"] == 0.0
    assert 0.0 < below["2018: d"] < 0.1
    assert 0.0 < below["2020-02"] < 1.0
    assert cuts["2015-06"]["gross"].min() == 0.3
