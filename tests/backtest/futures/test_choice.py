"""Which contract a short goes to, and when it leaves it."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from backtest.futures.choice import annualised_basis, chosen, due
from backtest.futures.curve import curve
from backtest.futures.neutral import neutralise
from backtest.futures.settings import Neutral
from data.rules import exchange_rules
from data.simulator.settings import SimulationSettings
from data.simulator.simulation import simulate

ENDS = {"IC2401": date(2024, 1, 19), "IC2402": date(2024, 2, 16), "IC2403": date(2024, 3, 15), "IC2406": date(2024, 6, 21)}
PRICES = {"IC2401": 5990.0, "IC2402": 5950.0, "IC2403": 5925.0, "IC2406": 5900.0}
INTEREST = {"IC2401": 3e4, "IC2402": 4e4, "IC2403": 9e4, "IC2406": 5e4}


@pytest.fixture(name="four")
def _four(sessions, bars_of, index_of):
    def four(day, neutral, interest=INTEREST):
        dates = sessions(day, 2)
        bars = bars_of(
            dates, {name: (ENDS[name], [price] * 2) for name, price in PRICES.items()}, open_interest={n: [x] * 2 for n, x in interest.items()}
        )
        return curve(bars, index_of(dates, [6000.0] * 2), dates, np.array(sessions(day, 200), dtype="datetime64[D]"), neutral, exchange_rules())

    return four


@pytest.mark.parametrize(("contract", "name"), [("dominant", "IC2403"), ("quarter", "IC2403"), ("cheapest", "IC2406")])
def test_a_new_short_goes_where_the_setting_says(four, contract, name):
    neutral = Neutral(contract=contract)
    found = four(date(2024, 1, 8), neutral)
    assert found.contracts[chosen(found, 0, [0, 0, 0, 0], neutral)] == name


def test_the_cheapest_contract_is_told_by_its_annualised_basis(four):
    found = four(date(2024, 1, 8), Neutral())
    days = [11, 39, 67, 165]
    assert annualised_basis(found, 0) == pytest.approx([(price / 6000) ** (365 / n) - 1 for price, n in zip(PRICES.values(), days, strict=True)])
    assert np.argmax(annualised_basis(found, 0)) == 3  # -3.7 % a year, the nearest -5.4 %


def test_a_roll_is_due_so_many_sessions_before_the_expiry(four):
    """Ten sessions from the 8th to the 19th leave nine: a plan for the 16th trades with three left."""
    neutral = Neutral(roll_days=3)
    assert not due(four(date(2024, 1, 12), neutral), 0, 0, neutral)  # trades on the 15th, four left
    assert due(four(date(2024, 1, 15), neutral), 0, 0, neutral)
    found = four(date(2024, 1, 12), neutral)
    assert chosen(found, 0, [7, 0, 0, 0], neutral) == 0
    found = four(date(2024, 1, 15), neutral)
    assert found.contracts[chosen(found, 0, [7, 0, 0, 0], neutral)] == "IC2403"


def test_a_roll_by_open_interest_waits_until_a_later_contract_has_more(four):
    neutral = Neutral(roll="open_interest")
    found = four(date(2024, 1, 8), neutral)
    assert due(found, 0, 0, neutral)
    assert not due(found, 0, 2, neutral)  # the later June contract has less
    most = four(date(2024, 1, 8), neutral, interest={**INTEREST, "IC2401": 1e6})
    assert not due(most, 0, 0, neutral)


def test_no_contract_is_chosen_that_is_about_to_end(four):
    neutral = Neutral(roll_days=3)
    found = four(date(2024, 1, 15), neutral, interest={**INTEREST, "IC2401": 1e6})
    assert found.contracts[chosen(found, 0, [0, 0, 0, 0], neutral)] == "IC2403"


@pytest.fixture(scope="module", name="simulated")
def _simulated():
    tables = simulate(SimulationSettings(stocks=40, members=20, years=2, end=date(2025, 12, 31), alpha=(), news=0.0)).tables
    return {name: tables[name] for name in ("index_bars", "futures_bars", "calendar")}


@pytest.mark.parametrize("contract", ["dominant", "cheapest", "quarter"])
@pytest.mark.parametrize("roll", ["days", "open_interest"])
def test_every_schedule_runs_on_the_simulators_curve_and_pays_its_discount(simulated, long_of, contract, roll):
    """The simulator's basis swings about -7 % a year, and a hedged book pays about that, whichever contracts it goes through."""
    tables, index = simulated, simulated["index_bars"].sort("date")
    dates = index["date"].to_list()
    long = long_of(dates, np.round(7e7 * index["close"].to_numpy() / index["close"][0], 2))
    neutral = Neutral(contract=contract, roll=roll)
    result = neutralise(long, tables["futures_bars"], index, neutral=neutral, calendar=tables["calendar"]["date"].to_list())
    hedged = float(np.mean(result.exposed_cents_D)) / 100 * len(dates) / 243
    assert -0.12 < result.parts_D["basis"].sum() / 100 / hedged < -0.02
    assert abs(result.parts_D["roll"].sum() / 100 / hedged) < 0.01
    left = result.trades.filter(pl.col("why") == "roll", pl.col("contracts") > 0)
    ends = dict(tables["futures_bars"].select("contract", "expiry").unique().iter_rows())
    assert all(ends[row["contract"]] > row["date"] for row in left.iter_rows(named=True))
    assert result.trades.filter(pl.col("why") == "expiry").is_empty()
