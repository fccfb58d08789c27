"""A small simulated market, prepared once: 90 stocks, 4 years, factors built."""

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data.ingest import write_tables
from data.lake import Lake
from data.simulator import SimulationSettings, simulate
from data.tables import TABLES
from pipelines.build import build_factors
from pipelines.config import Config, parse
from pipelines.train import train

Tables = dict[str, pl.DataFrame]
LEARNT = ["earnings_yield", "book_to_price", "roe", "momentum_12_1", "reversal_5", "reversal_20", "log_float_cap", "turnover_abnormal", "max_20"]
LEARNT += ["volatility_20", "turnover_20", "amihud_20"]  # of all the factors that are built, what models learn from here
SETTINGS = SimulationSettings(stocks=90, members=50, years=4, seed=5)


@pytest.fixture(scope="session")
def tables() -> Tables:
    return {name: frame for name, frame in simulate(SETTINGS).tables.items() if name in TABLES}


@pytest.fixture(scope="session")
def config_in() -> Callable[[Path], Config]:
    """A config whose lake, runs and signals lie in a folder."""
    return _config_in


@pytest.fixture(scope="session")
def lake_in() -> Callable[[Path, Tables], Lake]:
    """A lake of these tables in a folder, factors built."""
    return _lake_in


def _config_in(folder: Path) -> Config:
    raw = {
        "lake": str(folder / "lake"),
        "runs": str(folder / "runs"),
        "signals": str(folder / "signals"),
        "walk": {"first": date(2025, 8, 1), "train_years": 1, "valid_years": 1, "refit_months": 6, "every": 2},
        "factors": {"names": LEARNT},
        "train": {"models": ["five_factors", "ridge", "lightgbm_rank", "blend"]},
        "model": {"lightgbm_rank": {"leaves": 8, "rounds": 20, "leaf_rows": 50, "threads": 1}},
        "backtest": {"strategy": {"kind": "topk_buffer", "k": 10, "buffer": 20}},
    }
    return parse(raw, "the test's config")


def _lake_in(folder: Path, tables: Tables) -> Lake:
    lake = Lake(folder / "lake")
    write_tables(lake, tables, "raw", {})
    build_factors(lake)
    return lake


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, tables: Tables) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    _lake_in(folder, tables)
    return folder


@pytest.fixture
def desk(prepared: Path, tmp_path: Path) -> Path:
    """A folder of its own with the prepared lake in it."""
    shutil.copytree(prepared / "lake", tmp_path / "lake")
    return tmp_path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Path:
    """A folder with the prepared lake and a training of two quick models."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(prepared / "lake", folder / "lake")
    train(Lake(folder / "lake"), _office_in(folder))
    return folder


@pytest.fixture
def office(trained: Path, tmp_path: Path) -> Path:
    """A folder of its own with the lake and the training in it."""
    for name in ("lake", "runs"):
        shutil.copytree(trained / name, tmp_path / name)
    return tmp_path


@pytest.fixture(scope="session")
def office_in() -> Callable[..., Config]:
    """The config of an office in a folder: the paper account of ridge, with changes by dotted path."""
    return _office_in


def _office_in(folder: Path, **changes: Any) -> Config:
    raw = _config_in(folder).model_dump(mode="json")
    raw["train"]["models"] = ["five_factors", "ridge"]
    raw["batch"]["book"] = "paper"
    raw["backtest"]["strategy"] = {"kind": "topk_buffer", "k": 10, "buffer": 20, "every": 2}
    for path, value in changes.items():
        *parents, leaf = path.split("__")
        section = raw
        for parent in parents:
            section = section[parent]
        section[leaf] = value
    return Config.model_validate_json(json.dumps(raw, default=str))
