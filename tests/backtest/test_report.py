import json
import re
from datetime import date

import numpy as np
import plotly.graph_objects as go
import pytest

from backtest import figures, metrics
from backtest.costs import CostSettings
from backtest.report import Comparison, Signals, write_report
from backtest.simulation import SimulationSettings, simulate
from backtest.strategies import TopkDropout
from data.errors import KestrelError


@pytest.fixture(scope="module")
def result(random_market):
    market = random_market(11, sessions=90)
    scores = np.random.default_rng(11).normal(size=market.axes.shape)
    return simulate(scores, market, strategy=TopkDropout(k=5, drop=2), costs=CostSettings(), settings=SimulationSettings(cash=1e6))


@pytest.fixture(scope="module")
def comparison(result):
    b_D = np.random.default_rng(1).normal(0, 0.01, len(result.dates))
    return Comparison("H00905 <total>", b_D, b_D - 0.0001)


def test_page_needs_no_network_and_escapes_every_text(result, comparison, tmp_path):
    nasty = "</script><script>alert(1)</script>"
    signals = Signals(result.dates, np.full(len(result.dates), 0.03), {1: 0.03, 5: float("nan")}, [-0.1, 0.1])
    page, _ = write_report(tmp_path, result, comparison, title=nasty, facts={nasty: nasty}, signals=signals, names={result.symbols[0]: nasty})
    text = page.read_text(encoding="utf-8")
    assert "alert(1)" in text
    assert "<script>alert" not in text
    assert len(re.findall("<script", text.replace('"<script', ""))) == len(re.findall("</script>", text)) == 3
    assert not re.search(r'(src|href)="', re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL))
    specs = json.loads(re.search(r'id="figures">(.*?)</script>', text, re.DOTALL).group(1))
    assert len(specs) == text.count('class="plot"') == 11
    for spec in specs:
        go.Figure(spec)  # raises where plotly doesn't know a property


def test_numbers_beside_the_page_are_those_of_the_metrics_and_nan_is_null(result, comparison, tmp_path):
    _, data = write_report(tmp_path, result, comparison, title="A run", signals=Signals((result.dates[0],), np.array([np.nan])))
    read = json.loads(data.read_text(encoding="utf-8"))
    assert read["metrics"]["tracking_error"] == metrics.tracking_error(result.returns_D, comparison.b_D)
    assert read["series"]["nav"] == result.nav_D.tolist()
    assert read["signals"]["rank_ic"] == [None]
    assert read["settings"]["strategy"]["k"] == 5
    assert sum(row["orders"] for row in read["orders"]) == result.trades.height
    assert not list(tmp_path.glob(".*"))


def test_same_run_gives_the_same_bytes(result, comparison, tmp_path):
    first = [path.read_bytes() for path in write_report(tmp_path / "a", result, comparison, title="A run")]
    assert first == [path.read_bytes() for path in write_report(tmp_path / "b", result, comparison, title="A run")]


def test_account_that_never_traded_still_has_a_page(random_market, tmp_path):
    market = random_market(2)
    idle = simulate(np.full(market.axes.shape, np.nan), market, strategy=TopkDropout(), costs=CostSettings(), end=market.axes.dates[1])
    page, data = write_report(tmp_path, idle, Comparison("index", np.zeros(1)), title="Idle")
    assert "0 names in all" in page.read_text(encoding="utf-8")
    assert json.loads(data.read_text())["metrics"]["tracking_error"] is None


def test_benchmark_of_another_length_is_refused(result, tmp_path):
    with pytest.raises(KestrelError, match="has 3 returns"):
        write_report(tmp_path, result, Comparison("index", np.zeros(3)), title="A run")


def test_months_of_a_heatmap_stand_in_their_columns():
    spec = figures.months({(2023, 12): 0.01, (2024, 1): -0.02})
    assert spec["data"][0]["y"] == ["2024", "2023"]
    assert spec["data"][0]["z"][0][0] == -0.02
    assert spec["data"][0]["z"][1][11] == 0.01
    assert spec["data"][1]["z"] == [[-0.02], [0.01]]


def test_gap_in_the_ic_is_left_out():
    spec = figures.ic((date(2024, 3, 1), date(2024, 3, 4)), np.array([np.nan, 0.05]))
    assert spec["data"][0]["x"] == ["2024-03-04"]
