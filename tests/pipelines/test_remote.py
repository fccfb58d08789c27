"""Beyond one folder and one process: the chain on an object store, and a training that torchrun starts in two processes."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.ingest import write_tables
from data.lake import Lake, open_lake
from pipelines.build import build_factors
from pipelines.config import Config, load
from pipelines.experiments import Experiments
from pipelines.runs import latest
from pipelines.scale import ScaleSettings
from pipelines.signal import signal
from pipelines.trade import backtest, trained_scores
from pipelines.train import train

ConfigIn = Callable[[Path], Config]
TWO = """
[walk]
first = 2025-08-01
train_years = 1
valid_years = 1
refit_months = 6
every = 2

[factors]
names = NAMES

[train]
models = ["ridge", "ranker"]

[model.ranker]
lookback = 3
width = 8
time_inner = 8
experts = 2
active = 1
expert_width = 8
dropout = 0.0
epochs = 2
"""


def desk_files(lake: Lake, config: Config) -> dict[str, bytes]:
    """What a training, its backtest and the signal of the last session leave."""
    training, _ = train(lake, config)
    accounts, _ = backtest(lake, config, trained_scores(Path(config.runs)))
    orders, _ = signal(lake, config)
    account = accounts / "ridge"
    files = [training / "scores.parquet", account / "trades.parquet", account / "nav.parquet", orders / "orders.csv", orders / "scores.csv"]
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.slow
def test_the_chain_on_an_object_store_gives_the_bytes_of_a_folder(
    remote: str, desk: Path, tables: dict[str, pl.DataFrame], config_in: ConfigIn
) -> None:
    here, there = open_lake(desk / "lake"), Lake(remote)
    write_tables(there, tables, "raw", {})
    base = config_in(desk)
    config = base.model_copy(update={"train": base.train.model_copy(update={"models": ("five_factors", "ridge")})})
    expected = desk_files(here, config)
    afar = config.model_copy(update={"lake": remote, "runs": str(desk / "afar" / "runs"), "signals": str(desk / "afar" / "signals")})
    build_factors(there, afar.model_copy(update={"scale": ScaleSettings(on="processes", workers=2)}))
    assert there.read("factors").equals(here.read("factors"))
    assert desk_files(open_lake(remote), afar) == expected


@pytest.mark.slow
def test_torchrun_trains_the_ranker_in_two_processes_and_all_else_in_one(desk: Path, config_in: ConfigIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    Path("two.toml").write_text(TWO.replace("NAMES", json.dumps(config_in(desk).factors.names)))
    alone, _ = train(open_lake("lake"), load(Path("two.toml")))
    one = pl.read_parquet(alone / "scores.parquet").sort("model", "date", "symbol")
    shutil.rmtree("runs")
    command = ["torchrun", "--nproc-per-node=2", "--no-python", "kestrel", "train", "-c", "two.toml"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(command, check=True, env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"})
    two = pl.read_parquet(latest(Path("runs"), "train") / "scores.parquet").sort("model", "date", "symbol")
    assert two.filter(model="ridge").equals(one.filter(model="ridge"))
    each = [frame.filter(model="ranker") for frame in (one, two)]
    assert each[0].select("date", "symbol").equals(each[1].select("date", "symbol"))
    assert np.corrcoef(each[0]["score"], each[1]["score"])[0, 1] > 0.999  # sums in another order, over two epochs
    assert len(Experiments(Path("runs")).find("`kestrel.kind`", "train")) == 1
