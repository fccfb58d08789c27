import json
from collections.abc import Callable
from pathlib import Path

import pytest

from data.lake import open_lake
from pipelines.compare import compare, differences
from pipelines.config import Config
from pipelines.experiments import Experiments, flattened
from pipelines.present import log_backtest, log_training
from pipelines.report import report
from pipelines.trade import backtest, trained_scores
from pipelines.train import train

ConfigIn = Callable[[Path], Config]


def test_nested_settings_become_dotted_parameters() -> None:
    assert flattened({"walk": {"every": 2, "purge": 6}, "lake": "lake"}) == {"walk.every": 2, "walk.purge": 6, "lake": "lake"}


def test_differences_are_the_settings_that_are_not_the_same() -> None:
    rows = differences({"a": {"k": "50", "every": "5"}, "b": {"k": "30", "every": "5"}})
    assert rows == [{"setting": "k", "a": "50", "b": "30"}]


def test_runs_are_logged_as_parents_and_children_compared_and_reported(desk: Path, config_in: ConfigIn, capsys: pytest.CaptureFixture[str]) -> None:
    lake, config = open_lake(desk / "lake"), config_in(desk)
    training, _ = train(lake, config)
    log_training(training, config)
    source = trained_scores(desk / "runs")
    accounts, _ = backtest(lake, config, source)
    log_backtest(accounts, config, source)
    store = Experiments(desk / "runs", None)
    parent = store.find("`kestrel.kind`", "train")[0]
    fits = store.find("`kestrel.kind`", "fit", last=100)
    assert {run.data.tags["mlflow.parentRunId"] for run in fits} == {parent.info.run_id}
    assert len(fits) == 2 * 4  # folds x models
    model = store.find("`kestrel.kind`", "model")[0]
    assert len(store.client.get_metric_history(model.info.run_id, "daily_rank_ic_5")) > 100
    compare(config, last=20, as_json=True)
    rows = json.loads(capsys.readouterr().out)
    assert {row["model"] for row in rows} == set(config.train.models)
    assert all(row["rank_ic_5"] is not None for row in rows)
    page = report(lake, config)
    assert page.name == "report.html"
    assert page.stat().st_size > 1_000_000
    assert "<script src" not in page.read_text(encoding="utf-8")
    assert not list((desk / "runs").rglob("*.pkl"))
