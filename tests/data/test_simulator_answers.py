"""What models find in a market whose answer is known: nothing where nothing is planted, most of what is, never more than all of it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pydantic import BaseModel

from data.ingest import write_tables
from data.lake import Lake
from data.simulator import SimulationSettings, simulate
from data.simulator.oracle import BARS, CHEAT, recovered, standard_error
from models.blend import BlendSettings
from models.dataset import Dataset
from models.folds import Fold, folds
from models.ranker.settings import RankerSettings
from models.registry import KINDS, create
from models.trees import NAMES, TreeSettings
from models.walk import run, scores
from pipelines.build import build_factors
from pipelines.config import Config, parse
from pipelines.prepare import dataset_of

# exchange_calendars still reads Series.values of a zoned index, which pandas 3.1 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning an ndarray")

SMALL = {"stocks": 340, "members": 220, "years": 5, "end": date(2025, 12, 31)}
LARGE = {"stocks": 1200, "members": 500, "years": 10, "end": date(2025, 12, 31)}
QUICK_TREES = TreeSettings(leaves=16, rate=0.1, rounds=40, patience=10, threads=1)
TREES = TreeSettings(leaves=32, rate=0.1, rounds=200, patience=20, threads=1)
# The mean return over 5 sessions is everybody's, the median lower where volatility is higher, since gains compound: ranks see that much.
COMPOUNDED = 0.01
RANKER = RankerSettings(epochs=2, lookback=8, threads=1)


@dataclass(frozen=True)
class Studied:
    """A market as models see it, and what only its maker knows."""

    dataset: Dataset
    folds: tuple[Fold, ...]
    oracle: pl.DataFrame
    bars: pl.DataFrame


def studied(settings: SimulationSettings, folder: Path, *, train_years: int, every: int = 2) -> Studied:
    """Simulate, write the lake, build the factors, and make the dataset as `kestrel train` does."""
    market = simulate(settings)
    lake = Lake(folder / "lake")
    write_tables(lake, dict(market.tables), "raw", {})
    build_factors(lake)
    walk = {"train_years": train_years, "valid_years": 1, "refit_months": 12, "every": every}
    config: Config = parse({"lake": lake.uri, "walk": walk}, "the test's config")
    dataset = dataset_of(lake, config)
    found = folds(dataset.axes, config.walk, reach=config.labels.reach)
    return Studied(dataset, found, market.oracle, lake.read("bars", columns=list(BARS)))


def answers(market: Studied, models: Sequence[str], trees: TreeSettings = QUICK_TREES) -> dict[str, dict[str, object]]:
    """{model: its line of `recovered`} over all folds."""
    settings: dict[str, BaseModel] = {name: trees.model_copy(update={"label": label}) for label, name in NAMES.items()}
    settings |= {"ranker": RANKER, "blend": BlendSettings(members=("ridge", "five_factors", "lightgbm_rank"))}
    found = []
    for name in models:
        for fold in market.folds:
            score = run(market.dataset, fold, create(name, settings), seed=0)
            found.append(scores(score, market.dataset.axes, fold.test, name))
    rows = recovered(pl.concat(found), market.oracle, market.bars).to_dicts()
    for row in rows:  # pytest -s shows them
        print(" ".join(f"{name}={value:.4f}" if isinstance(value, float) else f"{name}={value}" for name, value in row.items()))
    return {row["model"]: row for row in rows}


def with_cheat(market: Studied, noise: float) -> Studied:
    """The market with one more factor: the label itself, under so many times its own deviation of noise."""
    y_DN = market.dataset.label(5)
    rng = np.random.default_rng(0)
    cheat = (y_DN + noise * np.nanstd(y_DN) * rng.standard_normal(y_DN.shape)).astype(np.float32)
    x_DNF = np.concatenate([market.dataset.x_DNF, cheat[..., None]], axis=2)
    return replace(market, dataset=replace(market.dataset, names=(*market.dataset.names, "cheat"), x_DNF=x_DNF))


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> Studied:
    return studied(SimulationSettings(**SMALL, alpha=("linear",)), tmp_path_factory.mktemp("linear"), train_years=2)


def test_ridge_recovers_most_of_linear_alpha(linear: Studied) -> None:
    found = answers(linear, ["ridge"])["ridge"]
    assert 0.7 < found["share_ic"] < 1.05
    assert found["share_ic_se"] < 0.1
    assert found["ic"] > 5 * found["ic_se"]
    assert found["verdict"] == ""


@pytest.mark.parametrize("noise", [0.0, 4.0])
def test_a_label_among_the_factors_is_more_than_can_be_known(linear: Studied, noise: float) -> None:
    found = answers(with_cheat(linear, noise), ["ridge"])["ridge"]
    assert found["ic"] > 1.5 * found["oracle_ic"]
    assert found["verdict"] == CHEAT


def test_the_oracle_recovers_all_of_itself(linear: Studied) -> None:
    itself = linear.oracle.select("date", "symbol", model=pl.lit("oracle"), score="expected")
    found = recovered(itself, linear.oracle, linear.bars).row(0, named=True)
    assert found["share_ic"] == found["share_rank_ic"] == 1
    assert found["share_ic_se"] == pytest.approx(0, abs=1e-12)
    assert found["verdict"] == ""


def finds_nothing(market: Studied, trees: TreeSettings, kinds: tuple[str, ...]) -> None:
    """These models score a market without alpha; their scores foretell no returns, and of their ranks no more than compounding shows."""
    found = answers(market, kinds, trees)
    assert set(found) == set(kinds)
    for name, row in found.items():
        assert abs(row["ic"]) < 3 * row["ic_se"], name
        assert abs(row["rank_ic"]) < 3 * row["rank_ic_se"] + COMPOUNDED, name
        assert row["oracle_ic"] == 0
        assert np.isnan(row["share_ic"])
        assert row["verdict"] == ""


@pytest.mark.slow
def test_no_model_finds_what_is_not_there(tmp_path: Path) -> None:
    market = studied(SimulationSettings(**SMALL, alpha=()), tmp_path, train_years=2, every=5)
    finds_nothing(market, QUICK_TREES, ("five_factors", "ridge", "lightgbm_rank"))


def test_a_cheat_is_flagged_where_nothing_is_planted() -> None:
    market = simulate(SimulationSettings(stocks=60, members=30, years=1, alpha="none"))
    bars = market.tables["bars"]
    price = pl.col("open") * pl.col("adj")
    future = bars.sort("symbol", "date").with_columns((price.shift(-6) / price.shift(-1) - 1).over("symbol").alias("score"))
    cheat = future.drop_nulls("score").select("date", "symbol", "score", model=pl.lit("cheat"))
    assert recovered(cheat, market.oracle, bars)["verdict"].to_list() == [CHEAT]


def test_the_standard_error_counts_the_overlap_of_windows() -> None:
    rng = np.random.default_rng(4)
    means, errors = [], []
    for _ in range(300):
        daily = np.convolve(rng.standard_normal(804), np.ones(5), mode="valid")
        means.append(daily.mean())
        errors.append(standard_error(daily, 20))
    assert np.mean(errors) / np.std(means) == pytest.approx(1.0, abs=0.1)


@pytest.mark.slow
def test_ridge_recovers_four_fifths_of_linear_alpha(tmp_path: Path) -> None:
    market = studied(SimulationSettings(**LARGE, alpha=("linear",)), tmp_path, train_years=4)
    found = answers(market, ["ridge"])["ridge"]
    assert 0.8 <= found["share_ic"] <= 1.05, found
    assert found["verdict"] == ""
    caught = answers(with_cheat(market, 4.0), ["ridge"])["ridge"]
    assert caught["verdict"] == CHEAT, caught


@pytest.mark.slow
def test_no_kind_of_model_finds_what_is_not_there(tmp_path: Path) -> None:
    finds_nothing(studied(SimulationSettings(**SMALL, alpha=()), tmp_path, train_years=2, every=5), QUICK_TREES, tuple(KINDS))


@pytest.mark.slow
def test_no_model_finds_what_is_not_there_in_ten_years(tmp_path: Path) -> None:
    finds_nothing(studied(SimulationSettings(**LARGE, alpha=()), tmp_path, train_years=4), TREES, tuple(KINDS))


WHOLE = """
import hashlib, json, resource, warnings
warnings.simplefilter("ignore")
from data.simulator import SimulationSettings, simulate
market = simulate(SimulationSettings(stocks=5000, years=10))
sums, heights = {}, {}
for name in [*market.tables, "oracle"]:
    frame = market.oracle if name == "oracle" else market.tables[name]
    heights[name] = frame.height
    sums[name] = hashlib.sha256(frame.hash_rows(seed=1).to_numpy().tobytes()).hexdigest()
    del frame
print(json.dumps({"sums": sums, "heights": heights, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
"""


@pytest.mark.slow
def test_the_whole_market_fits_into_8_gb_and_is_the_same_in_every_process() -> None:
    """5,000 stocks over 10 years, twice; how long it takes stands in docs/simulator.md."""
    first, second = (json.loads(subprocess.run([sys.executable, "-c", WHOLE], check=True, capture_output=True, text=True).stdout) for _ in range(2))
    assert first["sums"] == second["sums"]
    assert first["heights"]["bars"] > 8_000_000
    assert first["peak"] < 8e9
