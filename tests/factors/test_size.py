"""Size factors against plain numpy."""

import numpy as np
import pytest

from data.panel import Floats
from factors.panel import Panel


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
