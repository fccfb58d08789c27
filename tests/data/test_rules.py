from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import KestrelError
from data.rules import exchange_rules

RULES = exchange_rules()

# name, key, first day of the new value, value on the day before, value from that day on
TURNS = [
    ("stamp_duty", "sell", date(2007, 5, 30), 0.001, 0.003),
    ("stamp_duty", "sell", date(2008, 4, 24), 0.003, 0.001),
    ("stamp_duty", "buy", date(2008, 4, 24), 0.003, 0.001),
    ("stamp_duty", "buy", date(2008, 9, 19), 0.001, 0.0),
    ("stamp_duty", "sell", date(2008, 9, 19), 0.001, 0.001),
    ("stamp_duty", "sell", date(2023, 8, 28), 0.001, 0.0005),
    ("stamp_duty", "buy", date(2023, 8, 28), 0.0, 0.0),
    ("transfer_fee", "SH", date(2015, 8, 1), 0.0, 0.00002),
    ("transfer_fee", "SZ", date(2015, 8, 1), 0.0, 0.00002),
    ("transfer_fee", "SH", date(2022, 4, 29), 0.00002, 0.00001),
    ("transfer_fee", "SZ", date(2022, 4, 29), 0.00002, 0.00001),
    ("transfer_fee", "BJ", date(2022, 4, 29), 0.000025, 0.00001),
    ("transfer_fee_per_share", "SH", date(2015, 8, 1), 0.0006, 0.0),
    ("limit", "chinext", date(2020, 8, 24), 0.10, 0.20),
    ("limit", "chinext_st", date(2020, 8, 24), 0.05, 0.20),
    ("limit", "main_st", date(2026, 7, 6), 0.05, 0.10),
    ("limit", "main", date(2026, 7, 6), 0.10, 0.10),
    ("unlimited_sessions", "main", date(2014, 1, 1), 1, 0),
    ("unlimited_sessions", "main", date(2023, 4, 10), 0, 5),
    ("unlimited_sessions", "chinext", date(2020, 8, 24), 0, 5),
    ("first_day_up", "main", date(2023, 4, 10), 0.44, 0.10),
    ("first_day_down", "chinext", date(2020, 8, 24), 0.36, 0.20),
    ("order_maximum", "chinext", date(2020, 8, 24), 1_000_000, 300_000),
    ("dividend_tax", "beyond", date(2015, 9, 8), 0.05, 0.0),
    ("dividend_tax", "to_one_month", date(2013, 1, 1), 0.10, 0.20),
    ("ic_futures", "margin", date(2015, 9, 7), 0.10, 0.40),
    ("ic_futures", "margin", date(2019, 4, 22), 0.15, 0.12),
    ("ic_futures", "fee_close_today", date(2023, 3, 20), 0.000345, 0.00023),
]
# name, key, first day of the rule, value
STARTS = [
    ("limit", "main", date(1996, 12, 16), 0.10),
    ("limit", "star", date(2019, 7, 22), 0.20),
    ("limit", "bse", date(2021, 11, 15), 0.30),
    ("unlimited_sessions", "star", date(2019, 7, 22), 5),
    ("unlimited_sessions", "bse", date(2021, 11, 15), 1),
    ("price_cage", "main", date(2023, 4, 10), 0.02),
    ("price_cage", "chinext", date(2020, 8, 24), 0.02),
    ("lot_minimum", "star", date(2019, 7, 22), 200),
    ("lot_step", "bse", date(2021, 11, 15), 1),
    ("ic_futures", "multiplier", date(2015, 4, 16), 200),
]


@pytest.mark.parametrize(("name", "key", "day", "before", "after"), TURNS)
def test_a_rule_turns_on_its_day_and_not_before(name: str, key: str, day: date, before: float, after: float) -> None:
    assert RULES.at(name, key, day - timedelta(days=1)) == before
    assert RULES.at(name, key, day) == after
    assert RULES.at(name, key, day + timedelta(days=1)) == after


@pytest.mark.parametrize(("name", "key", "day", "value"), STARTS)
def test_there_is_no_rule_before_its_first_day(name: str, key: str, day: date, value: float) -> None:
    assert np.isnan(RULES.at(name, key, day - timedelta(days=1)))
    assert RULES.at(name, key, day) == value


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(RULES.rows)), st.lists(st.dates(date(1989, 1, 1), date(2030, 1, 1)), min_size=1, max_size=8))
def test_many_dates_at_once_give_what_each_gives_alone(key: tuple[str, str], days: list[date]) -> None:
    found = RULES.over(*key, np.array(days, dtype="datetime64[D]"))
    for day, value in zip(days, found, strict=True):
        in_force = [row.value for row in RULES.rows[key] if row.start <= day]
        assert value == in_force[-1] if in_force else np.isnan(value)


def test_every_rule_says_what_it_rests_on_and_is_sorted() -> None:
    for rows in RULES.rows.values():
        assert {row.evidence for row in rows} <= {"F", "K"}
        assert [row.start for row in rows] == sorted({row.start for row in rows})


def test_both_sides_have_the_same_transfer_fee_on_all_exchanges_since_2022() -> None:
    assert {RULES.at("transfer_fee", key, date(2022, 4, 29)) for key in ("SH", "SZ", "BJ")} == {0.00001}


def test_an_override_replaces_one_rule_whole_and_is_marked_as_the_users() -> None:
    mine = RULES.overridden({"limit": {"main_st": [[date(2026, 7, 6), 0.05], [date(2020, 1, 1), 0.04]]}})
    assert mine.at("limit", "main_st", date(2026, 7, 5)) == 0.04
    assert mine.at("limit", "main_st", date(2026, 7, 6)) == 0.05
    assert np.isnan(mine.at("limit", "main_st", date(2019, 12, 31)))
    assert {row.evidence for row in mine.rows["limit", "main_st"]} == {"U"}
    assert mine.at("limit", "main", date(2026, 7, 6)) == 0.10
    assert RULES.at("limit", "main_st", date(2026, 7, 6)) == 0.10  # the shipped table stays


def test_an_unknown_rule_is_refused_with_those_there_are() -> None:
    with pytest.raises(KestrelError, match=r"rules\.limit\.nasdaq is not a rule\. There is: .*limit\.main"):
        RULES.at("limit", "nasdaq", date(2020, 1, 1))
    with pytest.raises(KestrelError, match=r"rules\.tax\.sell is not a rule\. There is: .*stamp_duty"):
        RULES.overridden({"tax": {"sell": [[date(2020, 1, 1), 0.1]]}})


@pytest.mark.parametrize("row", [["2023-08-28", 0.0005], [date(2023, 8, 28)], [date(2023, 8, 28), "0.05%"], 0.0005])
def test_a_row_that_is_no_dated_value_is_refused_with_an_example(row: object) -> None:
    with pytest.raises(KestrelError, match=r"rules\.stamp_duty\.sell: .* is not a rule row\. Write \[2023-08-28, 0\.0005\]"):
        RULES.overridden({"stamp_duty": {"sell": [row]}})
