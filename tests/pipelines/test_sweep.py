import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from backtest.strategies import TopkDropout
from backtest.sweep import SweepSettings
from data.errors import KestrelError
from data.lake import Lake, open_lake
from pipelines.config import Config
from pipelines.diary import log_sweep
from pipelines.experiments import Experiments
from pipelines.ledger import Ledger
from pipelines.portfolio import Ground, trade
from pipelines.sweep import run_sweep, top
from pipelines.trade import Source, figures

ConfigIn = Callable[[Path], Config]
GRID = SweepSettings(k=(5, 10), buffer=(2.0,), every=(1, 5), blocks=4)


def drawn(lake: Lake, sessions: int = 40) -> Source:
    bars = lake.read("bars", columns=["date", "symbol"])
    bars = bars.filter(pl.col("date") >= bars["date"].unique().sort()[-sessions]).sort("date", "symbol")
    scores = bars.with_columns(pl.Series("score", np.random.default_rng(5).normal(size=bars.height)), pl.lit("drawn").alias("model"))
    return Source(scores, "drawn", "drawn", None)


def test_sweep_holds_the_accounts_that_backtests_give_and_is_done_once(desk: Path, config_in: ConfigIn) -> None:
    lake, config = open_lake(desk / "lake"), config_in(desk).model_copy(update={"sweep": GRID})
    source = drawn(lake)
    folder, done = run_sweep(lake, config, source)
    assert done
    frame = pl.read_parquet(folder / "sweep.parquet")
    ground = Ground.of(lake, config)
    result = trade(source.scores, ground).result  # 10 names, a buffer of 20, every 5 sessions
    own = frame.filter(pl.col("k") == 10, pl.col("every") == 5).row(0, named=True)
    found = figures(result, ground)
    assert {name: own[name] for name in own if name in found} == {name: found[name] for name in own if name in found}
    assert pl.read_parquet(folder / "excess.parquet").shape == (len(result.dates), 1 + 4)
    assert json.loads((folder / "sweep.json").read_text(encoding="utf-8"))["span"] == [str(result.dates[0]), str(result.dates[-1])]
    assert (folder / "sweep.html").is_file()
    again, done = run_sweep(lake, config, source)
    assert (again, done) == (folder, False)
    rows, words = top(folder, 2)
    assert [row["information_ratio"] for row in rows] == sorted(frame["information_ratio"], reverse=True)[:2]
    assert "deflated Sharpe" in words


def test_a_sweep_is_logged_with_a_child_a_configuration(desk: Path, config_in: ConfigIn) -> None:
    lake, config = open_lake(desk / "lake"), config_in(desk).model_copy(update={"sweep": GRID})
    folder, _ = run_sweep(lake, config, drawn(lake))
    log_sweep(folder, config)
    store = Experiments(desk / "runs")
    (parent,), children = store.find("`kestrel.kind`", "sweep"), store.find("`kestrel.kind`", "configuration", last=10)
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    frame = pl.read_parquet(folder / "sweep.parquet")
    found = {(run.data.params["sweep.k"], run.data.params["sweep.every"]): run.data.metrics["information_ratio"] for run in children}
    assert found == {(str(k), str(every)): ratio for k, every, ratio in frame.select("k", "every", "information_ratio").iter_rows()}
    assert parent.data.metrics["best.information_ratio"] == frame["information_ratio"].max()
    assert {"sweep.html", "sweep.parquet"} <= {file.path for file in store.client.list_artifacts(parent.info.run_id)}


def test_every_configuration_is_a_look_at_its_dates(desk: Path, config_in: ConfigIn) -> None:
    lake, config = open_lake(desk / "lake"), config_in(desk).model_copy(update={"sweep": GRID})
    source = drawn(lake, 30)
    dates = source.scores["date"].unique().sort()
    ledger = Ledger(Path(config.runs) / "ledger.db") if Path(config.runs).is_dir() else None
    before = ledger.count(dates[0], dates[-1]) if ledger else 0
    run_sweep(lake, config, source)
    assert Ledger(Path(config.runs) / "ledger.db").count(dates[0], dates[-1]) == before + 4


def test_sweep_says_what_it_cannot_vary_or_find(desk: Path, config_in: ConfigIn) -> None:
    lake, config = open_lake(desk / "lake"), config_in(desk).model_copy(update={"sweep": GRID})
    source = drawn(lake, 30)
    with pytest.raises(KestrelError, match=r"has no scores of 'other'\. It has: drawn"):
        run_sweep(lake, config, source, model="other")
    dropout = config.model_copy(update={"backtest": config.backtest.model_copy(update={"strategy": TopkDropout()})})
    with pytest.raises(KestrelError, match="a sweep varies topk_buffer"):
        run_sweep(lake, dropout, source)
    first = source.scores["date"].min()
    ended = config.model_copy(update={"backtest": config.backtest.model_copy(update={"end": first})})
    with pytest.raises(KestrelError, match="The scores can be traded from"):
        run_sweep(lake, ended, source)
