"""Size factors against plain numpy."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from data.panel import Floats
from factors.panel import Panel
from factors.registry import library

Histories = dict[tuple[int, int], dict[str, Floats]]


def test_caps_are_price_times_shares_as_traded(panel: Panel, tables: dict[str, object], library_values: dict[str, Floats]) -> None:
    """The adjusted price times shares on its basis is what the market says, whatever dividends and splits came since."""
    bars, caps = tables["bars"], tables["caps"]
    both = bars.join(caps, on=["date", "symbol"]).filter("is_trading")  # type: ignore[attr-defined]
    for name, shares in (("log_total_cap", "total_shares"), ("log_float_cap", "float_shares")):
        expected = np.log((both["close"] * both[shares]).to_numpy())
        found = [
            library_values[name][panel.axes.index(day), panel.axes.symbols.index(symbol)] for day, symbol in both.select("date", "symbol").rows()
        ]
        assert found == pytest.approx(expected, rel=1e-6), name


def test_mid_cap_is_minus_the_distance_from_the_middle_of_the_market(panel: Panel, library_values: dict[str, Floats]) -> None:
    for t in (50, 339):
        cap = np.log(panel.columns["last"][t] * panel.columns["float_shares"][t])
        expected = -np.abs((cap - np.nanmean(cap)) / np.nanstd(cap))
        seen = panel.trading[t]
        assert library_values["mid_cap"][t, seen] == pytest.approx(expected[seen], rel=1e-5, abs=1e-6)
        assert np.nanmax(library_values["mid_cap"][t]) <= 0


def test_non_linear_size_is_what_a_line_leaves_of_the_cube(panel: Panel, library_values: dict[str, Floats]) -> None:
    for t in (50, 339):
        cap = np.log(panel.columns["last"][t] * panel.columns["total_shares"][t])
        z = (cap - np.nanmean(cap)) / np.nanstd(cap)
        known, seen = np.isfinite(z), panel.trading[t]
        left = z**3 - np.polyval(np.polyfit(z[known], z[known] ** 3, 1), z)
        assert library_values["nonlinear_size"][t, seen] == pytest.approx(left[seen], rel=1e-5, abs=1e-6)
        assert abs(np.nanmean(left * z)) < 1e-9


def test_a_rank_by_size_counts_the_stocks_of_the_industry_alone(panel: Panel, library_values: dict[str, Floats]) -> None:
    t = 339
    cap, industry, seen = panel.columns["last"][t] * panel.columns["total_shares"][t], panel.columns["industry"][t], panel.trading[t]
    for group in np.unique(industry):
        own = (industry == group) & np.isfinite(cap)
        expected = np.full(len(cap), np.nan)
        expected[own] = stats.rankdata(cap[own]) / own.sum()
        assert library_values["size_in_industry"][t, own & seen] == pytest.approx(expected[own & seen])


def test_prices_sales_and_floats_by_their_plain_formulas(histories: Histories, library_values: dict[str, Floats]) -> None:
    plain: dict[str, Callable[[dict[str, Floats]], float]] = {
        "log_price": lambda h: np.log(h["raw_close"][-1]),
        "log_sales": lambda h: np.log(h["revenue_ttm"][-1]),
        "float_share": lambda h: h["float_shares"][-1] / h["total_shares"][-1],
        "float_growth": lambda h: np.log(h["float_shares"][-1] / h["float_shares"][-241]),
    }
    others = {"log_total_cap", "log_float_cap", "mid_cap", "nonlinear_size", "size_in_industry"}
    assert set(plain) | others == {factor.name for factor in library().values() if factor.family == "size"}
    for name, formula in plain.items():
        for (t, n), history in histories.items():
            assert library_values[name][t, n] == pytest.approx(formula(history), rel=2e-6, abs=1e-7), (name, t, n)


def test_a_split_is_no_growth_of_the_float(panel: Panel, library_values: dict[str, Floats]) -> None:
    """Stock 1 doubles its shares in session 220; the reference price is rounded to the cent."""
    assert np.abs(library_values["float_growth"][260:330, 1]).max() < 2e-3
