"""Quality factors against plain formulas of the newest figures, and by hand."""

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


def now(h: History, name: str) -> float:
    return float(h[name][-1])


def share(h: History, name: str, of: str = "total_assets") -> float:
    """One figure over another, both of the newest report."""
    return now(h, name) / now(h, of)


def strength(h: History) -> float:
    """How many of the seven signs are good."""
    profit, cash = now(h, "net_profit_ttm"), now(h, "operating_cash_flow_ttm")
    signs = [profit > 0, cash > 0, cash > profit]
    signs += [share(h, f"{item}_ttm") > share(h, f"{item}_ttm_before", "total_assets_before") for item in ("net_profit", "revenue")]
    signs += [share(h, "gross_profit_ttm", "revenue_ttm") > share(h, "gross_profit_ttm_before", "revenue_ttm_before")]
    return float(sum(signs) + (share(h, "debt") < share(h, "debt_before", "total_assets_before")))


def payout(h: History) -> float:
    """Dividends of a year, each over the price before it, over the earnings yield; null for a loss."""
    paid = np.sum(h["cash_dividend"][-YEAR:] / h["raw_close"][-YEAR - 1 : -1])
    return float(paid * h["pe_ttm"][-1]) if h["pe_ttm"][-1] > 0 else np.nan


def roe(c: History, t: int = -1) -> Floats:
    return c["net_profit_ttm"][t] / ((c["equity"][t] + c["equity_before"][t]) / 2)


PLAIN: dict[str, Callable[[History], float]] = {
    "roe": lambda h: float(roe(h)),
    "roe_quarter": lambda h: share(h, "net_profit_quarter", "equity"),
    "roe_change": lambda h: share(h, "net_profit_ttm", "equity") - share(h, "net_profit_ttm_before", "equity_before"),
    "return_on_assets": lambda h: share(h, "net_profit_ttm"),
    "gross_profitability": lambda h: share(h, "gross_profit_ttm"),
    "cash_return_on_assets": lambda h: share(h, "operating_cash_flow_ttm"),
    "gross_margin": lambda h: share(h, "gross_profit_ttm", "revenue_ttm"),
    "gross_margin_change": lambda h: share(h, "gross_profit_ttm", "revenue_ttm") - share(h, "gross_profit_ttm_before", "revenue_ttm_before"),
    "net_margin": lambda h: share(h, "net_profit_ttm", "revenue_ttm"),
    "asset_turnover": lambda h: share(h, "revenue_ttm"),
    "asset_turnover_change": lambda h: share(h, "revenue_ttm") - share(h, "revenue_ttm_before", "total_assets_before"),
    "accruals": lambda h: share(h, "net_profit_ttm") - share(h, "operating_cash_flow_ttm"),
    "cash_conversion": lambda h: share(h, "operating_cash_flow_ttm", "net_profit_ttm") if now(h, "net_profit_ttm") > 0 else np.nan,
    "earnings_stability": lambda h: -share(h, "net_profit_deviation"),
    "sales_stability": lambda h: -share(h, "revenue_deviation", "revenue_ttm"),
    "cash_flow_stability": lambda h: -share(h, "operating_cash_flow_deviation"),
    "loss_share": lambda h: now(h, "net_profit_loss_share"),
    "debt_to_assets": lambda h: share(h, "debt"),
    "cash_to_assets": lambda h: share(h, "cash"),
    "payout": payout,
    "revisions": lambda h: now(h, "report_revisions"),
    "lateness": lambda h: now(h, "report_lateness"),
    "financial_strength": strength,
}


def ranked(values: Floats) -> Floats:
    """Ranks of a session in (0, 1]; NaN stays."""
    seen = np.isfinite(values)
    found = np.full(len(values), np.nan)
    found[seen] = stats.rankdata(values[seen]) / seen.sum()
    return found


def composite(c: History, t: int) -> Floats:
    """Mean of the ranks by gross profitability, return on equity, cash over accruals and steadiness."""
    assets = c["total_assets"][t]
    accruals = (c["net_profit_ttm"][t] - c["operating_cash_flow_ttm"][t]) / assets
    parts = (c["gross_profit_ttm"][t] / assets, roe(c, t), -accruals, -c["net_profit_deviation"][t] / assets)
    return np.mean([ranked(part) for part in parts], axis=0)


def in_industry(values: Floats, industry: Floats) -> Floats:
    return np.array([value - np.nanmean(values[industry == own]) for value, own in zip(values, industry, strict=True)])


# of all stocks at once: the panel's columns and a session
ACROSS: dict[str, Callable[[History, int], Floats]] = {
    "roe_in_industry": lambda c, t: in_industry(roe(c, t), c["industry"][t]),
    "quality_composite": composite,
}


def test_every_factor_of_the_family_has_its_plain_formula() -> None:
    assert set(PLAIN) | set(ACROSS) == {factor.name for factor in library().values() if factor.family == "quality"}


@pytest.mark.parametrize("name", PLAIN)
def test_a_factor_is_its_plain_formula(name: str, histories: dict[tuple[int, int], History], library_values: dict[str, Floats]) -> None:
    found = {cell: library_values[name][cell] for cell in histories}
    assert found == {cell: pytest.approx(PLAIN[name](history), rel=2e-6, abs=1e-7, nan_ok=True) for cell, history in histories.items()}
    assert np.isfinite(list(found.values())).any()


@pytest.mark.parametrize("name", ACROSS)
def test_a_factor_across_stocks_is_its_plain_formula(name: str, panel: Panel, library_values: dict[str, Floats]) -> None:
    for t in (150, 310, 339):
        expected = np.where(panel.trading[t], ACROSS[name](dict(panel.columns), t), np.nan)
        assert np.isfinite(expected).sum() > 10
        assert library_values[name][t] == pytest.approx(expected, rel=2e-6, abs=1e-6, nan_ok=True), t


def test_without_equity_there_is_no_return_on_it(computed: Computed) -> None:
    columns = {"net_profit_ttm": np.array([[5.0, 5.0]]), "equity": np.array([[60.0, -60.0]]), "equity_before": np.array([[40.0, 20.0]])}
    assert computed(library()["roe"].expr, **columns)[0].tolist() == pytest.approx([0.1, np.nan], nan_ok=True)


def test_profit_without_cash_is_an_accrual_and_cash_without_profit_is_none(computed: Computed) -> None:
    columns = {"net_profit_ttm": np.array([[8.0, 2.0]]), "operating_cash_flow_ttm": np.array([[3.0, 6.0]]), "total_assets": np.array([[50.0, 50.0]])}
    assert computed(library()["accruals"].expr, **columns)[0].tolist() == pytest.approx([0.1, -0.08])


def test_seven_good_signs_are_seven_and_an_unknown_one_makes_the_sum_unknown(computed: Computed) -> None:
    good = {"net_profit_ttm": 8.0, "net_profit_ttm_before": 4.0, "operating_cash_flow_ttm": 9.0, "total_assets": 100.0, "total_assets_before": 90.0}
    good |= {"gross_profit_ttm": 30.0, "gross_profit_ttm_before": 20.0, "revenue_ttm": 80.0, "revenue_ttm_before": 60.0}
    panels = {name: np.full((1, 3), value) for name, value in good.items()}
    found = computed(library()["financial_strength"].expr, debt=np.array([[10.0, 30.0, np.nan]]), debt_before=np.full((1, 3), 20.0), **panels)
    assert found[0].tolist() == pytest.approx([7, 6, np.nan], nan_ok=True)
