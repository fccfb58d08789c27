"""An account in the hard windows and under shocks, by hand."""

from datetime import date
from types import SimpleNamespace

import numpy as np
import pytest

from backtest.costs import FREE
from backtest.metrics import max_drawdown
from backtest.stress import Shocks, sellable, shocked, windows
from backtest.targets import simulate_targets

NAMES = ("600001.SH", "600002.SH", "600003.SH")


def test_windows_are_told_as_far_as_they_were_lived_through():
    dates = [date(2016, 1, 27), date(2016, 1, 28), date(2016, 1, 29), date(2016, 2, 1), date(2017, 1, 3)]
    r, b = np.array([0.01, -0.05, 0.02, 0.5, 0.03]), np.array([0.0, -0.08, 0.03, 0.5, 0.01])
    crash, calm = windows(dates, r, b).to_dicts()
    assert (crash["window"][:7], crash["start"], crash["end"], crash["sessions"], crash["complete"]) == ("2016-01", dates[0], dates[2], 3, False)
    total, index = 1.01 * 0.95 * 1.02 - 1, 0.92 * 1.03 - 1
    assert (crash["total"], crash["benchmark"], crash["worst_day"]) == pytest.approx((total, index, -0.05))
    assert crash["excess"] == pytest.approx((1 + total) / (1 + index) - 1)
    assert crash["max_drawdown"] == pytest.approx(max_drawdown(r[:3]))
    assert calm["volatility"] is None  # one session has none
    assert windows(dates[3:4], r[3:4], b[3:4]).is_empty()


@pytest.fixture(name="held")
def _held(market_of):
    """A third each in three stocks with betas of 2, 1 and 0; the last doesn't trade on the last session."""
    rng = np.random.default_rng(2)
    index = np.concatenate([[0.0], rng.normal(0, 0.01, 40)])
    close = 100 * np.cumprod(1 + index[:, None] * [2.0, 1.0, 0.0], axis=0)
    trading = np.ones((41, 3), dtype=bool)
    trading[40, 2] = False
    market = market_of(np.round(close, 2), symbols=NAMES, trading=trading)
    result = simulate_targets(lambda evening: np.full(3, 0.3) if evening.session == 0 else None, market, costs=FREE)
    return result, market, index


def test_a_fall_stops_at_the_limit_and_what_reaches_it_cannot_be_sold(held):
    result, market, index = held
    shares = result.shares_DN[-1] * result.price_DN[-1] / result.nav_D[-1]
    found = {(row["shock"], row["measure"]): row["value"] for row in shocked(result, market, index, shocks=Shocks(fall=0.07)).to_dicts()}
    limit = market.limit_down_DN[40, 0] / market.reference_DN[40, 0] - 1
    assert limit == pytest.approx(-0.10, abs=1e-3)
    expected = shares @ [limit, -0.07, -0.07]  # suspended: as far as the index, since nobody knows
    assert found["index falls", "stocks"] == pytest.approx(expected, abs=1e-3)
    assert found["index falls", "unsellable"] == pytest.approx(shares[0] + shares[2])


def test_half_the_liquidity_takes_twice_the_days(held):
    result, market, index = held
    found = {(row["shock"], row["measure"]): row["value"] for row in shocked(result, market, index).to_dicts()}
    days = found["liquidity as it is", "days for 95 %"]
    value = result.shares_DN[-1] * result.price_DN[-1]
    traded = (np.where(market.trading_DN, 1e6 * market.close_DN, 0.0)).mean(axis=0) * 0.10
    assert days == pytest.approx(max(value / traded), rel=0.1)
    assert found["liquidity shrinks", "days for 95 %"] == pytest.approx(2 * days)
    assert found["liquidity shrinks", "sold in a day"] <= found["liquidity as it is", "sold in a day"]


def test_a_hedge_earns_what_stocks_lose_and_a_rise_calls_margin(held):
    result, market, index = held
    nav = result.nav_cents_D[-1]
    hedge = SimpleNamespace(
        stocks_cents_D=np.array([nav]),
        equity_D=np.array([nav / 100 / 0.8]),
        cash_cents_D=np.array([nav // 4]),
        margin_cents_D=np.array([nav // 5]),
        exposed_cents_D=np.array([nav]),
    )
    found = {(row["shock"], row["measure"]): row["value"] for row in shocked(result, market, index, hedge=hedge).to_dicts()}
    assert found["index falls", "futures"] == pytest.approx(0.8 * 0.07)
    assert found["index falls", "account"] == pytest.approx(found["index falls", "stocks"] + found["index falls", "futures"])
    assert found["index rises", "account"] == pytest.approx(-found["index falls", "account"])
    assert found["index rises", "margin call"] == pytest.approx(0.8 * (1.07 * 0.2 - (0.25 - 0.07)))
    assert found["discount widens", "account"] == pytest.approx(0.8 * 0.05)
    assert found["discount narrows", "account"] == pytest.approx(-0.8 * 0.05)


def test_what_is_suspended_or_locked_at_its_limit_cannot_be_sold(market_of):
    close = np.array([[10.0, 10.0, 10.0], [10.0, 10.0, 10.0], [9.0, 10.0, 10.0]])
    trading = np.array([[True] * 3, [True] * 3, [True, False, True]])
    market = market_of(close, symbols=NAMES, trading=trading)
    result = simulate_targets(lambda evening: np.full(3, 0.3), market, costs=FREE)
    held = result.shares_DN[-1] * result.price_DN[-1]
    assert sellable(result, market)[0] == 1.0
    assert sellable(result, market)[1] == pytest.approx(1 - (held[0] + held[1]) / result.nav_D[-1])
