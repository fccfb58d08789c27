"""The whole chain: what comes later changes nothing earlier, the same twice is the same, and twice is once."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TypeVar

import polars as pl
import pytest

from data.history import as_of
from data.lake import Lake, open_lake
from factors.prove import poisoned
from pipelines.config import Config
from pipelines.runs import DONE, read_json
from pipelines.signal import signal
from pipelines.trade import Source, backtest, trained_scores
from pipelines.train import train

Tables = dict[str, pl.DataFrame]
LakeIn = Callable[[Path, Tables], Lake]
ConfigIn = Callable[[Path], Config]
T = TypeVar("T")
Publish = Callable[[Path, Tables], dict[str, bytes]]


@pytest.fixture(scope="session")
def publish(lake_in: LakeIn, config_in: ConfigIn, day: date) -> Publish:
    """From tables to the bytes of the signal of `day`, by a training of its own."""

    def run(folder: Path, tables: Tables) -> dict[str, bytes]:
        lake, config = lake_in(folder, tables), config_in(folder)
        train(lake, config)
        found, _ = signal(lake, config, day=day, model="blend")
        return {name: (found / name).read_bytes() for name in ("orders.csv", "scores.csv")}

    return run


@pytest.fixture(scope="session")
def day(tables: Tables) -> date:
    """A session in the middle of the second fold's test period."""
    days = tables["bars"]["date"].unique().sort()
    return days[-60]


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, tables: Tables, publish: Publish) -> dict[str, bytes]:
    return publish(tmp_path_factory.mktemp("whole"), tables)


def test_cutting_all_tables_after_a_day_leaves_its_signal_byte_identical(
    tmp_path: Path, whole: dict[str, bytes], tables: Tables, publish: Publish, day: date
) -> None:
    assert publish(tmp_path, as_of(tables, day)) == whole


def test_poisoning_all_tables_after_a_day_leaves_its_signal_byte_identical(
    tmp_path: Path, whole: dict[str, bytes], tables: Tables, publish: Publish, day: date
) -> None:
    assert publish(tmp_path, poisoned(tables, day)) == whole


def test_poison_before_the_day_does_change_its_signal(tmp_path: Path, whole: dict[str, bytes], tables: Tables, publish: Publish) -> None:
    days = tables["bars"]["date"].unique().sort()
    assert publish(tmp_path, poisoned(tables, days[-120])) != whole


def test_the_same_run_twice_gives_the_same_scores_trades_and_orders(
    tmp_path: Path, tables: Tables, lake_in: LakeIn, config_in: ConfigIn, day: date
) -> None:
    files = []
    for name in ("one", "two"):
        folder = tmp_path / name
        lake, config = lake_in(folder, tables), config_in(folder)
        training, _ = train(lake, config)
        accounts, _ = backtest(lake, config, trained_scores(folder / "runs"))
        orders, _ = signal(lake, config, day=day)
        account = accounts / "blend"
        paths = [training / "scores.parquet", account / "trades.parquet", account / "nav.parquet", orders / "orders.csv", orders / "scores.csv"]
        files.append([path.read_bytes() for path in paths])
    assert files[0] == files[1]


def test_a_second_run_of_anything_does_nothing(desk: Path, config_in: ConfigIn) -> None:
    lake, config = open_lake(desk / "lake"), config_in(desk)
    assert train(lake, config)[1]
    assert not train(lake, config)[1]
    source = trained_scores(desk / "runs")
    assert backtest(lake, config, source)[1]
    assert not backtest(lake, config, source)[1]
    assert signal(lake, config)[1]
    assert not signal(lake, config)[1]


def test_an_interrupted_training_goes_on_where_it_stopped(desk: Path, config_in: ConfigIn) -> None:
    lake, config = open_lake(desk / "lake"), config_in(desk)
    folder, _ = train(lake, config)
    whole = (folder / "scores.parquet").read_bytes()
    (folder / "results.json").unlink()
    homes = sorted((desk / "runs" / "fits").iterdir())
    for home in homes[3:]:
        (home / "fit.json").unlink()
        shutil.rmtree(home / "model")
    kept = {path: path.stat().st_mtime_ns for home in homes[:3] for path in home.rglob("*")}
    again, did = train(lake, config)
    assert did
    assert again == folder
    assert (folder / "scores.parquet").read_bytes() == whole
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert all((home / "model" / "model.json").is_file() for home in homes)


@pytest.mark.slow
def test_a_ranker_killed_between_epochs_goes_on_to_the_same_scores(desk: Path, config_in: ConfigIn) -> None:
    class Killed(Exception):
        pass

    def dies_in_the_second_epoch(items: Sequence[T], label: str) -> Iterator[T]:
        if "epoch 2" in label:
            raise Killed
        yield from items

    tiny = {"lookback": 3, "width": 8, "time_inner": 8, "experts": 2, "active": 1, "expert_width": 8, "epochs": 3}
    changes = {"train": config_in(desk).train.model_copy(update={"models": ("ranker",)}), "model": {"ranker": tiny}}
    config = config_in(desk).model_copy(update=changes)
    whole, _ = train(open_lake(desk / "lake"), config)
    scores = (whole / "scores.parquet").read_bytes()
    shutil.rmtree(desk / "runs")
    with pytest.raises(Killed):
        train(open_lake(desk / "lake"), config, track=dies_in_the_second_epoch)
    assert len(list(desk.glob("runs/fits/*/checkpoints/epoch-0001"))) == 1
    labels: list[str] = []

    def noted(items: Sequence[T], label: str) -> Iterator[T]:
        labels.append(label)
        yield from items

    train(open_lake(desk / "lake"), config, track=noted)
    folds = len(read_json(whole / "folds.json"))
    assert sum("epoch 1" in label for label in labels) == folds - 1
    assert (whole / "scores.parquet").read_bytes() == scores
    assert not list(desk.glob("runs/fits/*/checkpoints"))


def test_models_learn_and_are_chosen_by_the_horizon_asked_for(desk: Path, config_in: ConfigIn) -> None:
    base = config_in(desk)
    config = base.model_copy(update={"train": base.train.model_copy(update={"horizon": 1})})
    assert {one.horizon for one in config.model_settings().values() if hasattr(one, "horizon")} == {1}
    one, _ = train(open_lake(desk / "lake"), config)
    five, _ = train(open_lake(desk / "lake"), base)
    assert one != five
    rows = [row for row in read_json(one / DONE)["models"] if row["horizon"] == 1]
    assert read_json(one / DONE)["chosen"] == max(rows, key=lambda row: row["valid_rank_ic"])["model"]
    ridge = [pl.read_parquet(folder / "scores.parquet").filter(pl.col("model") == "ridge")["score"].to_list() for folder in (one, five)]
    assert ridge[0] != ridge[1]


def test_seeds_are_traded_each_by_itself(desk: Path, config_in: ConfigIn) -> None:
    base = config_in(desk)
    config = base.model_copy(update={"train": base.train.model_copy(update={"models": ("ridge", "lightgbm_rank"), "seeds": (0, 1)})})
    lake = open_lake(desk / "lake")
    train(lake, config)
    source = trained_scores(desk / "runs")
    accounts, _ = backtest(lake, config, source)
    trees, ridge = sorted(read_json(accounts / DONE)["models"], key=lambda row: row["model"])
    assert "excess_geometric_sd" not in ridge  # no chance in it, so one seed
    assert source.seeds is not None
    alone = []
    for seed in (0, 1):
        own = source.seeds.filter(pl.col("seed") == seed).select("date", "symbol", "model", "score")
        folder, _ = backtest(lake, config, Source(own, f"seed-{seed}", f"seed-{seed}", None))
        alone.append(read_json(folder / DONE)["models"][0]["excess_geometric"])
    assert trees["excess_geometric_seeds"] == pytest.approx(sum(alone) / 2)
    assert trees["excess_geometric_sd"] == pytest.approx(abs(alone[0] - alone[1]) / 2**0.5)
    assert trees["excess_geometric_sd"] > 0


def test_the_signal_of_a_day_holds_the_scores_that_the_backtest_traded(desk: Path, config_in: ConfigIn, day: date) -> None:
    lake, config = open_lake(desk / "lake"), config_in(desk)
    training, _ = train(lake, config)
    folder, _ = signal(lake, config, day=day, model="ridge")
    traded = pl.read_parquet(training / "scores.parquet").filter(pl.col("date") == day, pl.col("model") == "ridge").sort("rank")
    signalled = pl.read_csv(folder / "scores.csv")
    assert signalled["symbol"].to_list() == traded["symbol"].to_list()
    assert signalled["score"].to_list() == pytest.approx(traded["score"].to_list(), abs=1e-6)
