"""Imports of real data: the research pack, its 300 large stocks, and a file that must be refused."""

from collections.abc import Callable
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.checks import blocking, check
from data.errors import ChecksFailed
from data.history import as_of
from data.ingest import import_folder
from data.lake import Lake
from data.members import drifted_panel, weights_panel
from data.panel import Axes, to_panel
from data.sources.qlib import export_qlib, import_qlib

EXAMPLES = Path(__file__).parents[2] / "examples"
INDEX = "000905.SH"
BAD = """
price_basis = "{basis}"
[bars]
file = "bad_bars_additive_2021_2023.parquet"
[bars.columns]
date = "date"
symbol = "code"
open = "open"
high = "high"
low = "low"
close = "close"
volume = {{ column = "volume", unit = "{unit}" }}
"""


def test_the_pack_becomes_tables_of_adjusted_prices(pack_lake: Lake) -> None:
    assert pack_lake.price_basis == "adjusted"
    bars = pack_lake.scan("bars").select(pl.len(), pl.col("symbol").n_unique(), pl.col("date").min().alias("a"), pl.col("date").max().alias("b"))
    assert bars.collect().row(0) == (2_544_261, 938, date(2007, 6, 1), date(2020, 8, 24))
    assert pack_lake.scan("members").select(pl.col("date").n_unique()).collect().item() == 79
    assert pack_lake.read("industries")["hindsight"].all()


def test_importing_the_pack_again_does_nothing(pack_lake: Lake, pack: Path) -> None:
    before = pack_lake.versions()
    assert import_folder(Lake(pack_lake.uri), pack, EXAMPLES / "pack.toml") == ({}, [])
    assert pack_lake.versions() == before


def test_no_check_blocks_the_pack_and_its_known_gaps_are_told(pack_lake: Lake) -> None:
    found = check({name: pack_lake.read(name) for name in ("calendar", "bars", "members", "dividends")}, "adjusted")
    assert blocking(found) == []
    assert {finding.check: finding.rows for finding in found} == {
        "high and low": 3,  # three closes of 2019-03-27 above their high
        "returns beyond limits": 45,  # relistings and share reform
        "gaps": 4,
        "members": 1,  # 499 names on 2019-01-02
        "members with bars": 211,  # 12 of 950 members have no prices
        "dividends": 21,  # announced on the ex-date itself, before 1996
    }


def test_no_check_blocks_the_large_stocks_and_their_known_gaps_are_told(imported: Callable[[str], Lake]) -> None:
    lake = imported("pack_hs300")
    found = check({name: lake.read(name) for name in lake.tables()}, "raw")
    assert blocking(found) == []
    assert {finding.check: finding.rows for finding in found} == {
        "returns beyond limits": 1,  # 000792.SZ on the day of its relisting, 2021-08-10
        "close within limits": 1,  # the same row
        "amount over volume": 3,
        "frozen ratios": 96,  # the ratios of 2020-02-19 are those of the day before
        "survivors": 296,  # the file holds stocks that were large in the end
        "dividends": 21,
    }


def test_the_shares_of_the_lake_hide_what_the_vendors_reveal(pack_lake: Lake) -> None:
    """Amount / volume / close of the lake lies within the session's own low and high over its close."""
    bars = pack_lake.scan("bars").filter("is_trading", pl.col("volume") > 0).select("low", "high", pl.col("amount") / pl.col("volume")).collect()
    slack = 1e-6 * bars["high"]
    assert bars.select((pl.col("amount") >= pl.col("low") - slack).all() & (pl.col("amount") <= pl.col("high") + slack).all()).item()


def test_weights_times_member_returns_rebuild_the_index(pack_lake: Lake) -> None:
    """Weights of the last list drifted with prices since, over every session from the first list on: correlation with 000905 of at least .999."""
    bars, members = pack_lake.read("bars", columns=["date", "symbol", "close"], start=date(2014, 12, 31)), pack_lake.read("members")
    axes = Axes(tuple(bars["date"].unique().sort().to_list()), tuple(bars["symbol"].unique().sort().to_list()))
    close = to_panel(bars, "close", axes)
    listed, _ = weights_panel(members, axes, INDEX)
    levels = pack_lake.read("index_bars").filter(pl.col("index") == INDEX).select("date", "close", pl.lit(INDEX).alias("symbol"))
    index = to_panel(levels, "close", Axes(axes.dates, (INDEX,)))[:, 0]
    days, weight, ours, official = set(members["date"]), np.zeros(len(axes.symbols)), [], []
    for t in range(len(axes.dates) - 1):
        weight = np.nan_to_num(listed[t]) if axes.dates[t] in days else weight
        moved = close[t + 1] / close[t] - 1
        known = np.isfinite(moved) & (weight > 0)
        if known.any():
            ours.append(float(weight[known] @ moved[known] / weight[known].sum()))
            official.append(float(index[t + 1] / index[t] - 1))
        weight = weight * (1 + np.nan_to_num(moved))
    assert len(ours) > 1370
    assert np.corrcoef(ours, official)[0, 1] >= 0.999
    assert np.std(np.array(ours) - official) * 243**0.5 < 0.012


def test_a_cut_of_the_pack_ends_with_its_session(pack_lake: Lake) -> None:
    day = date(2018, 7, 2)
    known = as_of({name: pack_lake.read(name) for name in ("calendar", "members", "index_bars", "dividends", "news")}, day)
    assert known["members"]["date"].max() == day
    assert known["index_bars"]["date"].max() == day
    assert known["news"]["published_at"].max().date() < day
    assert known["calendar"]["date"].max() > date(2020, 8, 24)


@pytest.mark.parametrize("basis", ["raw", "adjusted"])
def test_additively_adjusted_bars_are_refused_with_their_findings_and_nothing_is_written(pack: Path, tmp_path: Path, basis: str) -> None:
    mapping = tmp_path / "bad.toml"
    mapping.write_text(BAD.format(basis=basis, unit="shares"), encoding="utf-8")
    lake = Lake(tmp_path / "lake")
    with pytest.raises(ChecksFailed) as error:
        import_folder(lake, pack, mapping)
    message = str(error.value)
    assert error.value.exit_code == 3
    assert "nothing was written" in message
    assert "a price at or below zero comes of additive adjustment" in message
    assert "returns that no price limit allows" in message
    assert not Path(lake.uri).exists()


def test_weights_moved_by_prices_come_nearer_to_the_next_list_than_those_left_alone(pack_lake: Lake) -> None:
    members, bars = pack_lake.read("members"), pack_lake.read("bars", columns=["date", "symbol", "close"], start=date(2015, 1, 1))
    days = tuple(bars["date"].unique().sort())
    lists = members["date"].unique().sort().to_list()
    apart: list[tuple[float, float]] = []
    for first, second in pairwise(lists):
        axes = Axes(tuple(day for day in days if first <= day <= second), tuple(bars["symbol"].unique().sort()))
        before = members.filter(pl.col("date") == first)
        moved, _ = drifted_panel(before, axes, INDEX, to_panel(bars, "close", axes))
        kept, _ = weights_panel(before, axes, INDEX)
        published, _ = weights_panel(members.filter(pl.col("date") == second), axes, INDEX)
        both = np.isfinite(moved[-1]) & np.isfinite(published[-1])
        if both.sum() >= 480:
            theirs, ours, old = (panel[-1, both] / panel[-1, both].sum() for panel in (published, moved, kept))
            apart.append((np.abs(ours - theirs).sum() / 2, np.abs(old - theirs).sum() / 2))
    drifted, stale = np.median(np.array(apart), axis=0)
    print(f"{len(apart)} lists: half the sum of absolute differences, median {drifted:.4f} moved, {stale:.4f} left alone")
    assert drifted < 0.02 < stale


def test_the_pack_refuses_bad_bars_and_stays_as_it_was(pack_lake: Lake, pack: Path, tmp_path: Path) -> None:
    mapping = tmp_path / "bad.toml"
    mapping.write_text(BAD.format(basis="raw", unit="lots"), encoding="utf-8")
    before, facts = pack_lake.versions(), pack_lake.facts()
    with pytest.raises(ChecksFailed):
        import_folder(Lake(pack_lake.uri), pack, mapping, keep=True)
    assert (pack_lake.versions(), pack_lake.facts()) == (before, facts)


def test_three_hundred_large_stocks_import_as_raw_prices(imported: Callable[[str], Lake]) -> None:
    lake = imported("pack_hs300")
    assert lake.price_basis == "raw"
    bars = lake.read("bars")
    assert bars.height == 206_105
    assert (bars["raw_close"] == bars["close"]).all()
    own = pl.col("close") * pl.col("adj")
    gap = bars.with_columns((own / own.shift(1).over("symbol", order_by="date") - pl.col("close") / pl.col("pre_close")).abs().alias("gap"))
    assert gap["gap"].max() < 1e-9
    caps = lake.read("caps")
    assert all(caps[name].is_not_null().any() for name in ("float_shares", "pe_ttm", "pb", "ps_ttm", "pcf_ttm"))


def test_every_traded_close_of_the_large_stocks_lies_within_the_limits_of_the_rules(imported: Callable[[str], Lake]) -> None:
    """206,105 rows of two boards over the change of 2020-08-24: the dated limits are right but for one relisting."""
    traded = imported("pack_hs300").read("bars").filter("is_trading", pl.col("volume") > 0)
    outside = traded.filter((pl.col("close") > pl.col("limit_up") + 0.001) | (pl.col("close") < pl.col("limit_down") - 0.001))
    assert outside.select("date", "symbol").rows() == [(date(2021, 8, 10), "000792.SZ")]
    touched = traded.filter((pl.col("close") - pl.col("limit_up")).abs() < 0.001)
    assert touched.height > 1000


def test_real_bars_go_out_to_qlib_and_come_back(imported: Callable[[str], Lake], tmp_path: Path) -> None:
    lake, back = imported("pack_hs300"), Lake(tmp_path / "back")
    export_qlib(lake, tmp_path / "out")
    import_qlib(back, tmp_path / "out")
    both = lake.read("bars").join(back.read("bars"), on=["date", "symbol"], suffix="_back")
    assert both.height == lake.read("bars").height
    for name in ("close", "volume", "amount"):
        apart = both.select((pl.col(f"{name}_back") / pl.col(name) - 1).fill_nan(0.0).abs().max()).item()
        equal = both.select((pl.col(f"{name}_back") == pl.col(name)).mean()).item()
        print(f"{name}: {equal:.4f} equal to the bit, at most {apart:.1e} apart")
        assert apart < 2e-7
    assert both.select((pl.col("is_st") == pl.col("is_st_back")) & (pl.col("is_trading") == pl.col("is_trading_back"))).to_series().all()
