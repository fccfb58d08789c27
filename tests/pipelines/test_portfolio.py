"""Every strategy, the guard, sleeves and the hedge as a user reaches them: through `kestrel backtest`, `report` and `sweep`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result

from data.lake import open_lake
from pipelines.cli import main
from pipelines.config import Config, load, stored

Run = Callable[..., Result]
KINDS = {
    "topk_dropout": "k=10, drop=2",
    "topk_buffer": "k=10, buffer=20",
    "score_weighted": "k=10, buffer=20, most=0.2",
    "volatility_scaled": "k=10, buffer=20, most=0.2",
    "enhancement": "every=10, limits={ladder=['turnover', 'styles', 'tracking_error']}",
    "index": "invested=0.99",
}
SLEEVES = "[{name='fast', model='a', strategy={kind='score_weighted', k=10, buffer=10, most=0.2, every=2}}, "
SLEEVES += "{name='slow', model='b', strategy={kind='enhancement', every=10}, budget=2.0}]"
SESSIONS = 40


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Path:
    """A folder with the prepared lake and random scores of two models over its last sessions."""
    folder = tmp_path_factory.mktemp("portfolio")
    shutil.copytree(prepared / "lake", folder / "lake")
    bars = open_lake(folder / "lake").read("bars", columns=["date", "symbol"])
    bars = bars.filter(pl.col("date") >= bars["date"].unique().sort()[-SESSIONS]).sort("date", "symbol")
    draw = np.random.default_rng(7)
    for names, file in ((("drawn",), "one"), (("a", "b"), "two")):
        parts = [bars.with_columns(pl.Series("score", draw.normal(size=bars.height)), pl.lit(name).alias("model")) for name in names]
        pl.concat(parts).write_parquet(folder / f"{file}.parquet")
    return folder


@pytest.fixture
def run(here: Path) -> Run:
    """Run `kestrel --set … COMMAND …` in that folder."""

    def call(sets: dict[str, str], *words: object) -> Result:
        shared = {"runs": str(here / "runs"), "signals": str(here / "signals"), **sets}
        options = [word for name, value in shared.items() for word in ("--set", f"{name}={value}")]
        return CliRunner().invoke(main, ["--lake", str(here / "lake"), *options, *(str(word) for word in words)])

    return call


def traded(run: Run, here: Path, scores: str, **sets: str) -> tuple[dict[str, Any], Path]:
    """(figures of the first account, its folder) of a backtest with these settings of `backtest`."""
    named = {f"backtest.{name}": value for name, value in sets.items()}
    found = run(named, "backtest", "--scores", here / f"{scores}.parquet", "--json")
    assert found.exit_code == 0, found.output
    row = json.loads(found.stdout)[0]
    latest = max(here.glob("runs/backtest-*/results.json"), key=lambda path: path.stat().st_mtime_ns).parent
    return row, latest / row["model"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_strategy_is_traded_under_its_own_name(run: Run, here: Path, kind: str) -> None:
    row, folder = traded(run, here, "one", strategy=f"{{kind='{kind}', {KINDS[kind]}}}")
    kept = stored(folder.parent / "config.json", Config())
    assert kept.backtest.strategy.kind == kind
    assert row["mean_holdings"] > 5
    assert pl.read_parquet(folder / "nav.parquet").height == SESSIONS - 1
    assert (folder / "relaxations.parquet").is_file() == (kind == "enhancement")
    if kind == "index":
        assert row["tracking_error"] < 0.03  # cash and lots; 50 names of 1e8
    if kind == "enhancement":
        assert pl.read_parquet(folder / "forecasts.parquet")["tracking_error"].max() < 0.2
        assert json.loads((folder / "remarks.json").read_text(encoding="utf-8"))


def test_a_guard_cuts_what_a_strategy_by_weights_wants(run: Run, here: Path) -> None:
    strategy = f"{{kind='score_weighted', {KINDS['score_weighted']}}}"
    free, _ = traded(run, here, "one", strategy=strategy)
    held, folder = traded(run, here, "one", strategy=strategy, guard="{volatility=0.05, tracking=0.02}")
    cuts = pl.read_parquet(folder / "cuts.parquet")
    assert cuts["gross"].min() < 1
    assert cuts.filter(pl.col("reasons").str.contains("tracking"))["active"].max() < 1
    assert held["mean_cash"] > free["mean_cash"]


def test_what_the_sleeves_made_is_what_the_account_made(run: Run, here: Path) -> None:
    row, folder = traded(run, here, "two", sleeves=SLEEVES)
    assert row["model"] == "sleeves"
    nav = pl.read_parquet(folder / "nav.parquet")
    parts = pl.read_parquet(folder / "sleeves.parquet")
    daily = parts.group_by("date").agg(pl.col("pnl").sum()).sort("date")["pnl"].to_numpy()
    assert daily == pytest.approx(np.diff(nav["nav"].to_numpy(), prepend=1e8), abs=0.001)
    assert pl.read_parquet(folder / "forecasts.parquet")["sleeve"].unique().to_list() == ["slow"]
    page = run({}, "report", folder.parent.name)
    assert page.exit_code == 0, page.output
    read = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert len(read["making"]["sleeves"]) == 2 * (SESSIONS - 1)
    assert read["facts"]["sleeve slow"] == "enhancement of b, budget 2"
    assert "What each sleeve made" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_hedged_account_is_told_against_cash_and_its_parts_add_up(run: Run, here: Path) -> None:
    row, folder = traded(run, here, "one", strategy=f"{{kind='topk_buffer', {KINDS['topk_buffer']}}}", hedge="{}")
    daily = pl.read_parquet(folder / "hedge.parquet")
    parts = daily.select("alpha", "residual_beta", "basis", "dividends", "roll", "fees", "financing").sum_horizontal().to_numpy()
    assert parts[1:] == pytest.approx(np.diff(daily["equity"].to_numpy()), abs=0.001)
    assert row["hedged_volatility"] < row["volatility"]
    for lang, said in (("en", "so its benchmark is cash"), ("zh", "故以现金为基准")):
        page = run({}, "report", folder.parent.name, "--lang", lang)
        assert page.exit_code == 0, page.output
        assert said in Path(page.stdout.strip()).read_text(encoding="utf-8")
    read = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert read["title"] == "drawn hedged with IC futures, against cash"
    assert read["hedged"]["benchmark"] == "cash"
    assert len(read["hedged"]["series"]["equity"]) == len(read["series"]["date"])
    assert {row["shock"] for row in read["shocks"]} > {"index falls", "discount widens"}


def test_a_report_of_an_enhancement_tells_what_gave_way_and_what_was_promised(run: Run, here: Path) -> None:
    strategy = "{kind='enhancement', every=10, limits={tracking_error=0.001, turnover=0.01}}"
    _, folder = traded(run, here, "one", strategy=strategy, guard="{}")
    gave = pl.read_parquet(folder / "relaxations.parquet")
    assert gave.filter(pl.col("constraint").str.starts_with("turnover")).height
    assert run({}, "report", folder.parent.name).exit_code == 0
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert all(title in text for title in ("Limits that gave way", "What was promised", "What the guard read", "Shocks"))


def test_a_sweep_prints_its_best_rows_and_how_much_is_luck(run: Run, here: Path) -> None:
    grid = {"sweep.k": "[5, 10]", "sweep.buffer": "[2.0]", "sweep.every": "[1, 5]", "sweep.blocks": "4"}
    found = run(grid, "sweep", "--scores", here / "one.parquet", "--json")
    assert found.exit_code == 0, found.output
    rows = json.loads(found.stdout)
    assert [row["information_ratio"] for row in rows] == sorted((row["information_ratio"] for row in rows), reverse=True)
    assert {(row["k"], row["every"]) for row in rows} == {(5, 1), (5, 5), (10, 1), (10, 5)}
    assert "deflated Sharpe" in found.stderr
    assert "complete already" in run(grid, "sweep", "--scores", here / "one.parquet").stderr


@pytest.mark.parametrize(
    ("sets", "words", "says"),
    [
        ({"backtest.guard": "{}"}, ("config",), "a guard cuts target weights, and topk_buffer has none"),
        ({"backtest.hedge": "{}", "backtest.simulation.deal": "vwap"}, ("config",), "futures trade at the open and stocks at the vwap"),
        ({"backtest.sleeves": "[{name='x'}, {name='x'}]"}, ("config",), "each needs a name of its own"),
        ({"backtest.sleeves": "[{name='x', model='c'}]"}, ("backtest", "--scores", "two.parquet"), "'c', which has no scores here. There are: a, b"),
        ({"backtest.hedge": "{}", "batch.book": "empty"}, ("signal", "-c", "own.toml", "--date", "2026-07-30"), "There is no finished train run"),
        ({"backtest.strategy": "{kind='index'}"}, ("sweep", "--scores", "one.parquet"), "index, can't be swept"),
    ],
)
def test_what_does_not_go_together_is_said(run: Run, here: Path, sets: dict[str, str], words: tuple[str, ...], says: str) -> None:
    (here / "own.toml").touch()
    found = run(sets, *(here / word if "." in word else word for word in words))
    assert found.exit_code == 1
    assert says in found.stderr


def test_a_config_of_everything_comes_back_as_it_was(tmp_path: Path) -> None:
    sets = [
        f"backtest.sleeves={SLEEVES}",
        "backtest.guard={crowding=0.2}",
        "backtest.hedge={hedge='beta'}",
        "sweep.k=[30]",
        "backtest.stacking.by=capital",
    ]
    config = load(sets=sets)
    assert [sleeve.strategy.kind for sleeve in config.backtest.sleeves] == ["score_weighted", "enhancement"]
    (tmp_path / "config.json").write_text(config.model_dump_json(), encoding="utf-8")
    assert stored(tmp_path / "config.json", Config()) == config
