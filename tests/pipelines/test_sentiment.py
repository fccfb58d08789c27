"""`kestrel sentiment` as a user meets it: scores in the lake, nothing paid twice, no key anywhere, errors that help."""

import importlib.util
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest
from click.testing import CliRunner, Result

from data.ingest import write_tables
from data.lake import Lake
from data.simulator import SimulationSettings, simulate
from data.tables import TABLES
from models.sentiment.cache import Cache
from pipelines.cli import main

Run = Callable[..., Result]
SECRET = "sk-nobody-may-see-this"
SERVER = ("sentiment.scorer=openai", "sentiment.server.provider=deepseek", "sentiment.server.model=deepseek-reasoner", "sentiment.thinking.cap=16")


@pytest.fixture(scope="module")
def stubs() -> ModuleType:
    file = Path(__file__).parents[1] / "models" / "sentiment" / "stub.py"
    spec = importlib.util.spec_from_file_location("stub_of_commands", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["stub_of_commands"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake whose news nobody has scored; every tenth piece names no company but in its text."""
    tables = simulate(SimulationSettings(stocks=40, members=20, years=1, seed=5)).tables
    tables = {name: frame for name, frame in tables.items() if name in TABLES and name not in ("news_scores", "minute_bars", "futures_bars")}
    unlinked = pl.when(pl.int_range(pl.len()) % 10 == 0).then(pl.lit([], dtype=pl.List(pl.String))).otherwise("symbols")
    tables["news"] = tables["news"].with_columns(unlinked.alias("symbols"))
    lake = Lake(tmp_path_factory.mktemp("market") / "lake")
    write_tables(lake, tables, "raw", {})
    return Path(lake.uri)


@pytest.fixture
def run(market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `kestrel [--set ...] sentiment ...` beside a copy of the lake."""
    shutil.copytree(market, tmp_path / "lake")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KESTREL_LLM_KEY", SECRET)

    def go(*words: str, sets: tuple[str, ...] = ()) -> Result:
        found = CliRunner().invoke(main, [*(part for one in sets for part in ("--set", one)), "sentiment", *words])
        assert SECRET not in found.output
        assert "Traceback" not in found.output
        return found

    return go


def told(found: Result) -> dict[str, object]:
    assert found.exit_code == 0, found.output
    rows = json.loads(found.stdout)
    assert isinstance(rows[0], dict)
    return rows[0]


def test_news_is_scored_into_the_lake_once(run: Run, tmp_path: Path) -> None:
    first = told(run("score", "--json"))
    lake = Lake(tmp_path / "lake")
    version, scores = lake.version("news_scores"), lake.read("news_scores")
    assert first["pieces"] == scores.height > 100
    assert first["pieces"] == int(str(first["scored"])) + int(str(first["near_duplicates"]))
    assert scores["id"].n_unique() >= 0.95 * lake.read("news").height  # those too that only their text links
    assert scores["score"].is_between(-1, 1).all()
    again = told(run("score", "--json"))
    assert (again["scored"], again["scored_before"]) == (0, first["pieces"])
    assert lake.version("news_scores") == version


def test_a_server_is_paid_once_and_a_cap_stops_the_run_until_it_is_raised(run: Run, stubs: ModuleType, tmp_path: Path) -> None:
    launch = {"provider": '"deepseek"', "model": '"*"', "effective_from": "2025-01-20", "hit": "1.0", "miss": "4.0", "output": "16.0"}
    (tmp_path / "prices.toml").write_text("[[price]]\n" + "\n".join(f"{key} = {value}" for key, value in launch.items()))
    with stubs.Stub() as stub:
        sets = (*SERVER, f"sentiment.server.url={stub.url}", "sentiment.spending.prices=prices.toml")
        stopped = run("score", "--limit", "60", sets=(*sets, "sentiment.spending.cap=0.12"))
        assert stopped.exit_code == 1
        assert "Raise sentiment.spending.cap" in stopped.output
        part = Lake(tmp_path / "lake").read("news_scores").height
        assert 0 < part < 60
        assert stub.bill <= 120_000
        assert stub.headers == {f"Bearer {SECRET}"}
        told(run("score", "--limit", str(60 - part), "--json", sets=sets))
        scores = Lake(tmp_path / "lake").read("news_scores")
        assert scores.height == 60
        cache = Cache(tmp_path / "answers.db")
        spent = float(cache.bill()[0]["spent_cny"])
        cache.close()
        assert round(spent * 1e6) == stub.bill
        assert scores["cost"].sum() <= spent  # news without content was asked about too
        asked = stub.requests
        table = Lake(tmp_path / "lake")
        table.write("news_scores", scores.head(0))
        told(run("score", "--limit", "60", "--json", sets=sets))
        assert stub.requests == asked
        assert table.read("news_scores").equals(scores)


def test_costs_are_estimated_without_asking_anyone(run: Run, stubs: ModuleType) -> None:
    with stubs.Stub() as stub:
        rows = json.loads(run("cost", "--json", sets=(*SERVER, f"sentiment.server.url={stub.url}")).stdout)
        assert stub.requests == 0
    half, whole = rows
    assert 0 < half["cost_cny"] < whole["cost_cny"]
    assert half["asked"] + half["near_duplicates"] + half["quarantined"] == half["pieces"]
    unknown = run("cost", sets=("sentiment.server.provider=acme",))
    assert unknown.exit_code == 1
    assert "There is no price for acme" in unknown.output


def test_an_audit_says_what_a_scorer_knows_and_an_attack_what_it_believes(run: Run) -> None:
    rows = json.loads(run("audit", "--limit", "200", "--json").stdout)
    assert [row["what"] for row in rows] == ["raw", "mask", "swap", "probe", "raw less mask"]
    assert rows[0]["n"] > 100
    attacks = json.loads(run("audit", "--attacks", "--json").stdout)
    assert attacks[-1]["kind"] == "all"
    assert attacks[-1]["moved"] < 0.04


def test_a_temperature_is_fitted_on_labels_of_the_past(run: Run, tmp_path: Path) -> None:
    rows = [("2023-01-03", "净利润大增", 1), ("2023-01-04", "预亏", -1), ("2023-01-05", "涨停", -1), ("2025-01-01", "预亏", 1)]
    pl.DataFrame(rows, schema=["date", "title", "label"], orient="row").write_csv(tmp_path / "labelled.csv")
    found = told(run("calibrate", "labelled.csv", "--before", "2024-01-01", "--json"))
    assert found["labelled"] == 3
    assert 0.05 <= float(str(found["temperature"])) <= 20
    (tmp_path / "odd.csv").write_text("title,label\n涨,7\n")
    assert "labels are [7]" in run("calibrate", "odd.csv").output


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (("sentiment.scorer=lexikon",), "Did you mean lexicon?"),
        (("sentiment.prompt=score-9", *SERVER), "There is no prompt 'score-9'"),
        (("sentiment.scorer=local",), "There is no model folder"),
        (("sentiment.thinking.kap=3",), "sentiment.thinking.kap is not a setting. Did you mean sentiment.thinking.cap?"),
        (("sentiment.aliases=none.csv",), "none.csv is no table of aliases"),
        ((*SERVER, "sentiment.server.url=http://127.0.0.1:9/v1", "sentiment.server.tries=1"), "gives no answer"),
    ],
)
def test_what_a_user_can_mend_is_said_in_one_message(run: Run, sets: tuple[str, ...], says: str) -> None:
    found = run("score", "--limit", "3", sets=sets)
    assert found.exit_code == 1
    assert says in re.sub(r"\s+", " ", found.output)
