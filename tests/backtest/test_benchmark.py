from datetime import date

import polars as pl
import pytest

from backtest.benchmark import BenchmarkSettings, levels, returns
from data.errors import KestrelError

DAYS = [date(2024, 3, 1), date(2024, 3, 4), date(2024, 3, 5)]
BARS = pl.DataFrame(
    {
        "date": DAYS * 2,
        "index": ["000905.SH"] * 3 + ["000300.SH"] * 3,
        "close": [100.0, 101, 102, 50, 51, 52],
        "close_tr": [200.0, 204, 208, None, None, None],
    }
)


def test_benchmark_earns_dividends_by_default():
    assert levels(BARS, DAYS).tolist() == [200, 204, 208]
    assert levels(BARS, DAYS[1:], BenchmarkSettings(kind="price")).tolist() == [101, 102]
    assert returns(BARS, DAYS[1:]) == pytest.approx([0.02, 208 / 204 - 1])


@pytest.mark.parametrize(
    ("settings", "days", "message"),
    [
        (BenchmarkSettings(index="000852.SH"), DAYS, "has no 000852.SH; it has: 000300.SH, 000905.SH"),
        (BenchmarkSettings(index="000300.SH"), DAYS, "no close_tr on 3 of 3 sessions"),
        (BenchmarkSettings(), [*DAYS, date(2024, 3, 6)], "no close_tr on 1 of 4 sessions"),
    ],
)
def test_missing_levels_are_named_and_never_filled(settings, days, message):
    with pytest.raises(KestrelError, match=message):
        levels(BARS, days, settings)


def test_return_of_the_first_index_day_is_unknown():
    with pytest.raises(KestrelError, match="a session later"):
        returns(BARS, DAYS)
