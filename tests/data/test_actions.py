"""Reference prices and factors by hand, and rebuilt from raw closes and dividends beside a vendor's own."""

from collections.abc import Callable
from datetime import date

import polars as pl
import pytest

from data.actions import cumulative, reference_prices, with_pre_close
from data.lake import Lake

DAYS = [date(2021, 3, day) for day in (1, 2, 3, 4)]
A = "600000.SH"


def bars(*closes: float, symbol: str = A) -> pl.DataFrame:
    return pl.DataFrame({"date": DAYS[: len(closes)], "symbol": symbol, "open": closes, "close": closes})


def paid(day: date, cash: float = 0.0, bonus: float = 0.0, transfer: float = 0.0) -> pl.DataFrame:
    return pl.DataFrame({"symbol": [A], "ex_date": [day], "cash": [cash], "bonus": [bonus], "transfer": [transfer]})


@pytest.mark.parametrize(
    ("close", "cash", "bonus", "transfer", "reference"),
    [
        (10.0, 0.5, 0.0, 0.0, 9.5),
        (10.0, 0.0, 0.3, 0.2, 6.67),  # 6.666...
        (25.28, 0.7, 0.0, 0.2, 20.48),  # 20.4833
        (10.0, 0.125, 0.0, 0.0, 9.88),  # 9.875 is half up
        (1.15, 0.105, 0.0, 0.0, 1.05),  # 1.045 is below its half in binary
    ],
)
def test_the_reference_price_takes_off_cash_and_divides_by_the_new_shares(
    close: float, cash: float, bonus: float, transfer: float, reference: float
) -> None:
    found = reference_prices(bars(close, 9.0), paid(DAYS[1], cash, bonus, transfer))
    assert found["reference"].to_list() == [reference]


def test_an_ex_date_without_a_bar_counts_on_the_next_and_one_outside_the_bars_nowhere() -> None:
    held = bars(10.0, 9.0, 8.0).filter(pl.col("date") != DAYS[1])
    assert reference_prices(held, paid(DAYS[1], 1.0)).select("date", "before", "reference").rows() == [(DAYS[2], 10.0, 9.0)]
    for day in (date(2021, 1, 4), DAYS[0], DAYS[3]):
        assert reference_prices(held, paid(day, 1.0)).height == 0


def test_the_factor_makes_returns_whole() -> None:
    found = with_pre_close(bars(10.0, 10.0, 5.0, 6.0), pl.concat([paid(DAYS[1], cash=0.5), paid(DAYS[2], transfer=1.0)]))
    found = found.with_columns(cumulative().alias("adj"))
    assert found["pre_close"].to_list() == [10.0, 9.5, 5.0, 5.0]
    assert found["adj"].to_list() == pytest.approx([1.0, 10 / 9.5, 2 * 10 / 9.5, 2 * 10 / 9.5])
    assert with_pre_close(bars(10.0, 9.0), None)["pre_close"].to_list() == [10.0, 10.0]


def test_returns_on_ex_dates_are_rebuilt_from_raw_closes_and_dividends(imported: Callable[[str], Lake]) -> None:
    """98 % within 10 bp of the vendor's; the others are payouts on some of the shares only, and a reorganisation."""
    lake = imported("pack_hs300")
    vendor = lake.read("bars")
    found = reference_prices(vendor, lake.read("dividends")).join(vendor.select("date", "symbol", "close", "pre_close"), on=["date", "symbol"])
    gap = found.select((pl.col("close") / pl.col("reference") - pl.col("close") / pl.col("pre_close")).abs()).to_series()
    assert found.height == 833
    assert (gap <= 1e-3).mean() >= 0.979
    assert ((found["reference"] - found["pre_close"]).abs() < 1e-4).mean() >= 0.954
    worst = found.filter(gap > 0.01).select("date", "symbol").rows()
    assert worst == [(date(2021, 6, 30), "601601.SH"), (date(2021, 12, 22), "600515.SH"), (date(2022, 7, 14), "600188.SH")]


def test_ex_dates_that_dividends_do_not_explain_are_rights_issues(imported: Callable[[str], Lake]) -> None:
    lake = imported("pack_hs300")
    vendor = lake.read("bars").with_columns(pl.col("close").shift(1).over("symbol", order_by="date").alias("before"))
    moved = vendor.filter((pl.col("before") - pl.col("pre_close")).abs() > 0.006)
    rights = moved.join(reference_prices(vendor, lake.read("dividends")), on=["date", "symbol"], how="anti")
    assert (moved.height, rights.height) == (839, 8)
