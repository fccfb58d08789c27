"""A hedged account by hand, its laws over random curves, and that nothing later is known."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.futures.beta import betas
from backtest.futures.neutral import neutralise
from backtest.futures.result import PARTS
from backtest.futures.settings import Neutral
from data.errors import KestrelError

PLAIN = {"slippage": 0.0, "transfer_cost": 0.0, "split_band": 1.0, "band": 0.0}

neutrals = st.builds(
    Neutral,
    stocks=st.sampled_from([0.5, 0.7, 0.9]),
    split_band=st.sampled_from([0.02, 0.1]),
    transfer_cost=st.sampled_from([0.0, 0.0015]),
    hedge=st.sampled_from(["value", "beta"]),
    window=st.sampled_from([10, 20]),
    contract=st.sampled_from(["dominant", "cheapest", "quarter"]),
    roll=st.sampled_from(["days", "open_interest"]),
    roll_days=st.integers(1, 6),
    deal=st.sampled_from(["open", "close"]),
    account=st.sampled_from(["hedging", "other"]),
    buffer=st.sampled_from([0.0, 0.25]),
    interest_cash=st.sampled_from([0.0, 0.02]),
    interest_margin=st.sampled_from([0.0, 0.005]),
)


def hedged(market, neutral, **given):
    return neutralise(market.long, market.bars, market.index, neutral=neutral, calendar=market.calendar, sellable_D=market.sellable_D, **given)


def in_cny(result, d):
    return {name: int(values[d]) / 100 for name, values in result.parts_D.items() if values[d]}


def test_a_hedge_by_hand(sessions, long_of, bars_of, index_of):
    """70m of stocks, all invested, against 58 contracts (70m / 1.2m = 58.3), sold at the open after the first evening."""
    dates = sessions(date(2024, 1, 2), 3)
    last = date(2024, 3, 15)
    bars = bars_of(dates, {"IC2403": (last, [5940, 5950, 6070])}, open={"IC2403": [5940, 5946, 5950]})
    index = index_of(dates, [6000, 6030, 6120], open_=[6000, 6012, 6030])
    long = long_of(dates, [70e6, 70.5e6, 71.2e6])
    result = neutralise(long, bars, index, neutral=Neutral(**PLAIN), calendar=dates)
    assert result.capital == 100e6 * 100
    assert result.position_DC[:, 0].tolist() == [0, -58, -58]  # 71.2m / 1.224m = 58.2
    fee = 58 * 5946 * 200 * 0.000023
    assert in_cny(result, 1) == {
        "alpha": 150_000.0,  # 500,000 less 70m x 0.5 %
        "residual_beta": 350_000 - 58 * 200 * (6030 - 6012),
        "basis": -58 * 200 * ((5950 - 6030) - (5946 - 6012)),
        "fees": -round(fee, 2),
    }
    assert in_cny(result, 2) == {
        "alpha": round(700_000 - 70.5e6 * 90 / 6030, 2),
        "residual_beta": round(70.5e6 * 90 / 6030 - 58 * 200 * 90, 2),
        "basis": -58 * 200 * ((6070 - 6120) - (5950 - 6030)),
    }
    assert result.margin_cents_D.tolist() == [0, round(58 * 5950 * 200 * 0.12 * 100), round(58 * 6070 * 200 * 0.12 * 100)]
    assert result.equity_cents_D[-1] / 100 == pytest.approx(100e6 + 1.2e6 - 58 * 200 * (6070 - 5946) - fee, abs=0.01)


def test_a_roll_moves_the_short_and_keeps_the_index_out_of_it(sessions, long_of, bars_of, index_of):
    dates = sessions(date(2024, 1, 8), 8)  # 19 January is the third Friday: session 9
    near, far = (date(2024, 1, 19), [6000.0] * 8), (date(2024, 2, 16), [5900.0] * 8)
    interest = {"IC2401": [9e4] * 8, "IC2402": [1e4] * 8}
    opening = {"IC2401": [6000.0] * 5 + [6010.0] * 3, "IC2402": [5900.0] * 5 + [5896.0] * 3}
    bars = bars_of(dates, {"IC2401": near, "IC2402": far}, open_interest=interest, open=opening)
    calendar = sessions(date(2024, 1, 8), 60)
    result = neutralise(long_of(dates, [72e6] * 8), bars, index_of(dates, [6000.0] * 8), neutral=Neutral(roll_days=4, **PLAIN), calendar=calendar)
    assert result.position_DC.tolist() == [[0, 0]] + [[-60, 0]] * 4 + [[0, -60]] * 3
    bought, sold = result.trades.filter(pl.col("why") == "roll").iter_rows(named=True)
    assert (bought["date"], bought["contract"], bought["contracts"], bought["price"]) == (dates[5], "IC2401", 60, 6010.0)
    assert (sold["contract"], sold["contracts"], sold["price"]) == ("IC2402", -60, 5896.0)
    roll = 60 * 200 * (6000 - 6010) - 60 * 200 * (5900 - 5896)
    assert in_cny(result, 5) == {"roll": roll, "fees": -round(60 * 200 * (6010 + 5896) * 0.000023, 2)}


def test_a_contract_of_a_closed_friday_settles_on_the_next_session(sessions, long_of, bars_of, index_of):
    """15 and 16 September 2016 were holidays: IC1609 ended on Monday the 19th, settled in cash against the delivery fee."""
    closed = [date(2016, 9, 15), date(2016, 9, 16)]
    dates = sessions(date(2016, 9, 8), 7, closed)
    bars = bars_of(
        dates, {"IC1609": (date(2016, 9, 19), [6000, 6000, 6000, 6000, 6000, 6100, None]), "IC1610": (date(2016, 10, 21), [None] * 6 + [6000])}
    )
    index = index_of(dates, [6000.0] * 7)
    result = neutralise(long_of(dates, [72e6] * 7), bars, index, neutral=Neutral(roll_days=1, **PLAIN), calendar=sessions(dates[0], 60, closed))
    assert dates[5] == date(2016, 9, 19)
    assert result.position_DC[:, 0].tolist() == [0, -60, -60, -60, -60, 0, 0]
    delivered = result.trades.filter(pl.col("why") == "expiry").to_dicts()[0]
    assert (delivered["date"], delivered["contracts"], delivered["price"]) == (dates[5], 60, 6100.0)
    assert in_cny(result, 5) == {"basis": -60 * 200 * 100.0, "fees": -60 * 6100 * 200 * 0.0001}


def test_a_margin_call_cuts_contracts_and_tells_the_long_book_to_raise_cash(sessions, long_of, bars_of, index_of):
    """At 90 % stocks 8.0m of cash margin 60 contracts (7.2m at 10 %); a rise of 5 % leaves 4.4m against 7.56m."""
    dates = sessions(date(2015, 5, 4), 5)
    level = [6000.0, 6000.0, 6300.0, 6300.0, 6300.0]
    bars = bars_of(dates, {"IC1506": (date(2015, 6, 19), level)})
    stocks = 72e6 * np.array(level) / 6000
    neutral = Neutral(stocks=0.9, buffer=0.0, **PLAIN)
    result = neutralise(long_of(dates, stocks), bars, index_of(dates, level), neutral=neutral, calendar=sessions(dates[0], 60))
    fee = 60 * 6000 * 200 * 0.000023
    assert result.cash_cents_D[2] / 100 == pytest.approx(8e6 - fee - 60 * 200 * 300)
    assert result.call_cents_D.tolist()[:2] == [0, 0]
    assert result.call_cents_D[2] / 100 == pytest.approx(60 * 126_000 - (4.4e6 - fee))
    cut = result.trades.filter(pl.col("why") == "cut").to_dicts()
    assert [(row["date"], row["contracts"]) for row in cut] == [(dates[3], 60 - 34)]  # 4.398m / 126,000 = 34.9
    equity = 75.6e6 + 4.4e6 - fee
    assert result.asked_cents_D[2] / 100 == pytest.approx(75.6e6 - equity * 0.9, abs=0.02)
    assert result.transferred_cents_D[3] == result.asked_cents_D[2]
    assert result.arriving_cents_D[3] == result.transferred_cents_D[3]  # free of cost here
    assert result.cash_cents_D[4] > result.cash_cents_D[3]
    assert result.call_cents_D[3:].tolist() == [0, 0]


def test_contracts_are_opened_only_while_cash_covers_the_buffer_beside_their_margin(sessions, long_of, bars_of, index_of):
    dates = sessions(date(2015, 5, 4), 3)
    bars = bars_of(dates, {"IC1506": (date(2015, 6, 19), [6000.0] * 3)})
    neutral = Neutral(stocks=0.9, buffer=0.25, **PLAIN)
    result = neutralise(long_of(dates, [72e6] * 3), bars, index_of(dates, [6000.0] * 3), neutral=neutral, calendar=sessions(dates[0], 60))
    assert result.position_DC[1, 0] == -53  # 8m / (1.25 x 120,000) = 53.3 of the 60 wanted
    assert result.asked_cents_D[0] > 0


def test_the_index_dividends_are_told_apart(sessions, long_of, bars_of, index_of):
    """Stocks and the index with dividends make 1 %, the price index nothing: no alpha, but 1 % of dividends."""
    dates = sessions(date(2024, 1, 2), 2)
    bars = bars_of(dates, {"IC2403": (date(2024, 3, 15), [6000.0] * 2)})
    index = index_of(dates, [6000.0] * 2, close_tr=[7000.0, 7070.0])
    result = neutralise(long_of(dates, [72e6, 72.72e6]), bars, index, neutral=Neutral(**PLAIN), calendar=sessions(dates[0], 60))
    assert in_cny(result, 1) == {"dividends": 720_000.0, "fees": -60 * 1.2e6 * 0.000023}


def test_beta_is_of_the_stocks_held_and_of_the_past(sessions, long_of):
    rng = np.random.default_rng(0)
    dates = sessions(date(2024, 1, 2), 40)
    index = 1 + rng.normal(0, 0.02, 40)
    stocks = 1 + 1.2 * (index - 1)
    nav, cash = [1e8], [2e7]
    for growth in stocks[1:]:
        nav.append(cash[-1] + (nav[-1] - cash[-1]) * growth)
        cash.append(0.2 * nav[-1])
    found = betas(long_of(dates, nav, cash=cash), index, 20)
    assert (found[:20] == 1.0).all()  # no stocks before the first session, so its return belongs to no window
    assert found[20:] == pytest.approx(1.2, abs=1e-5)


def test_a_locked_limit_leaves_the_order_unfilled_and_says_why(sessions, long_of, bars_of, index_of):
    dates = sessions(date(2015, 8, 20), 4)
    fall = [6000.0, 5400.0, 5400.0, 5400.0]
    bars = bars_of(dates, {"IC1509": (date(2015, 9, 18), fall)})
    result = neutralise(long_of(dates, [70e6] * 4), bars, index_of(dates, [6000.0] * 4), neutral=Neutral(**PLAIN), calendar=sessions(dates[0], 60))
    first, second = result.trades.to_dicts()
    assert (first["date"], first["ordered"], first["contracts"], first["reason"]) == (dates[1], -58, 0, "limit_down")
    assert (second["date"], second["contracts"], second["reason"]) == (dates[2], -58, "filled")


def test_a_non_hedging_account_opens_no_more_than_the_cap_of_the_day(sessions, long_of, bars_of, index_of):
    dates = sessions(date(2016, 5, 3), 5)
    bars = bars_of(dates, {"IC1606": (date(2016, 6, 17), [6000.0] * 5)})
    neutral = Neutral(account="other", stocks=0.5, **PLAIN)
    result = neutralise(long_of(dates, [30e6] * 5), bars, index_of(dates, [6000.0] * 5), neutral=neutral, calendar=sessions(dates[0], 60))
    assert result.position_DC[:, 0].tolist() == [0, -10, -20, -25, -25]
    assert result.trades["reason"].to_list() == ["opening_cap", "opening_cap", "filled"]


def test_interest_is_paid_by_nights_on_cash_and_margin(sessions, long_of, bars_of, index_of):
    dates = sessions(date(2024, 1, 4), 3)  # Thursday, Friday, Monday
    bars = bars_of(dates, {"IC2403": (date(2024, 3, 15), [6000.0] * 3)})
    neutral = Neutral(interest_cash=0.02, interest_margin=0.01, **PLAIN)
    result = neutralise(long_of(dates, [72e6] * 3), bars, index_of(dates, [6000.0] * 3), neutral=neutral, calendar=sessions(dates[0], 60))
    cash, margin = result.cash_cents_D[1] / 100, 60 * 1.2e6 * 0.12
    assert result.parts_D["financing"][2] / 100 == pytest.approx(((cash - margin) * 0.02 + margin * 0.01) * 3 / 365, abs=0.01)


def test_a_discount_that_closes_costs_the_hedge_just_that(sessions, long_of, bars_of, index_of):
    """Row 30: the index stands still, the future climbs from 5,880 to 6,000, and the account pays 2 % on what it hedges."""
    dates = sessions(date(2024, 1, 2), 30)
    price = np.round(np.linspace(5880, 6000, 30) / 0.2) * 0.2
    bars = bars_of(dates, {"IC2403": (date(2024, 3, 15), price)})
    neutral = Neutral(**{**PLAIN, "deal": "close"})
    result = neutralise(long_of(dates, [72e6] * 30), bars, index_of(dates, [6000.0] * 30), neutral=neutral, calendar=sessions(dates[0], 90))
    assert result.parts_D["basis"].sum() / 100 == pytest.approx(-60 * 200 * (6000 - price[1]))
    assert result.parts_D["alpha"].sum() == result.parts_D["residual_beta"].sum() == 0


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), neutral=neutrals)
def test_parts_sum_to_the_change_of_equity_to_the_cent(random_futures, seed, neutral):
    market = random_futures(seed)
    result = hedged(market, neutral)
    before = np.concatenate([[result.capital], result.equity_cents_D[:-1]])
    assert (sum(result.parts_D[name] for name in PARTS) == result.equity_cents_D - before).all()
    assert (result.margin_cents_D >= 0).all()
    assert (result.arriving_cents_D >= 0).all()
    assert (result.stocks_cents_D >= 0).all()
    assert (result.position_DC <= 0).all()
    assert (result.call_cents_D == np.maximum(0, result.margin_cents_D - result.cash_cents_D - result.arriving_cents_D)).all()
    trading = result.trades.filter(pl.col("reason") == "filled", pl.col("why") != "expiry")
    assert (trading["contracts"] == trading["ordered"]).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), neutral=neutrals)
def test_the_margin_account_holds_what_its_trades_say(random_futures, seed, neutral):
    """Daily settlement telescopes: cash = start - contracts bought x price + worth of what is open - fees + interest + transfers."""
    market = random_futures(seed)
    result = hedged(market, neutral)
    settle = {(row["date"], row["contract"]): row["settle"] for row in market.bars.iter_rows(named=True)}
    paid = sum(row["contracts"] * row["price"] * 200 for row in result.trades.iter_rows(named=True))
    open_ = sum(int(n) * settle[market.dates[-1], name] * 200 for name, n in zip(result.contracts, result.position_DC[-1], strict=True) if n)
    costs = result.trades["fee"].sum() + result.trades["slippage"].sum()
    moved = result.transferred_cents_D
    arrived = np.where(moved > 0, moved - np.floor(moved * neutral.transfer_cost + 0.5), moved)
    kept = arrived.sum() - result.arriving_cents_D[-1]
    start = result.capital - market.long.capital
    expected = start / 100 - paid + open_ - costs + (result.parts_D["financing"].sum() + kept) / 100
    assert result.cash_cents_D[-1] / 100 == pytest.approx(expected, abs=0.06)  # prices of 0.2 aren't exact in binary


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), neutral=neutrals, known=st.integers(5, 60))
def test_nothing_later_changes_what_was_decided_and_earned(random_futures, seed, neutral, known):
    market = random_futures(seed)
    clean = hedged(market, neutral)
    last = market.dates[known - 1]
    later = pl.col("date") > last
    market.bars = market.bars.with_columns(
        pl.when(later).then(pl.col(name) * 1.37).otherwise(pl.col(name)).alias(name) for name in ("open", "close", "settle")
    )
    market.bars = market.bars.with_columns(pl.when(later).then(1.0).otherwise(pl.col("open_interest")).alias("open_interest"))
    market.index = market.index.with_columns(
        pl.when(later).then(pl.col(name) * 0.5).otherwise(pl.col(name)).alias(name) for name in ("open", "close", "close_tr")
    )
    market.long.nav_cents_D[known:] //= 2
    market.long.cash_cents_D[known:] //= 3
    market.sellable_D[known:] = 0.0
    poisoned = hedged(market, neutral)
    assert (poisoned.equity_cents_D[:known] == clean.equity_cents_D[:known]).all()
    assert (poisoned.position_DC[:known] == clean.position_DC[:known]).all()
    for name in PARTS:
        assert (poisoned.parts_D[name][:known] == clean.parts_D[name][:known]).all()


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), neutral=neutrals)
def test_order_of_rows_is_irrelevant(random_futures, seed, neutral):
    market = random_futures(seed)
    clean = hedged(market, neutral)
    market.bars, market.index = market.bars.sample(fraction=1.0, shuffle=True, seed=seed), market.index.reverse()
    assert (hedged(market, neutral).equity_cents_D == clean.equity_cents_D).all()


def test_a_perfect_hedge_has_no_risk_but_rounding(sessions, long_of, bars_of, index_of):
    dates = sessions(date(2024, 1, 2), 40)
    level = np.round(6000 * np.cumprod(1 + np.random.default_rng(3).normal(0, 0.02, 40)) / 0.2) * 0.2
    bars = bars_of(dates, {"IC2406": (date(2024, 6, 21), level)})
    neutral = Neutral(**{**PLAIN, "deal": "close", "split_band": 0.02})
    result = neutralise(long_of(dates, 72e6 * level / level[0]), bars, index_of(dates, level), neutral=neutral, calendar=sessions(dates[0], 200))
    assert not result.parts_D["basis"].any()
    assert np.abs(result.parts_D["alpha"]).max() <= 1
    moved = np.abs(result.returns_D[2:])
    assert moved.max() < 0.001  # half a contract of 60, and what is transferred at a close is hedged at the next


def test_what_is_missing_is_said(sessions, long_of, bars_of, index_of):
    dates = sessions(date(2024, 1, 2), 4)
    bars = bars_of(dates[:3], {"IC2403": (date(2024, 3, 15), [6000.0] * 3)})
    long, index = long_of(dates, [70e6] * 4), index_of(dates, [6000.0] * 4)
    with pytest.raises(KestrelError, match=f"futures_bars has no IC on 1 of 4 sessions .first: {dates[3]}"):
        neutralise(long, bars, index)
    whole = bars_of(dates, {"IC2403": (date(2024, 3, 15), [6000.0] * 4)})
    with pytest.raises(KestrelError, match="no open on 1 of 4"):
        neutralise(long, whole, index.with_columns(pl.when(pl.col("date") == dates[1]).then(None).otherwise(pl.col("open")).alias("open")))
    with pytest.raises(KestrelError, match="sellable_D has the shape"):
        neutralise(long, whole, index, sellable_D=np.ones(3))
    holed = bars_of(dates, {"IC2403": (date(2024, 3, 15), [6000, 6000, None, 6000]), "IC2406": (date(2024, 6, 21), [None, None, 6000, 6000])})
    with pytest.raises(KestrelError, match=f"no IC2403 on {dates[2]}, where 58 contracts of it are held"):
        neutralise(long, holed, index, calendar=sessions(dates[0], 60))
