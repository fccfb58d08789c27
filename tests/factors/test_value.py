"""Value factors against plain numpy, and the dividend yield by hand."""

from collections.abc import Callable

import numpy as np
import pytest

from data.panel import Floats
from factors.registry import library
from factors.value import YEAR

History = dict[str, Floats]
Computed = Callable[..., Floats]

PLAIN: dict[str, Callable[[History], float]] = {
    "earnings_yield": lambda h: 1 / h["pe_ttm"][-1],
    "book_to_price": lambda h: 1 / h["pb"][-1],
    "sales_yield": lambda h: 1 / h["ps_ttm"][-1],
    "cash_flow_yield": lambda h: 1 / h["pcf_ttm"][-1],
    "dividend_yield": lambda h: np.sum(h["cash_dividend"][-YEAR:] / h["raw_close"][-YEAR - 1 : -1]),
    "earnings_yield_own_history": lambda h: 1 / h["pe_ttm"][-1] - np.mean(1 / h["pe_ttm"][-YEAR:]),
}


def test_every_factor_of_the_family_has_its_plain_formula() -> None:
    assert set(PLAIN) == {factor.name for factor in library().values() if factor.family == "value"}


@pytest.mark.parametrize("name", PLAIN)
def test_a_factor_is_its_plain_formula(name: str, histories: dict[tuple[int, int], History], library_values: dict[str, Floats]) -> None:
    for (t, n), history in histories.items():
        assert library_values[name][t, n] == pytest.approx(PLAIN[name](history), rel=2e-6, abs=1e-7), (t, n)


def test_a_loss_has_a_negative_yield(computed: Computed) -> None:
    expr = library()["earnings_yield"].expr
    assert computed(expr, pe_ttm=np.array([[20.0, -4.0, np.nan]]))[0].tolist() == pytest.approx([0.05, -0.25, np.nan], nan_ok=True)


def test_the_dividend_yield_begins_on_the_ex_date_at_the_traded_price_and_ends_a_year_later(computed: Computed) -> None:
    cash, price = np.zeros((600, 2)), np.full((600, 2), 20.0)
    cash[200, 0], price[200:, 0] = 0.5, 10.0  # a split on the same day: cash is over the price before it
    found = computed(library()["dividend_yield"].expr, cash_dividend=cash, raw_close=price)
    assert found[199, 0] == 0.0
    assert found[200:443, 0].tolist() == pytest.approx([0.025] * 243)
    assert found[443, 0] == pytest.approx(0.0, abs=1e-12)
    assert (found[130:, 1] == 0).all()
    assert np.isnan(found[100]).all()  # half a year of prices at least
