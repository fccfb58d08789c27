"""The event study: returns from the next open on, less the market, with errors clustered by date."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from data.panel import Axes
from models.sentiment.study import adjusted, study

DAYS = [date(2020, 1, 1) + timedelta(days=n) for n in range(8)]
STOCKS = ["000001.SZ", "000002.SZ", "600000.SH"]
AXES = Axes(tuple(DAYS), tuple(STOCKS))


def bars(open_DN: np.ndarray, adj: float | np.ndarray = 1.0, trading: np.ndarray | None = None) -> pl.DataFrame:
    keys = {"date": np.repeat(np.array(DAYS), 3).tolist(), "symbol": STOCKS * 8}
    trades = np.ones((8, 3), bool) if trading is None else trading
    return pl.DataFrame({**keys, "open": open_DN.ravel(), "adj": np.broadcast_to(adj, (8, 3)).ravel(), "is_trading": trades.ravel()})


def test_a_return_runs_from_the_next_open_and_the_market_is_taken_off() -> None:
    open_DN = np.full((8, 3), 10.0)
    open_DN[3:, 0] = 11.0  # up 10 % between the opens of sessions 2 and 3
    found = adjusted(bars(open_DN), AXES, 1)
    assert found[1] == pytest.approx([0.1 - 0.1 / 3, -0.1 / 3, -0.1 / 3])
    assert found[2] == pytest.approx([0, 0, 0])
    assert np.isnan(found[6:]).all()
    assert adjusted(bars(open_DN), AXES, 2)[0, 0] == pytest.approx(0.1 - 0.1 / 3)


def test_dividends_count_and_a_stock_that_does_not_trade_has_no_entry() -> None:
    open_DN, adj_DN, trading = np.full((8, 3), 10.0), np.ones((8, 3)), np.ones((8, 3), bool)
    open_DN[4:, 1], adj_DN[4:, 1] = 5.0, 2.0  # a split
    trading[3, 2] = False
    found = adjusted(bars(open_DN, adj_DN, trading), AXES, 1)
    assert np.nanmax(np.abs(found)) == pytest.approx(0)
    assert np.isnan(found[2, 2])
    assert np.isnan(found[1, 2])


def test_no_price_up_to_the_entry_moves_an_effect() -> None:
    rng = np.random.default_rng(0)
    open_DN = rng.uniform(5, 10, (8, 3))
    moved = open_DN.copy()
    moved[:3] *= rng.uniform(1, 2, (3, 3))
    assert np.array_equal(adjusted(bars(open_DN), AXES, 2)[2:], adjusted(bars(moved), AXES, 2)[2:], equal_nan=True)


def test_errors_are_those_of_the_sandwich_by_date() -> None:
    rng = np.random.default_rng(1)
    market = bars(rng.uniform(9, 11, (8, 3)))
    events = pl.DataFrame({"date": [DAYS[0], DAYS[0], DAYS[1], DAYS[3]], "symbol": [STOCKS[0], STOCKS[1], STOCKS[0], STOCKS[2]], "group": "positive"})
    found = study(events, market, AXES, horizons=(1,))[0]
    returns = adjusted(market, AXES, 1)[[0, 0, 1, 3], [0, 1, 0, 2]]
    off = returns - returns.mean()
    by_day = np.array([off[0] + off[1], off[2], off[3]])
    assert found.mean == pytest.approx(returns.mean())
    assert found.error == pytest.approx(np.sqrt(3 / 2 * np.sum(by_day**2)) / 4)
    assert (found.events, found.dates) == (4, 3)


def test_a_day_repeated_adds_events_but_no_certainty() -> None:
    """What all stocks of a day share isn't learnt twice."""
    open_DN = np.random.default_rng(2).uniform(9, 11, (8, 3))
    open_DN[:, 1] = open_DN[:, 0]
    rows = [(day, stock, "positive") for day in DAYS[:5] for stock in STOCKS[:2]]
    twice = study(pl.DataFrame(rows, schema=("date", "symbol", "group"), orient="row"), bars(open_DN), AXES, (1,))[0]
    once = study(pl.DataFrame(rows[::2], schema=("date", "symbol", "group"), orient="row"), bars(open_DN), AXES, (1,))[0]
    assert twice.error == pytest.approx(once.error)
    assert twice.events == 2 * once.events


def test_the_difference_of_tones_knows_that_both_share_their_days() -> None:
    """Good and bad news of the same days: what moves both cancels, so the difference is surer than its parts."""
    rng = np.random.default_rng(3)
    shared = np.cumsum(rng.normal(0, 1, 8))
    open_DN = 100 + shared[:, None] * [1, 1, -2] + [0, 0.0, 0]
    rows = [(day, stock, tone) for day in DAYS[:6] for stock, tone in zip(STOCKS, ("positive", "negative"), strict=False)]
    found = {one.group: one for one in study(pl.DataFrame(rows, schema=("date", "symbol", "group"), orient="row"), bars(open_DN), AXES, (1,))}
    difference = found["positive less negative"]
    assert difference.mean == pytest.approx(found["positive"].mean - found["negative"].mean)
    assert difference.error < 1e-9 < found["positive"].error
