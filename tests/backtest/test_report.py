import json
import re
from dataclasses import replace
from datetime import date

import numpy as np
import plotly.graph_objects as go
import polars as pl
import pytest

from backtest import metrics
from backtest.attribution.backdrop import Backdrop, moves
from backtest.attribution.daily import attribute
from backtest.attribution.parts import linked
from backtest.costs import CostSettings
from backtest.drawdowns import worst
from backtest.exposures import exposures
from backtest.orders import ORDERS
from backtest.report import figures, tallies
from backtest.report.document import write_report
from backtest.report.sheet import Comparison, Outlook, Sheet, Signals
from backtest.simulation import SimulationSettings, simulate
from backtest.strategies import TopkDropout
from data.errors import KestrelError

NASTY = "</script><script>alert(1)</script>"


@pytest.fixture(scope="module", name="market")
def _market(random_market):
    return random_market(11, sessions=90)


@pytest.fixture(scope="module")
def result(market):
    scores = np.random.default_rng(11).normal(size=market.axes.shape)
    return simulate(scores, market, strategy=TopkDropout(k=5, drop=2), costs=CostSettings(), settings=SimulationSettings(cash=1e6))


@pytest.fixture(scope="module")
def comparison(result):
    b_D = np.random.default_rng(1).normal(0, 0.01, len(result.dates))
    return Comparison("H00905 <total>", b_D, b_D - 0.0001)


@pytest.fixture(scope="module")
def sheet(market, result, comparison):
    """Everything that a page can show, with a hostile text wherever a text comes from outside."""
    rng = np.random.default_rng(5)
    shape = len(result.dates), len(result.symbols)
    w_DN = result.shares_DN * np.nan_to_num(result.price_DN) / result.nav_D[:, None]
    b_DN = np.full(shape, 1 / shape[1])
    b_DN[:3] = np.nan
    groups = np.broadcast_to(np.arange(shape[1]) % 3 - 1, shape)
    styles = {NASTY: rng.normal(size=shape), "Beta": np.full(shape, np.nan)}
    rows = [(1, result.symbols[0], "sell", 100, 10.5, None), (2, result.symbols[1], "buy", 0, None, "no_cash")]
    orders = pl.DataFrame(rows, schema=["priority", "symbol", "side", "shares", "reference_price", "reason"], orient="row")
    backdrop = Backdrop(comparison.b_D, comparison.price_D, *moves(market, result), b_DN, groups, [NASTY, "steel"], {NASTY: styles[NASTY]})
    orders = orders.with_columns(limit_up=None, limit_down=None, pieces=1).select(ORDERS.keys()).cast(ORDERS)
    return Sheet(
        title=NASTY,
        result=result,
        comparison=comparison,
        facts={NASTY: NASTY},
        signals=Signals(result.dates, np.full(len(result.dates), 0.03), {1: 0.03, 5: float("nan")}, [-0.1, 0.1]),
        exposures=exposures(result.dates, w_DN, b_DN, styles, groups_DN=groups, groups=[NASTY, "steel"], remarks=[NASTY]),
        outlook=Outlook(date(2024, 1, 2), orders, NASTY),
        names={result.symbols[0]: NASTY, result.symbols[1]: NASTY},
        attribution=attribute(result, backdrop),
        capacity=pl.DataFrame({"cash": [1e6, 1e8], "excess_geometric": [0.02, 0.01], "cost": [0.04, 0.05], "mean_cash": [0.1, 0.05]}),
    )


def test_page_needs_no_network_and_escapes_every_text(sheet, tmp_path):
    page, _ = write_report(tmp_path, sheet)
    text = page.read_text(encoding="utf-8")
    assert "alert(1)" in text
    assert "<script>alert" not in text
    assert len(re.findall("<script", text.replace('"<script', ""))) == len(re.findall("</script>", text)) == 3
    assert not re.search(r'(src|href)="', re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL))


def test_plotly_knows_every_property_of_every_figure(sheet, tmp_path):
    text = write_report(tmp_path, sheet)[0].read_text(encoding="utf-8")
    specs = json.loads(re.search(r'id="figures">(.*?)</script>', text, re.DOTALL).group(1))
    assert len(specs) == text.count('class="plot"') == 19
    for spec in specs:
        go.Figure(spec)  # raises where plotly doesn't know a property


def test_numbers_beside_the_page_are_those_of_the_metrics_and_nan_is_null(result, comparison, tmp_path):
    _, data = write_report(tmp_path, Sheet("A run", result, comparison, signals=Signals((result.dates[0],), np.array([np.nan]))))
    read = json.loads(data.read_text(encoding="utf-8"))
    assert read["metrics"]["tracking_error"] == metrics.tracking_error(result.returns_D, comparison.b_D)
    assert read["series"]["nav"] == result.nav_D.tolist()
    assert read["signals"]["rank_ic"] == [None]
    assert read["settings"]["strategy"]["k"] == 5
    assert sum(row["orders"] for row in read["orders"]) == result.trades.height
    assert read["exposures"] is None
    assert read["next_session"] is None
    assert not list(tmp_path.glob(".*"))


def test_numbers_beside_the_page_hold_exposures_drawdowns_and_the_next_orders(sheet, tmp_path):
    read = json.loads(write_report(tmp_path, sheet)[1].read_text(encoding="utf-8"))
    sessions = len(sheet.result.dates)
    assert [len(values) for values in read["exposures"]["styles"].values()] == [sessions] * 2
    assert read["exposures"]["styles"][NASTY][:3] == [None] * 3
    active = np.array(list(read["exposures"]["industries"].values()), dtype=float)[:, 3:]
    assert active.sum(axis=0) == pytest.approx(0)
    assert [(row["shares"], row["amount"], row["name"]) for row in read["next_session"]["orders"]] == [(100, 1050.0, NASTY), (0, 0.0, NASTY)]
    depth = worst(sheet.result.dates, metrics.relative_wealth(sheet.result.returns_D, sheet.comparison.b_D))[0].depth
    assert read["excess_drawdowns"][0]["depth"] == depth == pytest.approx(read["metrics"]["excess_max_drawdown"])


def test_chinese_page_shows_the_same_figures_under_chinese_labels(sheet, tmp_path):
    english = write_report(tmp_path / "en", sheet)[0].read_text(encoding="utf-8")
    page, data = write_report(tmp_path / "zh", replace(sheet, lang="zh"))
    text = page.read_text(encoding="utf-8")
    assert '<html lang="zh-CN">' in text
    assert "超额从哪里来" in text
    assert "Where the excess came from" not in text
    curves = []
    for one in (english, text):
        specs = json.loads(re.search(r'id="figures">(.*?)</script>', one, re.DOTALL).group(1))
        curves.append([trace["y"] for spec in specs for trace in spec["data"] if trace.get("mode") == "lines"])
    assert len(curves[0]) > 10
    assert curves[0] == curves[1]
    assert data.read_bytes() == (tmp_path / "en" / "report.json").read_bytes()  # programs read one language
    left = set(re.findall(r"<h2>([^<]*)</h2>", text)) & set(re.findall(r"<h2>([^<]*)</h2>", english))
    assert left <= {"Rank IC"}


def test_numbers_beside_the_page_hold_the_parts_of_the_excess_and_they_add_up(sheet, tmp_path):
    read = json.loads(write_report(tmp_path, sheet)[1].read_text(encoding="utf-8"))["attribution"]
    whole = float(linked(sheet.attribution).sum())
    assert sum(part["linked"] for part in read["parts"]) == pytest.approx(whole)
    assert sum(read["periods"]["whole"].values()) == pytest.approx(whole)
    assert list(read["periods"]) == ["whole", "2023"]
    daily = np.array(list(read["daily"].values())).sum(axis=0)
    assert daily == pytest.approx(read["excess"])
    assert read["sessions_without_members"] == 3


def test_stress_windows_are_those_that_the_account_saw(random_market):
    market = random_market(4, sessions=60, first=date(2015, 12, 21))
    scores = np.random.default_rng(4).normal(size=market.axes.shape)
    result = simulate(scores, market, strategy=TopkDropout(k=3, drop=1), costs=CostSettings())
    b_D = np.zeros(len(result.dates))
    (row,) = tallies.windows(result, b_D)
    inside = [date(2016, 1, 4) <= day <= date(2016, 1, 29) for day in result.dates]
    assert (row["window"], row["first"], row["sessions"]) == ("2016-01: circuit breaker", date(2016, 1, 4), sum(inside))
    assert row["excess"] == pytest.approx(np.prod(1 + result.returns_D[inside]) - 1)
    assert [name for name, _ in tallies.periods(result)] == ["2015", "2016", "2016-01: circuit breaker"]


def test_page_says_in_one_line_why_nothing_is_traded_next(result, comparison, tmp_path):
    sheet = Sheet("A run", result, comparison, outlook=Outlook(date(2024, 1, 2), note="No orders: it rests."))
    text = write_report(tmp_path, sheet)[0].read_text(encoding="utf-8")
    assert "Orders for 2024-01-02" in text
    assert "No orders: it rests." in text


def test_same_run_gives_the_same_bytes(sheet, tmp_path):
    first = [path.read_bytes() for path in write_report(tmp_path / "a", sheet)]
    assert first == [path.read_bytes() for path in write_report(tmp_path / "b", sheet)]


def test_account_that_never_traded_still_has_a_page(random_market, tmp_path):
    market = random_market(2)
    idle = simulate(np.full(market.axes.shape, np.nan), market, strategy=TopkDropout(), costs=CostSettings(), end=market.axes.dates[1])
    nothing = np.full((1, market.axes.shape[1]), np.nan)
    empty = exposures(idle.dates, nothing * 0, nothing, {"Size": nothing}, groups_DN=np.zeros(nothing.shape, dtype=np.int64), groups=["steel"])
    page, data = write_report(tmp_path, Sheet("Idle", idle, Comparison("index", np.zeros(1)), exposures=empty, outlook=Outlook()))
    assert "0 names in all" in page.read_text(encoding="utf-8")
    assert json.loads(data.read_text())["metrics"]["tracking_error"] is None


def test_series_of_another_length_are_refused(result, comparison):
    with pytest.raises(KestrelError, match="has 3 returns"):
        Sheet("A run", result, Comparison("index", np.zeros(3)))
    one = np.ones((1, 1))
    with pytest.raises(KestrelError, match="exposures have 1 sessions"):
        Sheet("A run", result, comparison, exposures=exposures(result.dates[:1], one, one, {}))


def test_months_of_a_heatmap_stand_in_their_columns():
    spec = figures.months({(2023, 12): 0.01, (2024, 1): -0.02})
    assert spec["data"][0]["y"] == ["2024", "2023"]
    assert spec["data"][0]["z"][0][0] == -0.02
    assert spec["data"][0]["z"][1][11] == 0.01
    assert spec["data"][1]["z"] == [[-0.02], [0.01]]


def test_gap_in_the_ic_is_left_out():
    spec = figures.ic((date(2024, 3, 1), date(2024, 3, 4)), np.array([np.nan, 0.05]))
    assert spec["data"][0]["x"] == ["2024-03-04"]


def test_industries_beyond_the_plot_are_the_small_ones():
    weights = np.linspace(-0.1, 0.1, 30)
    found = exposures(
        (date(2024, 3, 1),), weights[None] + 0.2, np.full((1, 30), 0.2), {}, groups_DN=np.arange(30)[None], groups=list(map(str, range(30)))
    )
    now, history = figures.industries(found)
    assert now["data"][0]["y"] == [*map(str, range(8)), *map(str, range(22, 30))]
    assert history["data"][0]["y"] == now["data"][0]["y"]
    assert history["data"][0]["z"][0] == [-0.1]
