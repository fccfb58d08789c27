"""Which contract a short goes to, and when it leaves it."""

from datetime import date

import numpy as np
import pytest

from backtest.futures.choice import annualised_basis, chosen, due
from backtest.futures.curve import curve
from backtest.futures.settings import Neutral
from data.rules import exchange_rules

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
