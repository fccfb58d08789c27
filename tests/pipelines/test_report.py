import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.lake import Lake, open_lake
from pipelines.config import Config
from pipelines.explain import STYLES
from pipelines.portfolio import Ground, trade
from pipelines.report import report
from pipelines.trade import Source, backtest

ConfigIn = Callable[[Path], Config]
LAST = 60  # sessions that have scores


def drawn(lake: Lake, name: str = "drawn") -> Source:
    """Random scores of everything that traded in the lake's last sessions."""
    bars = lake.read("bars", columns=["date", "symbol"])
    bars = bars.filter(pl.col("date") >= bars["date"].unique().sort()[-LAST]).sort("date", "symbol")
    score = pl.Series("score", np.random.default_rng(3).normal(size=bars.height))
    scores = bars.with_columns(score, pl.lit(name).alias("model"))
    return Source(scores, name, name, None)


def ending(config: Config, lake: Lake, sessions: int) -> Config:
    """The config with a backtest that ends so many sessions before the lake's last."""
    days = lake.read("bars", columns=["date"])["date"].unique().sort()
    return config.model_copy(update={"backtest": config.backtest.model_copy(update={"end": days[-1 - sessions]})})


def numbers(lake: Lake, config: Config, source: Source) -> dict[str, object]:
    """report.json of a backtest."""
    backtest(lake, config, source)
    return json.loads(report(lake, config).with_name("report.json").read_text(encoding="utf-8"))


def test_the_orders_of_the_next_session_are_those_that_a_longer_backtest_sends(desk: Path, config_in: ConfigIn) -> None:
    lake, config = open_lake(desk / "lake"), config_in(desk)
    source = drawn(lake)
    whole = trade(source.scores, Ground.of(lake, config)).result.trades
    traded, rested = 0, 0
    for sessions in range(5, 10):  # the strategy trades on one session in five
        found = numbers(lake, ending(config, lake, sessions), source)["next_session"]
        assert isinstance(found, dict)
        sent = {(row["symbol"], row["side"]): row["shares"] for row in found["orders"] if row["shares"]}
        made = whole.filter(pl.col("date").cast(pl.String) == found["session"], pl.col("ordered") > 0)
        assert sent == {(row["symbol"], row["side"]): row["ordered"] for row in made.to_dicts()}
        traded, rested = traded + bool(sent), rested + ("doesn't trade on this session, but next on" in found["note"])
    assert (traded, rested) == (1, 4)


def test_exposures_of_the_book_cover_every_style_and_session(desk: Path, config_in: ConfigIn) -> None:
    lake = open_lake(desk / "lake")
    read = numbers(lake, config_in(desk), drawn(lake))
    found, series = read["exposures"], read["series"]
    assert list(found["styles"]) == list(STYLES)
    assert all(len(values) == len(series["date"]) == LAST - 1 for values in found["styles"].values())
    assert all(0.8 < covered <= 1 for covered in found["coverage"].values())
    active = np.array([found["industries"][name] for name in found["industries"]], dtype=float)
    assert active.sum(axis=0) == pytest.approx(0, abs=1e-9)
    assert found["industries"]["cash"] == pytest.approx(np.array(series["cash"]) / np.array(series["nav"]), abs=1e-9)
    assert not any("hindsight" in remark for remark in found["remarks"])


def test_report_tells_where_the_excess_came_from_and_what_size_would_change(desk: Path, config_in: ConfigIn) -> None:
    lake, config = open_lake(desk / "lake"), config_in(desk)
    read = numbers(lake, config, drawn(lake))
    parts, series = read["attribution"], read["series"]
    nav, capital = np.array(series["nav"]), config.backtest.simulation.cash
    excess = np.diff(nav, prepend=capital) - np.concatenate([[capital], nav[:-1]]) * series["benchmark_return"]
    assert np.array(parts["excess"]) == pytest.approx(excess, abs=0.0051)  # rounded to the cent
    relative = np.prod(1 + np.array(series["return"])) / np.prod(1 + np.array(series["benchmark_return"])) - 1
    assert sum(part["linked"] for part in parts["parts"]) == pytest.approx(relative, abs=1e-8)
    assert {part["name"] for part in parts["parts"] if part["kind"] == "style"} == set(STYLES)
    assert parts["sessions_without_members"] == 0
    assert any(parts["daily"]["dividends"])
    own = [row for row in read["capacity"] if row["cash"] == capital]
    assert own[0]["excess_geometric"] == pytest.approx(read["metrics"]["excess_geometric"])


def test_chinese_report_lies_beside_the_english_one(desk: Path, config_in: ConfigIn) -> None:
    lake, config = open_lake(desk / "lake"), config_in(desk)
    backtest(lake, config, drawn(lake))
    page = report(lake, config, lang="zh")
    assert page.parent.name == "drawn-zh"
    assert "超额从哪里来" in page.read_text(encoding="utf-8")


def test_report_says_what_is_hindsight_and_what_the_lake_lacks(desk: Path, config_in: ConfigIn) -> None:
    lake, config = open_lake(desk / "lake"), config_in(desk)
    lake.write("industries", lake.read("industries").with_columns(pl.lit(True).alias("hindsight")))
    lake.write("caps", lake.read("caps").tail(5))  # the factor table is older now
    remarks = numbers(lake, config, drawn(lake))["exposures"]["remarks"]
    assert any("hindsight" in remark for remark in remarks)
    assert any("No style exposures" in remark and "kestrel factors build" in remark for remark in remarks)
