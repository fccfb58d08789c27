"""Growth factors against plain formulas of the newest figures, and by hand."""

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from data.panel import Floats
from factors.build import values
from factors.panel import Panel, build_panel
from factors.registry import library, select
from factors.statements import ITEMS

History = dict[str, Floats]
Computed = Callable[..., Floats]


def now(h: History, name: str) -> float:
    return float(h[name][-1])


def rise(h: History, item: str, what: str = "ttm") -> float:
    """The newest figure less that of a year before."""
    return now(h, f"{item}_{what}") - now(h, f"{item}_{what}_before")


def announced(h: History) -> float:
    """Mean return over the market's in the sessions of the last 120 in which a newer report was first known."""
    new = np.concatenate([[False], np.diff(h["report_quarter"]) > 0])
    return float(np.nanmean(np.where(new, h["change"] - h["market"], np.nan)[-120:]))


PLAIN: dict[str, Callable[[History], float]] = {
    "revenue_growth": lambda h: rise(h, "revenue") / now(h, "revenue_ttm_before"),
    "revenue_growth_quarter": lambda h: rise(h, "revenue", "quarter") / now(h, "revenue_quarter_before"),
    "revenue_surprise": lambda h: rise(h, "revenue", "quarter") / now(h, "revenue_deviation"),
    "profit_growth": lambda h: rise(h, "net_profit") / now(h, "total_assets_before"),
    "profit_growth_quarter": lambda h: rise(h, "net_profit", "quarter") / now(h, "equity"),
    "profit_acceleration": lambda h: (4 * rise(h, "net_profit", "quarter") - rise(h, "net_profit")) / now(h, "total_assets"),
    "earnings_surprise": lambda h: rise(h, "net_profit", "quarter") / now(h, "net_profit_deviation"),
    "announcement_return": announced,
    "report_age": lambda h: now(h, "report_age"),
    "profit_streak": lambda h: now(h, "net_profit_streak"),
    "cash_flow_growth": lambda h: rise(h, "operating_cash_flow") / now(h, "total_assets_before"),
    "asset_growth": lambda h: now(h, "total_assets") / now(h, "total_assets_before") - 1,
    "equity_growth": lambda h: now(h, "equity") / now(h, "equity_before") - 1,
    "debt_growth": lambda h: (now(h, "debt") - now(h, "debt_before")) / now(h, "total_assets_before"),
    "composite_issuance": lambda h: np.log(h["total_shares"][-1] / h["total_shares"][-241]),
}


def test_every_factor_of_the_family_has_its_plain_formula() -> None:
    assert set(PLAIN) == {factor.name for factor in library().values() if factor.family == "growth"}


@pytest.mark.parametrize("name", PLAIN)
def test_a_factor_is_its_plain_formula(name: str, histories: dict[tuple[int, int], History], library_values: dict[str, Floats]) -> None:
    for (t, n), history in histories.items():
        expected = PLAIN[name](history)
        if name == "revenue_growth_quarter" and now(history, "revenue_quarter_before") <= 0:
            expected = np.nan
        assert library_values[name][t, n] == pytest.approx(expected, rel=2e-6, abs=1e-6, nan_ok=True), (t, n)


def test_an_announcement_is_answered_in_the_session_at_which_the_report_is_known(computed: Computed) -> None:
    """Stock 0 files before session 100 and rises by 6 % over stock 1 in it; the mean of both is the market's."""
    last = np.full((160, 2), 10.0)
    last[100:, 0] *= 1.06
    quarter = np.full((160, 2), 8080.0)
    quarter[100:, 0] = 8081
    found = computed(library()["announcement_return"].expr, last=last, close=last, report_quarter=quarter)
    assert np.isnan(found[:100]).all()
    assert found[100:, 0] == pytest.approx(0.03)
    assert np.isnan(found[:, 1]).all()


def test_a_stock_that_pays_and_one_that_splits_issue_nothing(panel: Panel, library_values: dict[str, Floats]) -> None:
    """Stock 0 pays 3 % of its price in session 200: that is taken out; stock 1 doubles its shares in session 220."""
    paid = 0.3 / panel.columns["raw_close"][199, 0]
    assert library_values["composite_issuance"][330, 0] == pytest.approx(np.log(1 - paid), abs=2e-3)
    assert library_values["composite_issuance"][330, 1] == pytest.approx(0, abs=2e-3)


# -- from filings to factors


def single(symbol: str, profits: list[float]) -> pl.DataFrame:
    """Quarterly profits from 2016 on as cumulative filings, each 30 days after its quarter, with 100 of equity and 400 of assets."""
    rows = []
    for place in range(len(profits)):
        year, quarter = 2016 + place // 4, place % 4
        period = date(year + (quarter + 1) // 4, (quarter + 1) % 4 * 3 + 1, 1) - timedelta(days=1)
        filed = {"symbol": symbol, "period_end": period, "announced_on": period + timedelta(days=30), "revision": 0}
        rows.append(filed | {"net_profit": sum(profits[place - quarter : place + 1]), "equity": 100.0, "total_assets": 400.0})
    return pl.DataFrame(rows)


def test_a_surprise_by_hand_from_the_session_after_the_filing(tables: dict[str, pl.DataFrame], panel: Panel) -> None:
    """Changes over a year of 1, 3, 1, 3, 1, 3 and then 7, filed on 2018-10-30, a Tuesday."""
    profits = [10.0, 10, 10, 10, 11, 13, 11, 13, 12, 16, 18]
    symbol = panel.axes.symbols[0]
    reports = pl.concat([single(symbol, profits), tables["reports"].filter(pl.col("symbol") != symbol)], how="diagonal_relaxed")
    market = build_panel({**tables, "reports": reports})
    found = values(select(["earnings_surprise", "profit_growth_quarter", "roe", "profit_streak", "report_age"]), market)
    before, after = (panel.axes.index(date(2018, 10, day)) for day in (30, 31))
    changes = np.array([1, 3, 1, 3, 1, 3])  # of the quarters before the newest, back to the first of 2017
    assert found["earnings_surprise"][after, 0] == pytest.approx(7 / np.std(changes, ddof=1))
    assert found["earnings_surprise"][before, 0] == pytest.approx(3 / np.std(changes[:-1], ddof=1))
    assert found["profit_growth_quarter"][[before, after], 0] == pytest.approx([0.03, 0.07])
    assert found["roe"][[before, after], 0] == pytest.approx([0.52, 0.59])  # 16 + 12 + 13 + 11, then 18 + 16 + 12 + 13
    assert found["profit_streak"][[before, after], 0].tolist() == [6, 7]
    assert found["report_age"][[before, after], 0].tolist() == [92, 1]


def test_no_factor_of_a_company_hangs_on_the_unit_of_its_accounts(tables: dict[str, pl.DataFrame], library_values: dict[str, Floats]) -> None:
    """Quality and growth are shares of what belongs to the company: in cents they are the same."""
    cents = tables["reports"].with_columns(pl.col(ITEMS) * 100)
    family = [factor for factor in select() if factor.family in ("quality", "growth")]
    for name, found in values(family, build_panel({**tables, "reports": cents})).items():
        assert np.allclose(found, library_values[name], rtol=1e-5, atol=1e-7, equal_nan=True), name
