from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from data.errors import KestrelError
from data.panel import to_panel
from factors.build import BLOCK, choose, frames, key, session, values
from factors.compute import Computer
from factors.expressions import column
from factors.panel import Panel, build_panel
from factors.registry import Factor, select

Tables = dict[str, pl.DataFrame]


def build(factors: list[Factor], panel: Panel) -> pl.DataFrame:
    """The whole table."""
    return pl.concat(frames(factors, panel))


def test_a_whole_market_feeds_every_factor(panel: Panel) -> None:
    choice = choose(select(), panel, "raw")
    assert choice.available == select()
    assert choice.unavailable == {}


def test_what_a_lake_lacks_makes_its_factors_unavailable_with_the_reason(tables: Tables) -> None:
    poor = build_panel({name: tables[name] for name in ("bars", "calendar")})
    choice = choose(select(), poor, "raw")
    assert choice.unavailable["earnings_yield"] == "needs caps.pe_ttm"
    assert choice.unavailable["news_score"] == "needs news_scores"
    assert choice.unavailable["turnover_20"] == "needs caps.float_shares"
    assert choice.unavailable["dividend_yield"] == "needs dividends"
    assert len(choice.available) + len(choice.unavailable) == len(select())
    assert "reversal_20" in {factor.name for factor in choice.available}
    assert not {factor.name for factor in choice.available} & set(choice.unavailable)


def test_no_available_factor_is_a_column_of_nulls(panel: Panel) -> None:
    for name, found in values(select(), panel).items():
        assert np.isfinite(found[250:]).any(), name


def test_a_table_has_a_row_for_each_stock_and_session_that_traded_and_for_no_other(panel: Panel) -> None:
    table = build(select(["reversal_20", "news_score"]), panel)
    assert table.columns == ["date", "symbol", "reversal_20", "news_score"]
    assert table.schema["reversal_20"] == pl.Float32
    assert table.height == panel.trading.sum()
    assert table.equals(table.sort("date", "symbol"))
    on = to_panel(table.with_columns(one=pl.lit(1.0)), "one", panel.axes) == 1.0
    assert np.array_equal(on, panel.trading)


def test_nulls_stay_null_and_values_are_those_computed(panel: Panel) -> None:
    table = build(select(["reversal_20"]), panel)
    expr = select(["reversal_20"])[0].expr
    expected = np.where(panel.trading, Computer(panel, [expr])(expr), np.nan).astype(np.float32)
    assert np.array_equal(to_panel(table, "reversal_20", panel.axes), expected.astype(float), equal_nan=True)
    assert table.filter(pl.col("date") == panel.axes.dates[5])["reversal_20"].null_count() == 15
    assert not table["reversal_20"].is_nan().any()


def test_the_same_tables_give_the_same_bytes(tables: Tables, panel: Panel) -> None:
    shuffled = build_panel({name: frame.sample(fraction=1, shuffle=True, seed=1) for name, frame in tables.items()})
    one, other = (build(select(), source) for source in (panel, shuffled))
    assert one.equals(other)
    assert one.hash_rows(seed=1).equals(other.hash_rows(seed=1))


def test_market_wide_expressions_are_the_same_for_every_stock(panel: Panel) -> None:
    index = Factor("level", "technical", "", column("index_close"), raw_only=True)
    found = values([index], panel)["level"]
    assert found.shape == panel.axes.shape
    assert all(len(set(row[np.isfinite(row)].tolist())) == 1 for row in found)


def test_nothing_to_build_is_refused(panel: Panel) -> None:
    with pytest.raises(KestrelError, match="None of the factors can be fed by this lake"):
        build([], panel)


def test_the_key_changes_with_definitions_and_versions_alone() -> None:
    factors, versions = select(["reversal_20", "turnover_20"]), {"bars": 3, "caps": 1}
    same = key(factors, dict(reversed(versions.items())))
    assert key(factors, versions) == same == key(factors[::-1], versions)
    assert key(factors[:1], versions) != same
    assert key(factors, {**versions, "bars": 4}) != same
    assert key([replace(factors[0], expr=factors[1].expr), factors[1]], versions) != same
    assert key([replace(factors[0], about="another paragraph"), factors[1]], versions) == same


def test_sessions_built_by_themselves_are_those_of_the_whole_table(panel: Panel) -> None:
    factors = select(sets=["library", "alpha158"])
    whole = build(factors, panel)
    start = len(panel.axes.dates) - BLOCK - 30
    for stop in (None, start + 1, start + BLOCK + 3):
        days = panel.axes.dates[start:stop]
        assert pl.concat(frames(factors, panel, start=start, stop=stop)).equals(whole.filter(pl.col("date").is_in(days)))
    last = session(factors, panel, len(panel.axes.dates) - 1)
    assert all(np.array_equal(found[-1], last[name], equal_nan=True) for name, found in values(factors, panel).items())
