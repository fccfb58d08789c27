"""Momentum factors against plain numpy over one stock's history."""

from collections.abc import Callable

import numpy as np
import pytest

from data.panel import Floats
from factors.registry import library

History = dict[str, Floats]


def returns(h: History) -> Floats:
    return np.concatenate([[np.nan], h["last"][1:] / h["last"][:-1] - 1])


def rsi(h: History) -> float:
    change = np.diff(h["last"][-15:])
    gain, loss = change[change > 0].sum(), -change[change < 0].sum()
    return float(gain / (gain + loss))


PLAIN: dict[str, Callable[[History], float]] = {
    "momentum_12_1": lambda h: h["last"][-21] / h["last"][-241] - 1,
    "momentum_6_1": lambda h: h["last"][-21] / h["last"][-121] - 1,
    "reversal_5": lambda h: -(h["last"][-1] / h["last"][-6] - 1),
    "reversal_20": lambda h: -(h["last"][-1] / h["last"][-21] - 1),
    "rsi_14": rsi,
    "high_52_week": lambda h: h["last"][-1] / h["last"][-240:].max(),
    "momentum_per_risk": lambda h: (h["last"][-21] / h["last"][-241] - 1) / np.std(returns(h)[-240:-20], ddof=1),
    "overnight_20": lambda h: np.nansum(h["open"][-20:] / h["last"][-21:-1] - 1),
    "intraday_20": lambda h: np.nansum(h["close"][-20:] / h["open"][-20:] - 1),
    "trend_rank_60": lambda h: np.mean(h["last"][-60:] < h["last"][-1]) + (np.sum(h["last"][-60:] == h["last"][-1]) + 1) / 120,
}


def test_every_factor_of_the_family_has_its_plain_formula() -> None:
    assert set(PLAIN) == {factor.name for factor in library().values() if factor.family == "momentum"}


@pytest.mark.parametrize("name", PLAIN)
def test_a_factor_is_its_plain_formula(name: str, histories: dict[tuple[int, int], History], library_values: dict[str, Floats]) -> None:
    for (t, n), history in histories.items():
        assert library_values[name][t, n] == pytest.approx(PLAIN[name](history), rel=2e-6, abs=1e-7), (t, n)


def test_a_dividend_and_a_split_leave_no_mark_on_a_return(library_values: dict[str, Floats]) -> None:
    """Sessions 200 and 220 are ex-dates of stocks 0 and 1: 3 % of cash and twice the shares."""
    assert abs(library_values["reversal_5"][202, 0]) < 0.3
    assert abs(library_values["reversal_5"][222, 1]) < 0.3
