"""What is known of a company's statements at each close: by hand, against a day-by-day reading, and with filings that come later."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.panel import Axes, Floats
from data.reports import numbered, revised
from factors.expressions import COLUMNS
from factors.statements import FLOWS, ITEMS, LEVELS, MEASURES, STALE, statement_panels

A, B = "000001.SZ", "600000.SH"
NAN = np.nan
ENDS = {1: (3, 31), 2: (6, 30), 3: (9, 30), 4: (12, 31)}
NAMES = [*MEASURES, "report_age"]
Row = tuple[str, date, date, dict[str, float]]


def end(year: int, quarter: int) -> date:
    return date(year, *ENDS[quarter])


def filings(*rows: Row) -> pl.DataFrame:
    keys = {"symbol": pl.String, "period_end": pl.Date, "announced_on": pl.Date}
    frame = pl.DataFrame([(symbol, period, said) for symbol, period, said, _ in rows], schema=keys, orient="row")
    items = {item: pl.Series([figures.get(item) for *_, figures in rows], dtype=pl.Float64) for item in ITEMS}
    return numbered(frame.with_columns(**items))


def weekdays(first: date, last: date) -> Axes:
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return Axes(tuple(day for day in days if day.weekday() < 5), (A, B))


def at(reports: pl.DataFrame, day: date, symbol: str = A) -> dict[str, float]:
    """Every measure of a stock at the close of a session."""
    axes = weekdays(date(2019, 1, 1), date(2021, 12, 31))
    found = statement_panels(reports, axes, NAMES)
    return {name: float(values[axes.index(day), axes.symbols.index(symbol)]) for name, values in found.items()}


def history(*profits: float, first: int = 2016, item: str = "net_profit", symbol: str = A) -> list[Row]:
    """Reports of the single quarters given, cumulative as filed, 30 days after each quarter's end."""
    rows: list[Row] = []
    for place, _ in enumerate(profits):
        year, quarter = first + place // 4, place % 4 + 1
        said = end(year, quarter) + timedelta(days=30)
        rows.append((symbol, end(year, quarter), said, {item: float(sum(profits[place // 4 * 4 : place + 1]))}))
    return rows


# -- quarters, years and the turn of the year

SINGLE = [1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0, 100.0, 200.0]  # 2018 Q1 … 2020 Q2
FILED = filings(*history(*SINGLE, first=2018))


@pytest.mark.parametrize(
    ("day", "quarter", "before", "year", "year_before"),
    [
        (date(2019, 1, 29), 3, NAN, NAN, NAN),  # the annual report of 2018 is due
        (date(2019, 1, 31), 4, NAN, 10, NAN),
        (date(2019, 5, 1), 10, 1, 10 + 2 + 3 + 4, NAN),
        (date(2019, 7, 31), 20, 2, 10 + 20 + 3 + 4, NAN),
        (date(2019, 10, 31), 30, 3, 10 + 20 + 30 + 4, NAN),
        (date(2020, 1, 31), 40, 4, 100, 10),
        (date(2020, 5, 1), 100, 10, 100 + 20 + 30 + 40, 10 + 2 + 3 + 4),
        (date(2020, 7, 31), 200, 20, 100 + 200 + 30 + 40, 10 + 20 + 3 + 4),
    ],
)
def test_quarters_and_years_out_of_cumulative_filings(day: date, quarter: float, before: float, year: float, year_before: float) -> None:
    found = at(FILED, day)
    names = ("net_profit_quarter", "net_profit_quarter_before", "net_profit_ttm", "net_profit_ttm_before")
    assert [found[name] for name in names] == pytest.approx([quarter, before, year, year_before], nan_ok=True)


def test_a_report_is_known_the_session_after_its_announcement_and_ages_by_the_day() -> None:
    reports = filings((A, end(2020, 1), date(2020, 4, 24), {"equity": 5.0}))  # a Friday
    assert np.isnan(at(reports, date(2020, 4, 24))["equity"])
    monday = at(reports, date(2020, 4, 27))
    assert (monday["equity"], monday["report_age"], monday["report_quarter"]) == (5.0, 3.0, 2020 * 4)
    assert at(reports, date(2020, 5, 4))["report_age"] == 10.0
    assert np.isnan(at(reports, date(2020, 4, 27), B)["equity"])


def test_two_reports_of_a_day_are_one_state_and_the_newer_period_is_the_newest() -> None:
    day = date(2020, 4, 29)
    rows: list[Row] = [(A, end(2020, 1), day, {"net_profit": 7.0}), (A, end(2019, 4), day, {"net_profit": 40.0}), *history(1, 2, 3, 4, first=2018)]
    rows += [(A, end(2019, 1), date(2019, 4, 29), {"net_profit": 5.0})]
    found = at(filings(*rows), date(2020, 4, 30))
    assert found["net_profit_ttm"] == 7 + 40 - 5
    assert found["net_profit_quarter"] == 7


# -- restatements, late and missing filings


def test_a_restated_old_quarter_changes_the_year_from_the_session_after_and_not_before() -> None:
    rows = [*history(*SINGLE[:6], first=2018), (A, end(2018, 4), date(2019, 9, 2), {"net_profit": 15.0})]
    before, after = at(filings(*rows), date(2019, 9, 2)), at(filings(*rows), date(2019, 9, 3))
    assert before["net_profit_ttm"] == 30 + 10 - 3
    assert after["net_profit_ttm"] == 30 + 15 - 3
    assert (before["report_revisions"], after["report_revisions"]) == (0, 1)
    assert (before["report_quarter"], before["report_age"] + 1) == (after["report_quarter"], after["report_age"])  # no newer report


def test_a_restated_newest_quarter_replaces_what_it_restates_and_keeps_what_it_does_not_give() -> None:
    rows: list[Row] = [
        (A, end(2019, 4), date(2020, 4, 1), {"net_profit": 4.0, "equity": 50.0}),
        (A, end(2019, 4), date(2020, 6, 1), {"net_profit": 3.0}),
        (A, end(2019, 4), date(2020, 7, 1), {"net_profit": 3.0}),
    ]
    found = at(filings(*rows), date(2020, 8, 3))
    assert (found["net_profit_ttm"], found["equity"], found["report_revisions"]) == (3.0, 50.0, 1)


def test_a_report_of_an_older_period_filed_late_completes_the_year_but_is_not_the_newest() -> None:
    rows = history(*SINGLE[:7], first=2018)
    late = (A, end(2019, 2), date(2019, 11, 20), rows[5][3])
    reports = filings(*rows[:5], rows[6], late)
    assert at(reports, date(2019, 11, 1))["net_profit_ttm"] == 60 + 10 - 6
    assert np.isnan(at(reports, date(2019, 11, 20))["net_profit_quarter"])  # the half-year is missing
    assert at(reports, date(2019, 11, 21))["net_profit_quarter"] == 30
    assert at(reports, date(2019, 11, 21))["report_age"] == 22  # since the third quarter was announced


def test_a_quarter_that_was_never_filed_leaves_its_own_figures_null_and_no_more() -> None:
    rows = history(*SINGLE, first=2018)
    found = at(filings(*rows[:5], *rows[6:]), date(2020, 7, 31))  # without the half-year of 2019
    assert np.isnan(found["net_profit_ttm"])
    assert np.isnan(found["net_profit_quarter_before"])
    assert found["net_profit_quarter"] == 200
    found = at(filings(*rows[:7], *rows[8:]), date(2020, 7, 31))  # without the annual report of 2019
    assert np.isnan(found["net_profit_ttm"])
    assert (found["net_profit_quarter"], found["net_profit_quarter_before"]) == (200, 20)


def test_a_report_is_stale_a_year_after_its_period() -> None:
    reports = filings((A, end(2019, 3), date(2019, 10, 30), {"equity": 5.0}))
    last = end(2019, 3) + timedelta(days=STALE)
    assert at(reports, last - timedelta(days=last.weekday()))["equity"] == 5.0
    assert np.isnan(at(reports, last + timedelta(days=7))["equity"])


def test_a_period_that_ends_within_a_quarter_is_no_report() -> None:
    assert (
        statement_panels(filings((A, date(2019, 11, 30), date(2019, 12, 30), {"equity": 5.0})), weekdays(date(2019, 1, 1), date(2020, 1, 31)), NAMES)
        == {}
    )


def test_measures_of_what_nobody_files_are_left_out() -> None:
    found = statement_panels(FILED, weekdays(date(2019, 1, 1), date(2020, 1, 31)), NAMES)
    assert set(found) == {name for name in NAMES if name.startswith(("net_profit", "report_"))}
    assert set(statement_panels(FILED, weekdays(date(2019, 1, 1), date(2020, 1, 31)), ["net_profit_ttm", "equity"])) == {"net_profit_ttm"}


def test_every_column_of_reports_is_a_measure_of_the_item_that_it_names() -> None:
    columns = {name: table for name, (table, _) in COLUMNS.items() if table.split(".")[0] == "reports"}
    assert set(columns) <= set(NAMES)
    for name, table in columns.items():
        assert table == "reports" if name.startswith("report_") else name.startswith(table.removeprefix("reports.")), name


# -- deviations, streaks, losses, lateness


def test_the_deviation_is_of_the_changes_over_a_year_before_the_newest_quarter() -> None:
    single = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 50]  # 2016 Q1 … 2020 Q2
    found = at(filings(*history(*single)), date(2020, 8, 3))
    changes = np.array(single[4:]) - np.array(single[:-4])
    assert found["net_profit_deviation"] == pytest.approx(np.std(changes[-9:-1], ddof=1))
    assert found["net_profit_quarter"] - found["net_profit_quarter_before"] == changes[-1]
    few = at(filings(*history(*single[:9], first=2018)), date(2020, 5, 4))
    assert few["net_profit_deviation"] == pytest.approx(np.std(np.array(single[4:8]) - np.array(single[:4]), ddof=1))
    assert np.isnan(at(filings(*history(*single[:8], first=2018)), date(2020, 2, 3))["net_profit_deviation"])  # three changes


@pytest.mark.parametrize(
    ("single", "streak", "losses"),
    [
        ([1, 1, 1, 1, 2, 2, 2, 2], 4, 0),
        ([1, 1, 1, 1, 2, 2, 0, 2], 1, 0),
        ([1, 1, 1, 1, 2, 2, 2, 1], 0, 0),
        ([1, 1, 1, -1, -1, 2, 2, 2], 3, 2 / 8),
        ([1, 1, 1, 1], NAN, 0),
        ([-1, -1, 1], NAN, NAN),
        (list(range(20)), 8, 0),
    ],
)
def test_streaks_and_losses_by_hand(single: list[float], streak: float, losses: float) -> None:
    first = 2020 - (len(single) - 1) // 4
    found = at(filings(*history(*single, first=first)), date(2021, 2, 8))
    assert [found["net_profit_streak"], found["net_profit_loss_share"]] == pytest.approx([streak, losses], nan_ok=True)


def test_lateness_is_against_the_same_report_of_a_year_before_and_a_prospectus_has_none() -> None:
    rows: list[Row] = [(A, end(2019, 1), date(2019, 4, 20), {"equity": 1.0}), (A, end(2020, 1), date(2020, 4, 30), {"equity": 1.0})]
    assert at(filings(*rows), date(2020, 5, 4))["report_lateness"] == 10
    again = [*rows, (A, end(2020, 1), date(2020, 6, 30), {"equity": 2.0})]
    assert at(filings(*again), date(2020, 7, 6))["report_lateness"] == 10  # the first filing counts
    prospectus: list[Row] = [(A, end(year, 1), date(2020, 4, 30), {"equity": 1.0}) for year in (2019, 2020)]
    assert np.isnan(at(filings(*prospectus), date(2020, 5, 4))["report_lateness"])


# -- against a plain reading, and with what comes later


def plainly(reports: pl.DataFrame, day: date) -> dict[str, float]:
    """Measures of stock A out of what `revised` says was known at the close of the day."""
    known = revised(reports.filter(pl.col("symbol") == A), day)
    said = {row["period_end"]: row for row in known.iter_rows(named=True)}
    if not said or (day - max(said)).days > STALE:
        return {}
    newest = max(said)

    def cumulative(year: int, quarter: int, item: str) -> float:
        row = said.get(end(year, quarter))
        return NAN if row is None or row[item] is None else float(row[item])

    def of(year: int, quarter: int, item: str) -> tuple[float, float]:
        single = cumulative(year, quarter, item) - (cumulative(year, quarter - 1, item) if quarter > 1 else 0.0)
        rest = 0.0 if quarter == 4 else cumulative(year - 1, 4, item) - cumulative(year - 1, quarter, item)
        return single, cumulative(year, quarter, item) + rest

    year, quarter = newest.year, newest.month // 3
    found = {}
    for item in FLOWS:
        found[f"{item}_quarter"], found[f"{item}_ttm"] = of(year, quarter, item)
        found[f"{item}_quarter_before"], found[f"{item}_ttm_before"] = of(year - 1, quarter, item)
    for item in LEVELS:
        found[item], found[f"{item}_before"] = cumulative(year, quarter, item), cumulative(year - 1, quarter, item)
    return found


@st.composite
def many(draw: st.DrawFn) -> pl.DataFrame:
    """Filings of two stocks over three years: restated, late, missing, several a day."""
    rows: list[Row] = []
    for symbol in (A, B):
        for place in draw(st.lists(st.integers(0, 11), min_size=1, max_size=14)):
            period = end(2018 + place // 4, place % 4 + 1)
            said = period + timedelta(days=draw(st.integers(1, 300)))
            rows.append((symbol, period, said, {item: float(draw(st.integers(-9, 9))) for item in ITEMS}))
    return filings(*rows)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(many())
def test_every_session_knows_what_a_plain_reading_of_the_revised_reports_knows(reports: pl.DataFrame) -> None:
    axes = weekdays(date(2018, 6, 1), date(2021, 12, 31))
    panels = statement_panels(reports, axes, NAMES)
    for row in range(0, len(axes.dates), 41):
        expected = plainly(reports, axes.dates[row])
        for name, values in panels.items():
            if expected == {} or name in expected:
                assert values[row, 0] == pytest.approx(expected.get(name, NAN), nan_ok=True), (name, axes.dates[row])


@settings(max_examples=30, deadline=None, derandomize=True)
@given(many(), st.integers(0, 900))
def test_no_filing_moves_what_was_known_before_it(reports: pl.DataFrame, row: int) -> None:
    axes = weekdays(date(2018, 6, 1), date(2021, 12, 31))
    known = pl.col("announced_on") < axes.dates[row]
    later = reports.with_columns(pl.when(known).then(item).otherwise(pl.col(item) * 7 + 1).alias(item) for item in ITEMS)
    whole = statement_panels(reports, axes, NAMES)
    for changed in (reports.filter(known), later, reports.sample(fraction=1, shuffle=True, seed=row)):
        found = statement_panels(changed, axes, NAMES)
        nothing: Floats = np.full(axes.shape, NAN)
        assert all(np.array_equal(values[row], found.get(name, nothing)[row], equal_nan=True) for name, values in whole.items())
