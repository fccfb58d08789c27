"""Value factors against plain numpy, and the dividend yield by hand."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from data.panel import Floats
from factors.compounds import YEAR
from factors.panel import Panel
from factors.registry import library

History = dict[str, Floats]
Computed = Callable[..., Floats]


def cap(h: History) -> float:
    """Market value of all shares."""
    return float(h["last"][-1] * h["total_shares"][-1])


def enterprise(h: History) -> float:
    """Shares and debt less cash."""
    return float(cap(h) + h["debt"][-1] - h["cash"][-1])


PLAIN: dict[str, Callable[[History], float]] = {
    "earnings_yield": lambda h: 1 / h["pe_ttm"][-1],
    "book_to_price": lambda h: 1 / h["pb"][-1],
    "sales_yield": lambda h: 1 / h["ps_ttm"][-1],
    "cash_flow_yield": lambda h: 1 / h["pcf_ttm"][-1],
    "dividend_yield": lambda h: np.sum(h["cash_dividend"][-YEAR:] / h["raw_close"][-YEAR - 1 : -1]),
    "earnings_yield_own_history": lambda h: 1 / h["pe_ttm"][-1] - np.mean(1 / h["pe_ttm"][-YEAR:]),
    "book_to_price_own_history": lambda h: 1 / h["pb"][-1] / np.mean(1 / h["pb"][-YEAR:]) - 1,
    "earnings_yield_quarter": lambda h: 4 * h["net_profit_quarter"][-1] / cap(h),
    "operating_cash_yield": lambda h: h["operating_cash_flow_ttm"][-1] / cap(h),
    "gross_profit_to_enterprise": lambda h: h["gross_profit_ttm"][-1] / enterprise(h),
    "sales_to_enterprise": lambda h: h["revenue_ttm"][-1] / enterprise(h),
    "cash_flow_to_enterprise": lambda h: h["operating_cash_flow_ttm"][-1] / enterprise(h),
}


def kin_mean(values: Floats, industry: Floats) -> Floats:
    """The mean of each stock's industry."""
    return np.array([np.nanmean(values[industry == own]) for own in industry])


def ranked(values: Floats) -> Floats:
    """Ranks of a session in (0, 1]."""
    return stats.rankdata(values) / len(values)  # type: ignore[no-any-return]


def left_of_book(c: History, t: int) -> Floats:
    """What return on equity doesn't explain of log book to price."""
    book, earned = -np.log(c["pb"][t]), c["pb"][t] / c["pe_ttm"][t]
    return book - np.polyval(np.polyfit(earned, book, 1), earned)


# of all stocks at once: the panel's columns and a session
ACROSS: dict[str, Callable[[History, int], Floats]] = {
    "earnings_yield_in_industry": lambda c, t: 1 / c["pe_ttm"][t] - kin_mean(1 / c["pe_ttm"][t], c["industry"][t]),
    "book_to_price_in_industry": lambda c, t: -np.log(c["pb"][t]) + kin_mean(np.log(c["pb"][t]), c["industry"][t]),
    "book_given_profitability": left_of_book,
    "value_composite": lambda c, t: sum(ranked(1 / c[name][t]) for name in ("pe_ttm", "pb", "ps_ttm", "pcf_ttm")) / 4,  # type: ignore[return-value]
    "cheap_and_good": lambda c, t: ranked(1 / c["pe_ttm"][t]) + ranked(c["pb"][t] / c["pe_ttm"][t]),
}


def test_every_factor_of_the_family_has_its_plain_formula() -> None:
    assert set(PLAIN) | set(ACROSS) == {factor.name for factor in library().values() if factor.family == "value"}


@pytest.mark.parametrize("name", PLAIN)
def test_a_factor_is_its_plain_formula(name: str, histories: dict[tuple[int, int], History], library_values: dict[str, Floats]) -> None:
    for (t, n), history in histories.items():
        assert library_values[name][t, n] == pytest.approx(PLAIN[name](history), rel=2e-6, abs=1e-7), (t, n)


@pytest.mark.parametrize("name", ACROSS)
def test_a_factor_across_stocks_is_its_plain_formula(name: str, panel: Panel, library_values: dict[str, Floats]) -> None:
    for t in (100, 310, 339):
        expected = np.where(panel.trading[t], ACROSS[name](dict(panel.columns), t), np.nan)
        assert library_values[name][t] == pytest.approx(expected, rel=2e-6, abs=1e-6, nan_ok=True), t


def test_an_enterprise_that_costs_less_than_nothing_has_no_multiple(computed: Computed) -> None:
    expr = library()["sales_to_enterprise"].expr
    columns = {"revenue_ttm": 50.0, "last": 10.0, "total_shares": 10.0, "debt": 20.0}
    panels = {name: np.full((1, 2), value) for name, value in columns.items()}
    found = computed(expr, cash=np.array([[70.0, 130.0]]), **panels)
    assert found[0].tolist() == pytest.approx([1.0, np.nan], nan_ok=True)


def test_a_stock_is_compared_with_the_industry_that_it_was_known_to_be_in(panel: Panel, library_values: dict[str, Floats]) -> None:
    """Stock 4 leaves the first industry for the second in session 150."""
    earned = 1 / panel.columns["pe_ttm"]
    for t, kin in ((149, list(range(0, 16, 2))), (150, [4, *range(1, 16, 2)])):
        expected = earned[t, 4] - earned[t, kin].mean()
        assert library_values["earnings_yield_in_industry"][t, 4] == pytest.approx(expected, rel=1e-5)


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
