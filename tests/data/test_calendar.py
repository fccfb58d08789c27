from datetime import date

import polars as pl
import pytest

from data.calendar import Sessions, seed, table
from data.errors import KestrelError

WEEK = [date(2021, 2, 9), date(2021, 2, 10), date(2021, 2, 18), date(2021, 2, 19)]  # the Spring Festival lies between


def test_dates_become_a_sorted_table_numbered_from_0() -> None:
    found = table([WEEK[2], WEEK[0], WEEK[1], WEEK[0]])
    assert found.to_dict(as_series=False) == {"date": WEEK[:3], "session": [0, 1, 2]}
    assert found.schema == {"date": pl.Date, "session": pl.Int32}


def test_the_table_of_no_dates_is_empty() -> None:
    assert table([]).height == 0


def test_between_has_both_ends() -> None:
    sessions = Sessions.of(table(WEEK))
    assert sessions.between(WEEK[1], WEEK[2]) == (WEEK[1], WEEK[2])
    assert sessions.between(date(2021, 2, 11), date(2021, 2, 17)) == ()


def test_the_last_session_of_a_holiday_lies_before_it_and_the_next_after() -> None:
    sessions = Sessions.of(table(WEEK))
    assert sessions.last(date(2021, 2, 14)) == WEEK[1]
    assert sessions.last(WEEK[2]) == WEEK[2]
    assert sessions.next(date(2021, 2, 14)) == WEEK[2]
    assert sessions.next(WEEK[2]) == WEEK[3]


def test_membership_knows_sessions_from_holidays() -> None:
    sessions = Sessions(WEEK)
    assert WEEK[0] in sessions
    assert date(2021, 2, 11) not in sessions
    assert date(2022, 1, 4) not in sessions


def test_asking_beyond_the_calendar_names_its_range_and_what_to_do() -> None:
    sessions = Sessions(WEEK)
    with pytest.raises(KestrelError, match=r"2021-02-08 lies before .* \(it covers 2021-02-09 to 2021-02-19\)"):
        sessions.last(date(2021, 2, 8))
    with pytest.raises(KestrelError, match=r"no session after 2021-02-19 .* Extend it"):
        sessions.next(WEEK[-1])
    with pytest.raises(KestrelError, match="it is empty"):
        Sessions([]).last(WEEK[0])


def test_the_seed_is_the_exchanges_calendar_with_its_holidays() -> None:
    found = seed(date(2021, 2, 8), date(2021, 2, 22))["date"].to_list()
    assert found == [date(2021, 2, 8), *WEEK, date(2021, 2, 22)]


def test_the_whole_seed_begins_with_the_exchange_and_has_sessions_to_come() -> None:
    found = seed()
    assert found["date"][0] == date(1990, 12, 19)
    assert found["session"].to_list() == list(range(found.height))
    assert found["date"][-1] >= date(2026, 12, 1)
    assert found["date"].dt.weekday().max() == 5
