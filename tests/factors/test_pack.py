"""What single factors foretell on real data, and the trap that its raw volume sets."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.lake import Lake
from data.members import members_panel
from data.panel import Floats, to_panels
from factors.build import choose, values
from factors.evaluate import evaluate
from factors.expressions import COLUMNS as PANEL_COLUMNS
from factors.judge import mean_rank_ic
from factors.panel import TABLES, Panel, build_panel
from factors.registry import Factor, select
from models.labels import COLUMNS, LabelSettings, labels

START, FIRST = date(2016, 10, 10), date(2017, 1, 1)  # room for windows of 60 sessions before the first session judged


@dataclass(frozen=True)
class Judged:
    """The pack's sessions 2017-01 … 2020-08: its panel, who is a member of the date and traded, and what followed."""

    panel: Panel
    present: np.ndarray
    ahead: Floats
    part: slice

    def rank_ic(self, x: Floats) -> float:
        """Mean daily RankIC over five sessions from the next close on."""
        return mean_rank_ic(np.where(self.present, x, np.nan)[self.part], self.ahead[self.part])


@pytest.fixture(scope="module")
def judged(pack_lake: Lake) -> Judged:
    tables = {name: pack_lake.read(name, start=START) for name in ("bars", "caps")} | {"calendar": pack_lake.read("calendar")}
    panel = build_panel(tables)
    members, _ = members_panel(pack_lake.read("members"), panel.axes, "000905.SH")
    bars = to_panels(tables["bars"], list(COLUMNS), panel.axes)
    present = panel.trading & members
    settings = LabelSettings(horizons=(5,), entry="close", delay=1, excess=False)
    y_DNH, _ = labels(bars, present, settings, price_basis="adjusted")
    return Judged(panel, present, y_DNH[..., 0], slice(panel.axes.index(FIRST), None))


def test_single_factors_foretell_what_they_are_known_to(judged: Judged) -> None:
    """Minus the return, turnover and volatility of 20 sessions: mean daily Spearman, each within .003."""
    found = values(select(["reversal_20", "turnover_20", "volatility_20"]), judged.panel)
    assert judged.rank_ic(found["reversal_20"]) == pytest.approx(0.029, abs=0.003)
    assert judged.rank_ic(-found["turnover_20"]) == pytest.approx(0.046, abs=0.003)
    assert judged.rank_ic(-found["volatility_20"]) == pytest.approx(0.036, abs=0.003)


def test_evaluation_says_the_same_as_a_plain_mean(judged: Judged) -> None:
    x = values(select(["reversal_20"]), judged.panel)["reversal_20"].astype(float)
    part = judged.part
    found = evaluate({"reversal_20": x[part]}, judged.ahead[part][..., None], (5,), judged.present[part], judged.panel.axes.dates[part])
    assert found.summary["rank_ic"][0] == pytest.approx(judged.rank_ic(x), abs=1e-12)
    assert found.summary["coverage"][0] > 0.98
    assert found.sheets["reversal_20"].years["year"].to_list() == [2017, 2018, 2019, 2020]


def test_the_trap_is_in_the_file_and_not_in_the_lake(judged: Judged, pack: Path) -> None:
    """Amount / volume / close: with the vendor's shares it knows later dividends and splits, with the lake's it knows the session alone."""
    file = pack / "csi500_daily_qfq_200706_202008.parquet"
    sold = pl.scan_parquet(file).filter(pl.col("date") >= START).select("date", pl.col("code").alias("symbol"), "close", "volume", "amount").collect()
    vendor = to_panels(sold, ["close", "volume", "amount"], judged.panel.axes)
    with np.errstate(divide="ignore", invalid="ignore"):
        leak = vendor["amount"] / vendor["volume"] / vendor["close"]
    columns = judged.panel.columns
    assert judged.rank_ic(leak) == pytest.approx(0.041, abs=0.003)
    assert abs(judged.rank_ic(columns["amount"] / columns["volume"] / columns["close"])) < 0.01


def test_the_pack_feeds_dividend_yield_alone_of_the_value_family(pack_lake: Lake) -> None:
    part = {name: pack_lake.read(name, start=date(2020, 6, 1)) for name in ("bars", "caps", "index_bars")}
    whole = {name: pack_lake.read(name) for name in ("calendar", "dividends", "news")}
    choice = choose(select(), build_panel({**part, **whole}), pack_lake.price_basis)
    assert [factor.name for factor in choice.available if factor.family == "value"] == ["dividend_yield"]
    assert choice.unavailable["book_to_price"] == "needs caps.pb"
    assert choice.unavailable["log_total_cap"] == "needs caps.total_shares"
    assert choice.unavailable["news_score"] == "needs news_scores"


def beyond(factor: Factor) -> bool:
    """Whether a factor needs reports or industries as of the date, which no file of the pack holds."""
    tables = {PANEL_COLUMNS[name][0].split(".")[0].split(" ")[0] for name in factor.expr.needs}
    return bool(tables & {"reports", "industries"}) or "total_shares" in factor.expr.needs


def test_the_industries_of_a_later_snapshot_are_offered_to_no_factor(pack_lake: Lake) -> None:
    tables = {name: pack_lake.read(name) for name in ("calendar", "industries")} | {"bars": pack_lake.read("bars", start=date(2020, 8, 1))}
    assert tables["industries"].height > 5000
    choice = choose(select(), build_panel(tables), pack_lake.price_basis)
    assert choice.unavailable["industry_momentum"] == "needs industries as of the date"
    assert not any("industry" in factor.expr.needs for factor in choice.available)


def test_three_hundred_large_stocks_feed_the_value_family(imported: Callable[[str], Lake]) -> None:
    lake = imported("pack_hs300")
    panel = build_panel({name: lake.read(name) for name in ("calendar", *TABLES) if lake.has(name)})
    family = [factor for factor in select() if factor.family == "value" and not beyond(factor)]
    assert len(family) == 10
    assert choose(family, panel, lake.price_basis).available == family
    found = values(family, panel)
    day = panel.axes.index(date(2022, 6, 1))
    for factor in family:
        assert np.isfinite(found[factor.name][day]).sum() > 250, factor.name
    assert 0.01 < np.nanmedian(found["dividend_yield"][day]) < 0.03
    assert 0.02 < np.nanmedian(found["earnings_yield"][day]) < 0.08
