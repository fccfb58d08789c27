"""Which futures are listed on a day, and when each ends."""

from datetime import date

import numpy as np
import pytest

from data.contracts import contracts, expiry


def days(first: str, last: str) -> np.ndarray:
    span = np.arange(first, np.datetime64(last) + 1, dtype="datetime64[D]")
    return span[np.is_busday(span)]


def test_futures_expire_on_the_third_friday_or_the_session_after() -> None:
    span = days("2023-01-01", "2023-12-31")
    assert expiry(2023, 6, span) == date(2023, 6, 16)
    assert expiry(2023, 6, span[span != np.datetime64("2023-06-16")]) == date(2023, 6, 19)
    assert expiry(2024, 3, span) == date(2024, 3, 15)
    assert expiry(2022, 12, span) == date(2022, 12, 16)


@pytest.mark.parametrize(
    ("day", "names"),
    [
        (date(2023, 6, 1), ["IC2306", "IC2307", "IC2309", "IC2312"]),
        (date(2023, 6, 16), ["IC2306", "IC2307", "IC2309", "IC2312"]),
        (date(2023, 6, 19), ["IC2307", "IC2308", "IC2309", "IC2312"]),
        (date(2023, 8, 1), ["IC2308", "IC2309", "IC2312", "IC2403"]),
        (date(2023, 12, 18), ["IC2401", "IC2402", "IC2403", "IC2406"]),
    ],
)
def test_four_contracts_trade_at_a_time(day: date, names: list[str]) -> None:
    assert [name for name, _ in contracts("IC", day, days("2023-01-01", "2024-12-31"))] == names
