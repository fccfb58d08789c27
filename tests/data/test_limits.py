from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data.limits import ADJUSTED_SLACK, limit_cents, limit_ratios, with_limits
from data.rules import exchange_rules

CENT = Decimal("0.01")


def bar(symbol: str, day: date, *, pre_close: float = 10.0, is_st: bool = False, close: float = 10.0, raw_close: float | None = None) -> pl.DataFrame:
    row = {"date": [day], "symbol": [symbol], "pre_close": [pre_close], "close": [close], "is_st": [is_st], "raw_close": [raw_close]}
    return pl.DataFrame(row, schema_overrides={"raw_close": pl.Float64})


def limits(symbol: str, day: date, *, age: int | None = None, is_st: bool = False, pre_close: float = 10.0) -> tuple[float | None, float | None]:
    """(up, down) of one stock on one day, raw prices."""
    found = with_limits(bar(symbol, day, is_st=is_st, pre_close=pre_close), pl.Series([age], dtype=pl.Int64), price_basis="raw")
    return found["limit_up"][0], found["limit_down"][0]


@pytest.mark.parametrize(
    ("pre_close", "ratio", "up", "down"),
    [
        (115, 0.10, 127, 104),  # 1.265 -> 1.27 and 1.035 -> 1.04: binary round gives 1.26
        (1000, 0.10, 1100, 900),
        (1005, 0.10, 1106, 905),  # 11.055 -> 11.06, 9.045 -> 9.05
        (333, 0.05, 350, 316),
        (333, 0.20, 400, 266),
        (1, 0.10, 2, 1),  # at least one tick wide, and never below one
        (4, 0.10, 5, 3),
        (4, 0.05, 5, 3),
        (777, 0.30, 1010, 544),
        (1999, 0.44, 2879, 1119),
    ],
)
def test_limit_prices_round_half_up_and_are_a_tick_wide(pre_close: int, ratio: float, up: int, down: int) -> None:
    found_up, found_down = limit_cents(np.array([pre_close]), np.array([ratio]))
    assert (found_up[0], found_down[0]) == (up, down)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.integers(2, 500_000), st.sampled_from(["0.05", "0.10", "0.20", "0.30", "0.36", "0.44"]))
@example(115, "0.10")
def test_limit_cents_equal_exact_decimal_arithmetic(cents: int, ratio: str) -> None:
    up, down = limit_cents(np.array([cents]), np.array([float(ratio)]))
    price = Decimal(cents) * CENT
    exact_up = (price * (1 + Decimal(ratio))).quantize(CENT, ROUND_HALF_UP)
    exact_down = (price * (1 - Decimal(ratio))).quantize(CENT, ROUND_HALF_UP)
    assert Decimal(int(up[0])) * CENT == max(exact_up, price + CENT)
    assert Decimal(int(down[0])) * CENT == max(min(exact_down, price - CENT), CENT)


def test_every_price_of_a_tick_grid_has_the_limits_of_decimal_arithmetic() -> None:
    cents = np.arange(100, 24_000)
    up, down = limit_cents(cents, np.full(len(cents), 0.10))
    assert up.tolist() == [int((Decimal(int(c)) * Decimal("1.10")).quantize(Decimal(1), ROUND_HALF_UP)) for c in cents]
    assert down.tolist() == [int((Decimal(int(c)) * Decimal("0.90")).quantize(Decimal(1), ROUND_HALF_UP)) for c in cents]


# symbol, ST, first day of the new rule, (up, down) of 10.00 the day before and on the day
TURNS = [
    ("300750.SZ", False, date(2020, 8, 24), (11.0, 9.0), (12.0, 8.0)),
    ("300750.SZ", True, date(2020, 8, 24), (10.5, 9.5), (12.0, 8.0)),
    ("600000.SH", True, date(2026, 7, 6), (10.5, 9.5), (11.0, 9.0)),
    ("600000.SH", True, date(1998, 4, 22), (11.0, 9.0), (10.5, 9.5)),
    ("600000.SH", False, date(2020, 8, 24), (11.0, 9.0), (11.0, 9.0)),
    ("600000.SH", False, date(1996, 12, 16), (None, None), (11.0, 9.0)),
    ("688981.SH", False, date(2019, 7, 22), (None, None), (12.0, 8.0)),
    ("688981.SH", True, date(2019, 7, 22), (None, None), (12.0, 8.0)),
    ("920819.BJ", False, date(2021, 11, 15), (None, None), (13.0, 7.0)),
]


@pytest.mark.parametrize(("symbol", "is_st", "day", "before", "after"), TURNS)
def test_the_limits_of_an_old_stock_turn_on_their_day(
    symbol: str, is_st: bool, day: date, before: tuple[float | None, float | None], after: tuple[float, float]
) -> None:
    assert limits(symbol, day - timedelta(days=1), is_st=is_st) == before
    assert limits(symbol, day, is_st=is_st) == after


# symbol, day, {sessions since listing: (up, down) of 10.00}
NEW = [
    ("600000.SH", date(2010, 6, 1), {0: (None, None), 1: (11.0, 9.0)}),
    ("600000.SH", date(2023, 4, 7), {0: (14.4, 6.4), 1: (11.0, 9.0), 4: (11.0, 9.0)}),
    ("600000.SH", date(2023, 4, 10), {0: (None, None), 4: (None, None), 5: (11.0, 9.0)}),
    ("300750.SZ", date(2020, 8, 21), {0: (14.4, 6.4), 1: (11.0, 9.0)}),
    ("300750.SZ", date(2020, 8, 24), {0: (None, None), 4: (None, None), 5: (12.0, 8.0)}),
    ("688981.SH", date(2019, 7, 22), {0: (None, None), 4: (None, None), 5: (12.0, 8.0)}),
    ("920819.BJ", date(2021, 11, 15), {0: (None, None), 1: (13.0, 7.0)}),
]


@pytest.mark.parametrize(("symbol", "day", "by_age"), NEW)
def test_new_listings_move_at_will_or_by_44_percent_as_the_rule_of_their_date_says(
    symbol: str, day: date, by_age: dict[int, tuple[float | None, float | None]]
) -> None:
    assert {age: limits(symbol, day, age=age) for age in by_age} == by_age


def test_a_stock_whose_listing_day_is_unknown_is_an_old_one() -> None:
    assert limits("600000.SH", date(2024, 1, 2), age=None) == (11.0, 9.0)


def test_ratios_follow_a_users_override_of_the_rules() -> None:
    mine = exchange_rules().overridden({"limit": {"main": [[date(1996, 12, 16), 0.15]]}})
    up, down = limit_ratios(bar("600000.SH", date(2020, 1, 2)), pl.Series([None], dtype=pl.Int64), mine)
    assert (up[0], down[0]) == (0.15, 0.15)


def test_on_adjusted_prices_a_known_raw_close_makes_the_limit_exact_to_the_raw_cent() -> None:
    # as traded 1.15 -> limit 1.27; the vendor halved prices for a later split
    bars = bar("600000.SH", date(2020, 1, 2), pre_close=0.575, close=0.6, raw_close=1.20)
    found = with_limits(bars, pl.Series([None], dtype=pl.Int64), price_basis="adjusted")
    assert found["limit_up"][0] == pytest.approx(1.27 / 2, abs=1e-12)
    assert found["limit_down"][0] == pytest.approx(1.04 / 2, abs=1e-12)


def test_on_adjusted_prices_alone_the_limit_is_drawn_a_little_too_narrow() -> None:
    bars = bar("600000.SH", date(2020, 1, 2), pre_close=0.575)
    found = with_limits(bars, pl.Series([None], dtype=pl.Int64), price_basis="adjusted")
    assert found["limit_up"][0] == pytest.approx(0.575 * (1.1 - ADJUSTED_SLACK))
    assert found["limit_down"][0] == pytest.approx(0.575 * (0.9 + ADJUSTED_SLACK))
    assert found["limit_up"][0] < 1.27 / 2  # a close at the true limit is never taken for tradable


def test_no_limit_is_null_and_not_an_enormous_price() -> None:
    found = with_limits(bar("688981.SH", date(2020, 1, 2)), pl.Series([2]), price_basis="raw")
    assert found.select("limit_up", "limit_down").row(0) == (None, None)
