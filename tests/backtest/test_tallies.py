import numpy as np
import polars as pl
import pytest

from backtest.costs import CostSettings
from backtest.report import tallies
from backtest.simulation import SimulationSettings, simulate
from backtest.strategies import TopkDropout


@pytest.fixture(scope="module")
def result(random_market):
    market = random_market(11, sessions=90)
    scores = np.random.default_rng(11).normal(size=market.axes.shape)
    return simulate(scores, market, strategy=TopkDropout(k=5, drop=2), costs=CostSettings(), settings=SimulationSettings(cash=1e6))


def test_a_suspended_sale_is_value_left_unfilled(market_of):
    trading = np.ones((3, 2), dtype=bool)
    trading[2, 0] = False
    market = market_of([[10.0, 20.0]] * 3, symbols=("600000.SH", "600001.SH"), trading=trading)
    scores = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    account = simulate(scores, market, strategy=TopkDropout(k=1, drop=1), costs=CostSettings(), settings=SimulationSettings(cash=1e6))
    sold = tallies.executions(account).filter(pl.col("side") == "sell").to_dicts()
    held = account.positions()["600000.SH"] * 10.0
    assert [(row["reason"], row["orders"], row["ordered"], row["filled"], row["lost"]) for row in sold] == [("suspended", 1, held, 0.0, 1.0)]


def test_orders_by_what_became_of_them_are_all_orders(result):
    found = tallies.executions(result)
    assert found["orders"].sum() == result.trades.height
    assert found["amount"].sum() == pytest.approx(result.trades["amount"].sum())
    assert (found.filter(pl.col("reason").is_null())["lost"] == 0).all()
    by_side = found.group_by("side").agg(pl.col("lost").sum(), (pl.col("filled").sum() / pl.col("ordered").sum()).alias("share"))
    assert (by_side["lost"] + by_side["share"]).to_list() == pytest.approx([1.0, 1.0])
    assert tallies.filled_share(result) == pytest.approx(found["filled"].sum() / found["ordered"].sum())


def test_what_quarters_left_unfilled_adds_up_to_the_whole(result):
    values = tallies.order_values(result)
    whole = values.group_by(pl.col("date").dt.truncate("1q").alias("quarter")).agg(pl.col("ordered").sum())
    lost = tallies.unfilled_by_quarter(result).join(whole, on="quarter")
    assert (lost["lost"] * lost["ordered"]).sum() == pytest.approx(values["ordered"].sum() - values["filled"].sum())


def test_years_compound_to_the_whole_return(result):
    rows = tallies.years(result, np.zeros(len(result.dates)))
    assert np.prod([1 + row["return"] for row in rows]) == pytest.approx(result.nav_D[-1] / 1e6)
    assert sum(row["sessions"] for row in rows) == len(result.dates)
