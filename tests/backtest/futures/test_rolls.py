"""Rolls of a dominant series, found from its basis: on a made series whose rolls are known, and on the pack's."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.futures.neutral import neutralise
from backtest.futures.rolls import inferred
from backtest.futures.settings import Neutral
from data.contracts import contracts


def dominant(sessions, seed, count=150, noise=0.001, before=1):
    """(dates, calendar, prices, index, position of each roll): the near contract until `before` sessions ahead of its expiry."""
    rng = np.random.default_rng(seed)
    calendar = sessions(date(2016, 3, 1), count + 60)
    dates, known = calendar[:count], np.array(calendar, dtype="datetime64[D]")
    index = 6000 * np.cumprod(1 + rng.normal(0, 0.02, count))
    names, price = [], np.empty(count)
    for i, day in enumerate(dates):
        listed = contracts("IC", day, known)
        left = np.searchsorted(known, np.datetime64(listed[0][1])) - i
        name, last = listed[1] if left < before else listed[0]
        names.append(name)
        price[i] = index[i] * (1 - 0.25 * (last - day).days / 365 + rng.normal(0, noise))
    return dates, known, price, index, [i for i in range(1, count) if names[i] != names[i - 1]]


@pytest.mark.parametrize("before", [0, 1, 2, 3])
def test_rolls_of_a_known_series_are_found(sessions, before):
    """A discount of 25 % a year, so that a roll costs 2 %, in noise of 0.1 %."""
    for seed in range(5):
        dates, known, price, index, rolls = dominant(sessions, seed, before=before)
        found = inferred(price, index, np.array(dates, dtype="datetime64[D]"), known)
        assert np.flatnonzero(found.rolled_D).tolist() == rolls
        assert (found.jump_D[found.rolled_D] < 0).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), known_until=st.integers(40, 140))
def test_later_sessions_change_no_roll_of_a_week_that_is_over(sessions, seed, known_until):
    dates, known, price, index, _ = dominant(sessions, seed, noise=0.01)
    days = np.array(dates, dtype="datetime64[D]")
    whole = inferred(price, index, days, known)
    price[known_until:] *= 1.5
    over = known_until - 5  # the week of an expiry
    poisoned = inferred(price, index, days, known)
    assert (poisoned.rolled_D[:over] == whole.rolled_D[:over]).all()
    assert (poisoned.bound_D[:over] == whole.bound_D[:over]).all()


def test_a_rolled_session_earns_the_index_and_its_jump_is_set_aside(sessions, long_of, bars_of, index_of):
    dates, known, price, index, rolls = dominant(sessions, 1)
    bars = bars_of(dates, {"IC.dominant": (None, price)}).with_columns(settle=pl.lit(None, dtype=pl.Float64))
    long = long_of(dates, np.round(7e7 * index / index[0], 2))
    neutral = Neutral(slippage=0.0, deal="close")
    result = neutralise(long, bars, index_of(dates, index), neutral=neutral, calendar=known.tolist())
    assert np.flatnonzero(result.excluded_cents_D).tolist() == rolls
    jump = (price - index)[rolls[0]] - (price - index)[rolls[0] - 1]
    assert result.excluded_cents_D[rolls[0]] / 100 == pytest.approx(-int(result.position_DC[rolls[0] - 1, 0]) * 200 * -jump)
    assert np.abs(result.parts_D["basis"][rolls]).max() <= 60 * 100  # rounding of points to cents, contract by contract
    traded = result.trades.filter(pl.col("why") == "roll")
    assert traded["contracts"].sum() == 0
    assert traded["date"].unique().sort().to_list() == [dates[i] for i in rolls]
    assert result.bound_cents_D[rolls].min() > 0
    assert any("the close is taken" in remark for remark in result.remarks)
    assert any(f"{len(rolls)} roll days are inferred" in remark for remark in result.remarks)


def test_the_hedge_pays_for_the_discount_though_the_series_jumps_back(sessions, long_of, bars_of, index_of):
    """25 % a year on what is hedged, whatever the raw series did: its jumps would have handed it back."""
    dates, known, price, index, _ = dominant(sessions, 2, noise=0.0)
    long = long_of(dates, np.round(7e7 * index / index[0], 2))
    bars = bars_of(dates, {"IC.dominant": (None, price)})
    result = neutralise(long, bars, index_of(dates, index), neutral=Neutral(slippage=0.0, deal="close"), calendar=known.tolist())
    hedged = float(np.mean(result.exposed_cents_D)) / 100
    years = len(dates) / 243
    assert -result.parts_D["basis"].sum() / 100 / hedged / years == pytest.approx(0.25, abs=0.04)


def test_the_packs_series_rolls_once_about_every_third_friday(pack_lake):
    bars = pack_lake.read("futures_bars").filter(pl.col("product") == "IC").sort("date")
    index = bars.select("date").join(pack_lake.read("index_bars"), on="date")["close"].to_numpy()
    days = bars["date"].to_numpy().astype("datetime64[D]")
    known = pack_lake.read("calendar")["date"].to_numpy().astype("datetime64[D]")
    found = inferred(bars["close"].to_numpy(), index, days, known)
    rolled = np.flatnonzero(found.rolled_D)
    assert len(rolled) == 32  # May 2015 to December 2017
    assert (np.abs(found.jump_D[rolled]) / index[rolled]).max() < 0.06
    assert days[rolled[-1]] == np.datetime64("2017-12-14")
