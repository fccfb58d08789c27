"""The law of the house: rows that come later change nothing that was known earlier, in any table."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.history import as_of
from data.members import drifted_panel, weights_panel
from data.names import is_st, names_at
from data.panel import Axes
from data.reports import join_known, newest, numbered, revised
from data.tables import TABLES

START, SPAN = date(2021, 3, 1), 20
CODES = ("000001.SZ", "300750.SZ", "600000.SH")
INDEX = "000905.SH"
ZONE = ZoneInfo("Asia/Shanghai")

day = st.integers(0, SPAN).map(lambda n: START + timedelta(days=n))
code = st.sampled_from(CODES)
number = st.floats(0.5, 2.0)


def rows_of(name: str, when: date, symbol: str, value: float) -> dict[str, object]:
    """A row of a table that becomes known by what happens on `when`."""
    moment = datetime(when.year, when.month, when.day, int(9 + value * 4), 30, tzinfo=ZONE)
    shapes: dict[str, dict[str, object]] = {
        "securities": {"symbol": symbol, "list_date": when, "delist_date": when + timedelta(days=int(value * 5))},
        "reports": {"symbol": symbol, "period_end": START - timedelta(days=int(value * 100)), "announced_on": when, "revenue": value},
        "dividends": {"symbol": symbol, "ex_date": when + timedelta(days=int(value * 4)), "cash": value, "announced_on": when},
        "members": {"date": when, "index": INDEX, "symbol": symbol, "weight": value},
        "industries": {"symbol": symbol, "start": when, "code": str(value), "hindsight": False},
        "names": {"symbol": symbol, "start": when, "name": f"{'*ST' if value > 1 else ''}{symbol}"},
        "news": {"id": f"{when}{value}", "published_at": moment, "symbols": [symbol], "title": "t"},
        "news_scores": {"id": f"{when}{value}", "symbol": symbol, "score": value},
        "minute_bars": {"time": moment, "symbol": symbol, "close": value},
    }
    return shapes.get(name, {"date": when, "symbol": symbol, "value": value})


def table(name: str, drawn: list[tuple[date, str, float]]) -> pl.DataFrame:
    frame = pl.DataFrame([rows_of(name, *one) for one in drawn])
    for column, dtype in frame.schema.items():
        if dtype == pl.Datetime:
            frame = frame.with_columns(pl.col(column).dt.convert_time_zone("Asia/Shanghai"))
    return frame


draws = st.lists(st.tuples(day, code, number), min_size=1, max_size=15)
DATED = sorted(set(TABLES) - {"calendar"})  # the calendar is published years ahead


@pytest.mark.parametrize("name", DATED)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(drawn=draws, cut=st.integers(0, SPAN))
def test_later_rows_of_any_table_change_no_earlier_view(name: str, drawn: list[tuple[date, str, float]], cut: int) -> None:
    close = START + timedelta(days=cut)
    together = table(name, drawn)
    tables = {name: together} | ({"news": table("news", drawn)} if name == "news_scores" else {})
    view = as_of(tables, close)
    earlier = [one for one in drawn if one[0] <= close]
    if earlier:
        before = {name: table(name, earlier)} | ({"news": table("news", earlier)} if name == "news_scores" else {})
        assert as_of(before, close)[name].equals(view[name])
    else:
        assert view[name].height == 0


@settings(max_examples=100, deadline=None, derandomize=True)
@given(drawn=draws, cut=st.integers(0, SPAN))
def test_later_reports_change_nothing_that_was_known_of_reports(drawn: list[tuple[date, str, float]], cut: int) -> None:
    close = START + timedelta(days=cut)
    earlier = [one for one in drawn if one[0] <= close]
    reports = numbered(table("reports", drawn))
    grid = pl.DataFrame({"date": [close] * len(CODES), "symbol": CODES})
    known = numbered(table("reports", earlier)) if earlier else reports.clear()
    assert revised(known, close).equals(revised(reports, close))
    assert newest(known, close).equals(newest(reports, close))
    assert join_known(grid, known).equals(join_known(grid, reports))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(drawn=draws, cut=st.integers(0, SPAN), seed=st.integers(0, 99))
def test_later_lists_and_prices_change_no_earlier_weight(drawn: list[tuple[date, str, float]], cut: int, seed: int) -> None:
    axes = Axes(tuple(START + timedelta(days=n) for n in range(SPAN + 1)), CODES)
    members = table("members", drawn).unique(["date", "symbol"], keep="first", maintain_order=True)
    earlier = members.filter(pl.col("date") <= axes.dates[cut])
    prices = np.exp(np.random.default_rng(seed).normal(0, 0.1, axes.shape))
    hidden = prices.copy()
    hidden[cut + 1 :] = 7.0
    for panel, whole, cut_off in (
        (weights_panel, (members, axes, INDEX), (earlier, axes, INDEX)),
        (drifted_panel, (members, axes, INDEX, prices), (earlier, axes, INDEX, hidden)),
    ):
        (all_of_it, known), (past, known_then) = panel(*whole), panel(*cut_off)  # type: ignore[operator]
        assert np.array_equal(all_of_it[: cut + 1], past[: cut + 1], equal_nan=True)
        assert np.array_equal(known[: cut + 1], known_then[: cut + 1])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(drawn=draws, cut=st.integers(0, SPAN))
def test_later_names_change_no_earlier_name_or_flag(drawn: list[tuple[date, str, float]], cut: int) -> None:
    close = START + timedelta(days=cut)
    names = table("names", drawn).unique(["symbol", "start"], keep="first", maintain_order=True)
    earlier = names.filter(pl.col("start") <= close)
    grid = pl.DataFrame({"date": [close] * len(CODES), "symbol": CODES})
    assert names_at(names, close).equals(names_at(earlier, close))
    assert is_st(grid, names).equals(is_st(grid, earlier))


def test_weights_move_with_prices_between_two_lists_and_add_up_to_one() -> None:
    axes = Axes(tuple(START + timedelta(days=n) for n in range(4)), CODES)
    listed = pl.DataFrame(
        {"date": [START, START, axes.dates[3]], "index": INDEX, "symbol": [CODES[0], CODES[1], CODES[0]], "weight": [0.5, 0.5, 1.0]}
    )
    close = np.array([[1.0, 1.0, 9.0], [3.0, np.nan, 9.0], [3.0, 2.0, 9.0], [5.0, 2.0, 9.0]])
    weights, known = drifted_panel(listed, axes, INDEX, close)
    assert known.all()
    assert np.allclose(weights, [[0.5, 0.5, np.nan], [0.75, 0.25, np.nan], [0.6, 0.4, np.nan], [1.0, np.nan, np.nan]], equal_nan=True)


def test_delisted_stocks_stay_in_every_table_after_their_end() -> None:
    gone = START + timedelta(days=3)
    tables = {
        "securities": pl.DataFrame({"symbol": CODES[:1], "list_date": [START], "delist_date": [gone]}),
        "bars": pl.DataFrame({"date": [START, START + timedelta(days=2)], "symbol": CODES[0], "close": [1.0, 2.0]}),
    }
    view = as_of(tables, gone + timedelta(days=300))
    assert view["bars"].equals(tables["bars"])
    assert view["securities"]["delist_date"].item() == gone
