"""Weights asked of a weigher every evening: what it is told, what is traded, and what is left alone."""

from datetime import date

import numpy as np
import pytest

from backtest.costs import FREE, CostSettings
from backtest.simulation import SimulationSettings
from backtest.strategies import Targets
from backtest.targets import simulate_targets
from data.errors import KestrelError

NAMES = ("600001.SH", "600002.SH")


def test_weigher_that_has_no_wish_trades_nothing(random_market):
    market = random_market(1)
    result = simulate_targets(lambda _: None, market, costs=CostSettings())
    assert result.trades.is_empty()
    assert (result.nav_cents_D == result.capital).all()


def test_weigher_is_told_the_book_of_the_evening_and_its_weights_trade_the_next_session(market_of):
    market = market_of([[10, 20], [10.5, 20], [10.5, 21]], symbols=NAMES)
    told = []

    def weigher(evening):
        told.append(evening)
        return np.array([0.5, 0.5])

    result = simulate_targets(weigher, market, costs=FREE, settings=SimulationSettings(cash=100_000, deal="close"), targets=Targets(band=0.2))
    assert [one.session for one in told] == [0, 1]
    assert (told[0].cash, told[0].equity, told[0].weights_N.tolist()) == (100_000, 100_000, [0, 0])
    # sized at the close before, 10 and 20: 5000 and 2500 shares, but the first costs 10.50, so two lots of the second find no cash
    assert told[1].shares_N.tolist() == result.shares_DN[0].tolist() == [5000, 2300]
    assert told[1].price_N.tolist() == [10.5, 20]
    assert told[1].weights_N.tolist() == [0.525, 0.46]
    assert result.shares_DN[1].tolist() == [5000, 2300]  # within the band


def test_target_of_nothing_sells_all_and_a_smaller_one_sells_whole_lots(market_of):
    market = market_of(np.full((3, 2), 10.0), symbols=NAMES)
    wishes = iter([np.array([0.5, 0.5]), np.array([0.123, 0.0])])
    result = simulate_targets(lambda _: next(wishes), market, costs=FREE, settings=SimulationSettings(cash=10_000), targets=Targets(band=0.0))
    assert result.shares_DN.tolist() == [[500, 500], [200, 0]]


@pytest.mark.parametrize("wrong", [[0.5], [0.7, 0.7], [-0.1, 0.5], [np.nan, 0.5]])
def test_weights_that_no_account_can_hold_are_refused(market_of, wrong):
    market = market_of(np.full((3, 2), 10.0), symbols=NAMES, first=date(2024, 3, 1))
    with pytest.raises(KestrelError, match="The weights of 2024-03-01"):
        simulate_targets(lambda _: np.array(wrong), market, costs=FREE)
