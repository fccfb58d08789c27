"""Orders a second and a day, by hand."""

from datetime import date

import numpy as np
import polars as pl

from backtest.costs import FREE
from backtest.pace import PaceSettings, pace
from backtest.simulation import SimulationSettings
from backtest.strategies import Targets
from backtest.targets import simulate_weights
from data.rules import exchange_rules

NAMES = ("300001.SZ", "600001.SH")


def account(market_of, first):
    """700,000 shares of a ChiNext stock are bought, and as many of one on the main board that is suspended."""
    trading = np.array([[True, True], [True, False]])
    market = market_of(np.full((2, 2), 10.0), symbols=NAMES, first=first, trading=trading)
    settings = SimulationSettings(cash=14e6)
    return market, simulate_weights(np.full((2, 2), 0.5), market, costs=FREE, settings=settings, targets=Targets())


def test_orders_are_counted_in_pieces_of_the_largest_size_and_unfilled_ones_are_cancelled(market_of):
    for first, orders in [(date(2020, 8, 20), 1 + 1), (date(2020, 8, 21), 3 + 1)]:  # 1 M shares an order, from Monday 2020-08-24 300,000
        found = pace(*reversed(account(market_of, first)), settings=PaceSettings(seconds=10)).row(0, named=True)
        assert (found["orders"], found["cancels"], found["a_second"]) == (orders, 1, (orders + 1) / 10)
        assert (found["day_limit"], found["second_limit"], found["high_frequency"]) == (None, None, False)


def test_thresholds_of_programme_trading_hold_from_2025_07_07_on_and_are_reached_at_the_limit_itself(market_of):
    for first, limit in [(date(2025, 7, 3), None), (date(2025, 7, 4), 300.0)]:  # trades on Friday the 4th, on Monday the 7th
        market, result = account(market_of, first)
        assert pace(result, market)["second_limit"].to_list() == [limit]
        assert pace(result, market, settings=PaceSettings(seconds=5 / 300))["high_frequency"].to_list() == [limit is not None]
        few = exchange_rules().overridden({"high_frequency": {"per_day": [[date(2025, 7, 7), 5]]}})
        assert pace(result, market, rules=few).filter(pl.col("high_frequency")).height == (limit is not None)
