import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from data.errors import KestrelError
from data.lake import open_lake
from pipelines.compare import compare, compare_two, differences
from pipelines.config import Config
from pipelines.contrast import contrast
from pipelines.diary import LOGGED, log_backtest, log_page, log_training
from pipelines.experiments import Experiments, flattened
from pipelines.report import report
from pipelines.trade import backtest, trained_scores
from pipelines.train import train
from pipelines.usage import Usage
from pipelines.views import KEY, TAG, save_view

ConfigIn = Callable[[Path], Config]


def test_nested_settings_become_dotted_parameters() -> None:
    assert flattened({"walk": {"every": 2, "purge": 6}, "lake": "lake"}) == {"walk.every": 2, "walk.purge": 6, "lake": "lake"}


def test_differences_are_the_settings_that_are_not_the_same() -> None:
    rows = differences({"a": {"k": "50", "every": "5"}, "b": {"k": "30", "every": "5"}})
    assert rows == [{"setting": "k", "a": "50", "b": "30"}]


def page_of(accounts: Path) -> Path:
    page = accounts / "ridge" / "report.html"
    page.write_text("<p>a page</p>")
    return page


def beside(config: Config, desk: Path, accounts: Path, training: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two models of a backtest, named in each way, are compared on the dates that both have."""
    names = [(f"{accounts.name}/ridge", "latest/five_factors"), (f"{accounts.name[-6:]}/ridge", f"{training.name}/five_factors")]
    figures = [contrast(config, *pair).figures() for pair in names]
    assert figures[0] == figures[1]
    one = {row["figure"]: row for row in figures[0]}
    navs = [pl.read_parquet(accounts / name / "nav.parquet") for name in ("ridge", "five_factors")]
    excess = [243 * (nav["return"] - nav["benchmark_return"]).to_numpy().mean() for nav in navs]
    row = one["excess a year"]
    assert [row["A"], row["B"]] == pytest.approx(excess)
    assert row["low"] < row["B - A"] < row["high"]
    assert row["B - A"] == pytest.approx(excess[1] - excess[0])
    daily = pl.read_parquet(training / "daily.parquet").filter(pl.col("horizon") == 5, pl.col("model") == "ridge")
    assert one["RankIC, 5 sessions"]["A"] == pytest.approx(daily["rank_ic"].fill_nan(None).mean())
    id_of = Experiments(desk / "runs").find("`kestrel.model`", "ridge")[0].info.run_id
    assert {row["B - A"] for row in contrast(config, "latest/ridge", id_of).figures()} == {0.0}
    compare_two(config, *names[0], html=desk / "two.html", as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["A"], told["B"]) == (f"{accounts.name}/ridge", f"{accounts.name}/five_factors")
    assert [row["figure"] for row in told["figures"]] == list(one)
    assert told["settings"] == [{"setting": "model", "A": "ridge", "B": "five_factors"}]
    html = (desk / "two.html").read_text(encoding="utf-8")
    assert "<script src" not in html
    assert "What sets them apart" in html
    compare_two(config, *names[0], html=desk / "two.html", lang="zh")
    chinese = (desk / "two.html").read_text(encoding="utf-8")
    assert "差异所在" in chinese
    assert "What sets them apart" not in chinese
    assert "RankIC（5 个交易日）" in chinese
    capsys.readouterr()
    compare_two(config, *names[1], model="ridge")
    assert "B - A" in capsys.readouterr().out


def once(store: Experiments, training: Path, config: Config, usage: Usage) -> None:
    """What is in the store isn't written again; what was stopped on its way there is, from the start."""
    before = {run.info.run_id for run in store.find("`kestrel.run`", training.name, last=100)}
    log_training(training, config)
    assert {run.info.run_id for run in store.find("`kestrel.run`", training.name, last=100)} == before
    (training / LOGGED).unlink()
    log_training(training, config, usage)
    after = {run.info.run_id for run in store.find("`kestrel.run`", training.name, last=100)}
    assert len(after) == len(before)
    assert not after & before


def test_a_server_that_does_not_answer_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(KestrelError, match=r"MLflow at http://127.0.0.1:9 doesn't answer.*`tracking`.*run the same again"):
        Experiments(tmp_path, "http://127.0.0.1:9")


def test_runs_are_logged_as_parents_and_children_compared_and_reported(desk: Path, config_in: ConfigIn, capsys: pytest.CaptureFixture[str]) -> None:
    lake, config = open_lake(desk / "lake"), config_in(desk)
    with Usage() as usage:
        training, _ = train(lake, config)
    log_training(training, config, usage)
    store = Experiments(desk / "runs", None)
    once(store, training, config, usage)
    source = trained_scores(desk / "runs")
    accounts, _ = backtest(lake, config, source)
    log_backtest(accounts, config, source)
    parent = store.find("`kestrel.kind`", "train")[0]
    fits = store.find("`kestrel.kind`", "fit", last=100)
    assert {run.data.tags["mlflow.parentRunId"] for run in fits} == {parent.info.run_id}
    assert len(fits) == 2 * 4  # folds x models
    model = store.find("`kestrel.kind`", "model")[0]
    assert len(store.client.get_metric_history(model.info.run_id, "daily_rank_ic_5")) > 100
    assert parent.data.params["walk.every"] == "2"
    assert float(parent.data.params["model.lightgbm_rank.rounds"]) == 20
    assert {one.dataset.name: one.dataset.digest for one in parent.inputs.dataset_inputs}["bars"] == f"v{lake.version('bars')}"
    assert parent.data.metrics["system/seconds"] > 0
    account = store.find("`kestrel.model`", "ridge")[0]
    nav = pl.read_parquet(accounts / "ridge" / "nav.parquet")
    logged = store.client.get_metric_history(account.info.run_id, "nav")
    assert [point.value for point in logged] == nav["nav"].to_list()
    assert logged[0].step == (nav["date"][0] - date(1970, 1, 1)).days
    beside(config, desk, accounts, training, capsys)
    log_page(page_of(accounts), config)
    assert "report.html" in {file.path for file in store.client.list_artifacts(account.info.run_id)}
    assert save_view(store).startswith(f"#/experiments/{store.experiment}/runs")
    view = json.loads(store.client.get_experiment(store.experiment).tags[TAG + KEY])
    known = {*(f"tags.`{name}`" for name in account.data.tags), *(f"metrics.`{name}`" for name in account.data.metrics)}
    assert {name for name in view["selectedColumns"] if name.startswith(("tags", "metrics"))} <= known
    compare(config, last=20, as_json=True)
    rows = json.loads(capsys.readouterr().out)
    assert {row["model"] for row in rows} == set(config.train.models)
    assert all(row["rank_ic_5"] is not None for row in rows)
    written = report(lake, config)
    assert written.name == "report.html"
    assert written.stat().st_size > 1_000_000
    assert "<script src" not in written.read_text(encoding="utf-8")
    assert not list((desk / "runs").rglob("*.pkl"))
