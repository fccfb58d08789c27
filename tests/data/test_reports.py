"""Reports as they were known: by hand, against a day-by-day reading, against DuckDB's as-of join, and with rows that come later."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.lake import Lake
from data.query import sql
from data.reports import join_known, newest, numbered, revised

A, B = "600000.SH", "000001.SZ"
Q1, Q2, Q3 = date(2020, 3, 31), date(2020, 6, 30), date(2020, 9, 30)


def filings(*rows: tuple[str, date, date, float | None]) -> pl.DataFrame:
    columns = {"symbol": pl.String, "period_end": pl.Date, "announced_on": pl.Date, "revenue": pl.Float64}
    return numbered(pl.DataFrame(rows, schema=columns, orient="row"))


RESTATED = filings(
    (A, Q1, date(2020, 4, 20), 1.0),
    (A, Q2, date(2020, 8, 20), 2.0),
    (A, Q1, date(2020, 9, 1), 1.5),  # an old period restated after the newer one was filed
    (A, Q2, date(2020, 9, 10), 2.5),
)


def test_filings_of_a_period_are_numbered_in_the_order_of_their_announcement() -> None:
    assert RESTATED.sort("announced_on").select("period_end", "revision").rows() == [(Q1, 0), (Q2, 0), (Q1, 1), (Q2, 1)]
    assert numbered(RESTATED) is RESTATED


def test_two_filings_of_a_day_keep_the_order_of_the_source_and_repetitions_count_once() -> None:
    found = filings((A, Q1, date(2020, 4, 20), 1.0), (A, Q1, date(2020, 4, 20), 1.0), (A, Q1, date(2020, 4, 20), 3.0))
    assert found.select("revenue", "revision").rows() == [(1.0, 0), (3.0, 1)]


@pytest.mark.parametrize(
    ("day", "period", "revenue"),
    [
        (date(2020, 4, 21), Q1, 1.0),
        (date(2020, 8, 20), Q1, 1.0),  # announced after the close
        (date(2020, 8, 21), Q2, 2.0),
        (date(2020, 9, 2), Q2, 2.0),  # the last announcement is of Q1
        (date(2020, 9, 11), Q2, 2.5),
    ],
)
def test_the_newest_period_at_its_newest_revision_is_what_is_known(day: date, period: date, revenue: float) -> None:
    assert newest(RESTATED, day).select("period_end", "revenue").rows() == [(period, revenue)]
    assert join_known(pl.DataFrame({"date": [day], "symbol": [A]}), RESTATED).select("period_end", "revenue").rows() == [(period, revenue)]


def test_every_period_is_known_at_its_newest_revision() -> None:
    assert revised(RESTATED, date(2020, 9, 5)).select("period_end", "revenue").rows() == [(Q1, 1.5), (Q2, 2.0)]


def test_nothing_is_known_of_a_stock_before_its_first_report() -> None:
    found = join_known(pl.DataFrame({"date": [date(2020, 4, 20), date(2020, 12, 1)], "symbol": [A, B]}), RESTATED)
    assert found["revenue"].to_list() == [None, None]
    assert newest(RESTATED, date(2020, 4, 20)).height == 0


DAYS = st.integers(0, 60).map(lambda n: date(2020, 7, 1) + timedelta(days=n))
ROW = st.tuples(st.sampled_from([A, B]), st.sampled_from([Q1, Q2, date(2020, 1, 31)]), DAYS, st.floats(0, 9) | st.none())


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(ROW, min_size=1, max_size=12), st.lists(DAYS, min_size=1, max_size=6, unique=True))
def test_joining_many_days_gives_what_each_day_by_itself_gives(rows: list[tuple[str, date, date, float | None]], days: list[date]) -> None:
    reports = filings(*rows)
    grid = pl.DataFrame({"date": sorted(days * 2), "symbol": [A, B] * len(days)})
    joined = join_known(grid, reports)
    for day in days:
        expected = newest(reports, day).sort("symbol")
        found = joined.filter(pl.col("date") == day, pl.col("period_end").is_not_null()).select(expected.columns).sort("symbol")
        assert found.equals(expected)


def test_duckdb_gives_the_same_as_of_join(lake: Lake) -> None:
    many = [(A if n % 3 else B, [Q1, Q2, Q3][n * 7 % 3], date(2020, 4, 1) + timedelta(days=n * 37 % 300), float(n)) for n in range(40)]
    reports = filings(*many)
    lake.write("reports", reports)
    days = pl.DataFrame({"date": [date(2020, 3, 31) + timedelta(days=n) for n in range(320)]}).join(pl.DataFrame({"symbol": [A, B]}), how="cross")
    ours = join_known(days, reports).select("date", "symbol", "period_end", "revision", "revenue").drop_nulls("period_end")
    theirs = sql(
        lake,
        """
        WITH newest AS (
            SELECT *, max(period_end) OVER (PARTITION BY symbol ORDER BY announced_on, period_end, revision) AS top FROM reports
        ), states AS (
            SELECT * FROM newest WHERE period_end = top
            QUALIFY row_number() OVER (PARTITION BY symbol, announced_on ORDER BY period_end DESC, revision DESC) = 1
        ), days AS (
            SELECT s.symbol, d.day::DATE AS date
            FROM (SELECT DISTINCT symbol FROM reports) s, generate_series(DATE '2020-03-31', DATE '2021-02-13', INTERVAL 1 DAY) d(day)
        )
        SELECT d.date, d.symbol, s.period_end, s.revision, s.revenue
        FROM days d ASOF JOIN states s ON d.symbol = s.symbol AND d.date > s.announced_on ORDER BY 1, 2
        """,
    )
    assert theirs.height > 500
    assert ours.equals(theirs)


def test_a_number_that_is_none_goes_into_the_lake_as_null(lake: Lake) -> None:
    lake.write("reports", filings((A, Q1, date(2020, 4, 20), float("nan"))))
    assert lake.read("reports")["revenue"].to_list() == [None]
