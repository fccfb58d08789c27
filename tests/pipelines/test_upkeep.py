"""Checks, versions and old files as a user meets them; what a run read is pinned, written down and never vacuumed away."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from data.lake import Lake
from data.simulator import SimulationSettings, simulate
from data.tables import TABLES
from data.vacuum import vacuum
from pipelines.cli import main
from pipelines.config import Config
from pipelines.runs import write_json
from pipelines.trade import backtest, scores_file
from pipelines.versions import needed

Run = Callable[..., Result]


@pytest.fixture
def run(desk: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `kestrel …` in a folder with a small lake."""
    monkeypatch.chdir(desk)
    return lambda *words: CliRunner().invoke(main, [str(word) for word in words])


def test_a_check_prints_its_findings_and_writes_a_page_that_needs_nothing_else(run: Run, desk: Path) -> None:
    found = run("data", "check", "--json")
    assert found.exit_code == 0, found.output
    assert {row["check"] for row in json.loads(found.stdout)} <= {"members"}  # this market's index has 50
    page = (desk / "lake.checks.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "http" not in page
    assert all(text in page for text in ("returns beyond limits", "passed", "blocking") if text != "blocking")


def test_a_blocking_finding_exits_with_3_and_stands_on_the_page(run: Run, desk: Path) -> None:
    lake = Lake(desk / "lake")
    lake.write("bars", lake.read("bars").with_columns(low=pl.lit(-1.0)))
    found = run("data", "check", "--html", "page.html")
    assert found.exit_code == 3
    assert "fails blocking checks" in found.output
    assert '<td class="blocking">blocking</td><td>bars</td><td>positive prices</td>' in (desk / "page.html").read_text(encoding="utf-8")


def test_tables_are_shown_and_asked_as_they_were(run: Run, desk: Path) -> None:
    lake = Lake(desk / "lake")
    rows = lake.read("members").height
    lake.write("members", lake.read("members").head(3))
    assert len(json.loads(run("data", "history", "members", "--json").stdout)) == 2
    assert len(json.loads(run("data", "show", "members", "--at", "1", "--json").stdout)) == 3
    assert len(json.loads(run("data", "show", "members", "--at", "0", "--json").stdout)) == 10
    assert json.loads(run("data", "sql", "SELECT count(*) AS n FROM members", "--at", "2100-01-01", "--json").stdout) == [{"n": 3}]
    assert run("data", "sql", "SELECT count(*) FROM members", "--at", "2000-01-01").exit_code == 1
    assert "is not a version such as 3, or a moment" in run("data", "show", "members", "--at", "yesterday").output
    assert run("data", "restore", "members", "--to", "0").exit_code == 0
    assert lake.read("members").height == rows


@pytest.fixture
def scored(desk: Path) -> Path:
    """A file of scores for a year of the lake."""
    bars = Lake(desk / "lake").read("bars", columns=["date", "symbol", "close"])
    bars.filter(pl.col("date") > pl.col("date").max() - pl.duration(days=60)).rename({"close": "score"}).write_parquet(desk / "mine.parquet")
    return desk / "mine.parquet"


def test_vacuum_leaves_every_version_that_a_run_read(run: Run, desk: Path, scored: Path, config_in: Callable[[Path], Config]) -> None:
    lake = Lake(desk / "lake")
    folder, _ = backtest(lake, config_in(desk), scores_file(scored))
    said = json.loads((folder / "versions.json").read_text())["versions"]
    assert said == lake.versions() | {"about": lake.version("about")}
    bars = lake.read("bars")
    for count in (10, 20):
        lake.write("bars", bars.head(count))
    taken = {row["table"]: row for row in json.loads(run("data", "vacuum", "--hours", "0", "--json").stdout)}
    assert (taken["bars"]["files"], taken["bars"]["kept for runs"]) == (1, str(said["bars"]))
    assert Lake(lake.uri, versions={"bars": said["bars"]}).read("bars").equals(bars)
    assert lake.version("bars") == said["bars"] + 2


def test_a_backtest_reads_one_state_of_the_lake_whatever_is_written_meanwhile(desk: Path, scored: Path, config_in: Callable[[Path], Config]) -> None:
    lake = Lake(desk / "lake")

    def meddling(items: object, label: str) -> object:
        lake.write("index_bars", lake.read("index_bars").with_columns(pl.col("close", "close_tr") * 2))
        return items

    before = lake.version("index_bars")
    folder, _ = backtest(lake, config_in(desk), scores_file(scored), track=meddling)  # type: ignore[arg-type]
    assert lake.version("index_bars") == before + 1
    assert json.loads((folder / "versions.json").read_text())["versions"]["index_bars"] == before


def test_a_run_of_before_versions_were_recorded_needs_what_was_the_newest_when_it_began(desk: Path) -> None:
    lake = Lake(desk / "lake")
    write_json(desk / "runs" / "train-old" / "identity.json", {"versions": {"bars": 0}})
    lake.write("members", lake.read("members").head(3))
    found = needed(lake, desk / "runs", desk / "nowhere")
    assert found["bars"] == {0}
    assert found["members"] == {0}
    vacuum(lake, found, hours=0, dry_run=False)
    assert Lake(lake.uri, versions={"members": 0}).read("members").height > 3


def test_an_import_over_another_lake_is_refused_while_tables_of_it_would_stay(run: Run, desk: Path, tmp_path: Path) -> None:
    vendor = tmp_path / "vendor"
    vendor.mkdir()
    market = simulate(SimulationSettings(stocks=40, members=20, years=1)).tables
    bars = market["bars"].select("date", "symbol", "open", "high", "low", "close", "pre_close", "volume", "amount")
    bars.write_parquet(vendor / "bars.parquet")
    columns = "\n".join(f'{name} = "{name}"' for name in bars.columns)
    (vendor / "map.toml").write_text(f'[bars]\nfile = "bars.parquet"\n[bars.columns]\n{columns}\n')
    before = Lake(desk / "lake").versions()
    found = run("data", "import", vendor, "--mapping", vendor / "map.toml")
    assert found.exit_code == 1
    assert "also holds caps, reports, dividends" in found.output
    assert "--keep" in found.output
    assert Lake(desk / "lake").versions() == before
    assert run("data", "import", vendor, "--mapping", vendor / "map.toml", "--keep").exit_code == 0
    assert set(before) <= set(TABLES) | {"factors"}
