"""What an order costs on the days before and after each rule changed, by hand."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from backtest.costs import QLIB_COSTS, CostSettings
from backtest.simulation import SimulationSettings, simulate
from backtest.strategies import TopkDropout

NAMES = ("600001.SH", "600002.SH")


@pytest.mark.parametrize(
    ("first", "stamp", "transfer"),
    [
        (date(2008, 9, 16), (10.0, 10.0), (1.0, 1.0)),  # trades Wed 17 and Thu 18: 0.1 % on both sides; Shanghai 0.1 % of 1000 shares
        (date(2008, 9, 18), (0.0, 10.0), (1.0, 1.0)),  # Fri 19: the buyer pays no more
        (date(2015, 7, 29), (0.0, 10.0), (1.0, 1.0)),  # Thu 30, Fri 31: 0.06 % of shares, at least 1 CNY
        (date(2015, 7, 31), (0.0, 10.0), (0.2, 0.2)),  # Mon 08-03: 0.002 % of the amount
        (date(2022, 4, 26), (0.0, 10.0), (0.2, 0.2)),  # Wed 27, Thu 28
        (date(2022, 4, 28), (0.0, 10.0), (0.1, 0.1)),  # Fri 29: 0.001 %
        (date(2023, 8, 23), (0.0, 10.0), (0.1, 0.1)),  # Thu 24, Fri 25
        (date(2023, 8, 25), (0.0, 5.0), (0.1, 0.1)),  # Mon 28: 0.05 %
    ],
)
def test_stamp_duty_and_transfer_fee_are_those_of_the_day(market_of, first, stamp, transfer):
    market = market_of([[10, 20]] * 3, symbols=NAMES, first=first)
    costs = CostSettings(commission=0.0002, minimum=5.0, slippage=0.0005)
    result = simulate(
        np.array([[2.0, 1], [1, 2], [1, 2]]),
        market,
        costs=costs,
        strategy=TopkDropout(k=1, drop=1, invested=0.95),
        settings=SimulationSettings(cash=10_600),
    )
    buy, sell = result.trades.row(0, named=True), result.trades.filter(pl.col("side") == "sell").row(0, named=True)
    assert (buy["shares"], buy["amount"], buy["commission"], buy["slippage"]) == (1000, 10_000, 5.0, 5.0)
    assert (buy["stamp_duty"], sell["stamp_duty"]) == stamp
    assert (buy["transfer_fee"], sell["transfer_fee"]) == transfer


def test_commission_has_its_minimum_and_flat_rates_hold_no_levy(market_of):
    market = market_of([[10, 20]] * 3, symbols=NAMES)
    for cash, bought, sold in [(10_600, 5.0, 15.0), (106_000, 50.0, 150.0), (1_100, 5.0, 5.0)]:
        result = simulate(
            np.array([[2.0, 1], [1, 2], [1, 2]]), market, costs=QLIB_COSTS, strategy=TopkDropout(k=1, drop=1), settings=SimulationSettings(cash=cash)
        )
        sell = result.trades.filter(pl.col("side") == "sell").row(0, named=True)
        assert (result.trades["commission"][0], sell["commission"]) == (bought, sold)
        assert sum(result.costs_D[name].sum() for name in ("stamp_duty", "transfer_fee", "slippage")) == 0


def test_rates_beyond_reason_are_refused():
    for wrong in ({"commission": -0.1}, {"slippage": 5.0}, {"minimum": "5"}, {"levy": 1}):
        with pytest.raises(ValidationError):
            CostSettings.model_validate(wrong)
