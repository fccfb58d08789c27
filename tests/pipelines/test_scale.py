"""Work in processes and on a cluster of three nodes: the bytes of one process, whatever dies meanwhile."""

import importlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest

from backtest.sweep import SweepSettings
from data.errors import KestrelError
from data.lake import Lake, open_lake
from pipelines.build import build_factors
from pipelines.config import Config
from pipelines.fits import NAMED
from pipelines.runs import read_json
from pipelines.scale import TRIES, ScaleSettings, spread
from pipelines.sweep import run_sweep
from pipelines.trade import Source
from pipelines.train import train

ConfigIn = Callable[[Path], Config]
ROOT = Path(__file__).parents[2]
MODELS = ("five_factors", "ridge", "lightgbm_rank", "blend")
TWO = ScaleSettings(on="processes", workers=2)

# What other processes import: each begins by leaving its process id in the folder, so that what ran, how often and where is known.
LABOUR = '''
import os, signal, time
from pathlib import Path
from data.errors import KestrelError

def noted(item):
    folder, n = item
    mark = Path(folder) / f"{n}-{time.monotonic_ns()}-{os.getpid()}"
    mark.touch()
    return n, len(list(Path(folder).glob(f"{n}-*")))

def square(item):
    return noted(item)[0] ** 2

def dies_once(item):
    n, times = noted(item)
    if n == 3 and times == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return n * n

def dies(item):
    n, _ = noted(item)
    if n == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return n * n

def raises(item):
    n, _ = noted(item)
    if n == 3:
        raise KestrelError("3 can't be squared. Leave it out.")
    return n * n

def waits(item):
    """The first time until it is killed: by whom is the test's affair."""
    n, times = noted(item)
    if n == 3 and times == 1:
        time.sleep(600)
    return n * n
'''


@pytest.fixture
def labour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "labour.py").write_text(LABOUR)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "code"), str(ROOT)]))  # for nodes that start from now on
    yield importlib.import_module("labour")
    del sys.modules["labour"]


@pytest.fixture
def items(tmp_path: Path) -> list[tuple[str, int]]:
    (tmp_path / "marks").mkdir()
    return [(str(tmp_path / "marks"), n) for n in range(8)]


def times(items: list[tuple[str, int]], n: int) -> int:
    """How often the piece was begun."""
    return len(list(Path(items[0][0]).glob(f"{n}-*")))


def test_results_come_in_the_order_of_the_items_and_one_process_begins_nothing_early(labour: ModuleType, items: list[tuple[str, int]]) -> None:
    found = spread(labour.square, items, ScaleSettings())
    assert times(items, 0) == 0
    assert next(iter(found)) == 0
    assert times(items, 1) == 0
    assert list(found) == [n * n for n in range(1, 8)]


def test_a_process_that_is_killed_costs_time_alone(labour: ModuleType, items: list[tuple[str, int]]) -> None:
    assert list(spread(labour.dies_once, items, TWO)) == [n * n for n in range(8)]
    assert times(items, 3) == 2
    assert all(times(items, n) <= 2 for n in range(8))


def test_a_piece_that_kills_every_process_is_given_up_with_advice(labour: ModuleType, items: list[tuple[str, int]]) -> None:
    found = spread(labour.dies, items, TWO)
    with pytest.raises(KestrelError, match=f"died {TRIES} times over the same piece.*lower scale.workers"):
        list(found)
    assert times(items, 3) <= TRIES


def test_a_piece_that_raises_is_not_tried_again_and_what_waits_behind_it_is_not_begun(labour: ModuleType, items: list[tuple[str, int]]) -> None:
    items += [(items[0][0], n) for n in range(8, 100)]
    with pytest.raises(KestrelError, match=r"^3 can't be squared\. Leave it out\.$"):
        list(spread(labour.raises, items, TWO, ahead=len(items)))
    assert times(items, 3) == 1
    assert times(items, 99) == 0


def drawn(lake: Lake) -> Source:
    bars = lake.read("bars", columns=["date", "symbol"])
    bars = bars.filter(pl.col("date") >= bars["date"].unique().sort()[-30]).sort("date", "symbol")
    scores = bars.with_columns(pl.Series("score", np.random.default_rng(5).normal(size=bars.height)), pl.lit("drawn").alias("model"))
    return Source(scores, "drawn", "drawn", None)


def swept(desk: Path, config: Config) -> dict[str, bytes]:
    """The files of a sweep of six configurations."""
    lake = open_lake(desk / "lake")
    folder, _ = run_sweep(lake, config.model_copy(update={"sweep": SweepSettings(k=(5, 8, 10), buffer=(2.0,), every=(1, 5), blocks=4)}), drawn(lake))
    return {name: (folder / name).read_bytes() for name in ("sweep.parquet", "excess.parquet", "results.json")}


def on(config: Config, scale: ScaleSettings) -> Config:
    """The config somewhere else, with runs of its own."""
    return config.model_copy(update={"scale": scale, "runs": f"{config.runs}-{scale.on}"})


def test_processes_sweep_to_the_bytes_of_one(desk: Path, config_in: ConfigIn) -> None:
    config = config_in(desk)
    assert swept(desk, on(config, TWO)) == swept(desk, config)


# -- a cluster


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Three nodes on this machine, one core each."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        for _ in range(2):
            found.add_node(num_cpus=1)
        found.wait_for_nodes()
        yield found
    finally:
        found.shutdown()


def test_a_folder_without_ray_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(KestrelError, match=r"Install kestrel\[ray\]"):
        list(spread(abs, [1], ScaleSettings(on="ray")))


def cut_short(items: list[tuple[str, int]], n: int, cut: Callable[[int], None]) -> threading.Thread:
    """A thread that waits until the piece has begun, and then does `cut` to its process."""

    def wait() -> None:
        while not (found := list(Path(items[0][0]).glob(f"{n}-*"))):
            time.sleep(0.1)
        cut(int(found[0].name.rsplit("-", 1)[1]))

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.mark.slow
def test_a_worker_of_a_cluster_that_is_killed_and_a_node_that_goes_cost_time_alone(
    labour: ModuleType, cluster: Any, items: list[tuple[str, int]], tmp_path: Path
) -> None:
    scale = ScaleSettings(on="ray", address=cluster.address, workers=3)
    killer = cut_short(items, 3, lambda process: os.kill(process, signal.SIGKILL))
    assert list(spread(labour.waits, items, scale)) == [n * n for n in range(8)]
    killer.join()
    assert times(items, 3) == 2
    with pytest.raises(KestrelError, match=r"^3 can't be squared\. Leave it out\.$"):
        list(spread(labour.raises, [(str(tmp_path), n) for n in range(8)], scale))
    assert len(list(tmp_path.glob("3-*"))) == 1
    (tmp_path / "again").mkdir()
    others = [(str(tmp_path / "again"), n) for n in range(8)]
    leaver = cut_short(others, 3, lambda process: cluster.remove_node(node_of(cluster, process)))
    assert list(spread(labour.waits, others, scale)) == [n * n for n in range(8)]
    leaver.join()
    with pytest.raises(KestrelError, match=f"Ray gave up after {TRIES} tries"):
        list(spread(labour.dies, [(items[0][0], 3)], scale))


def parents(process: int) -> Iterator[int]:
    """The process and those that it descends from."""
    while process > 1:
        yield process
        process = int(Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[1])


def node_of(cluster: Any, process: int) -> Any:
    """The node whose raylet the process descends from, other than the head where that is the one."""
    line = set(parents(process))
    for node in cluster.worker_nodes:
        if any(one.process.pid in line for one in node.all_processes.get("raylet", [])):
            return node
    return next(iter(cluster.worker_nodes))


def made(desk: Path, config: Config) -> dict[str, Any]:
    """What a build of the factor table, a training and a sweep leave."""
    lake = Lake(desk / "lake")
    build_factors(lake, config)
    folder, _ = train(lake, config)
    files = {str(path.relative_to(config.runs)): path.read_bytes() for path in sorted(Path(config.runs).glob("fits/*/model/**/*")) if path.is_file()}
    files |= {
        f"scores {entry['fit']}": (Path(config.runs) / "fits" / entry["fit"] / entry["scores"]).read_bytes() for entry in read_json(folder / NAMED)
    }
    return {**files, "scores": (folder / "scores.parquet").read_bytes(), "factors": lake.read("factors"), **swept(desk, config)}


@pytest.mark.slow
def test_factors_fits_and_a_sweep_have_the_same_bytes_here_in_processes_and_on_a_cluster_that_loses_workers(
    cluster: Any, prepared: Path, tmp_path: Path, config_in: ConfigIn
) -> None:
    def desk(scale: ScaleSettings) -> tuple[Path, Config]:
        folder = tmp_path / scale.on
        shutil.copytree(prepared / "lake", folder / "lake")
        Lake(folder / "lake").state({"factors": ""})  # so that the table is built anew
        config = config_in(folder).model_copy(update={"scale": scale})
        return folder, config.model_copy(update={"train": config.train.model_copy(update={"models": MODELS, "seeds": (0, 1)})})

    here = made(*desk(ScaleSettings()))
    assert len(here) > 20
    same(made(*desk(TWO)), here)
    with killing() as killed:
        same(made(*desk(ScaleSettings(on="ray", address=cluster.address, workers=3))), here)
    assert killed


def same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].equals(value) if isinstance(value, pl.DataFrame) else found[name] == value, name


@contextmanager
def killing() -> Iterator[list[int]]:
    """Kills the first worker that is found at work, and another one half a minute later."""
    done, killed = threading.Event(), list[int]()

    def watch() -> None:
        while not done.wait(0.05) and len(killed) < 2:
            for place in Path("/proc").glob("[0-9]*"):
                try:
                    line, ours = (place / "cmdline").read_bytes(), os.getpid() in parents(int(place.name))
                except (OSError, IndexError):
                    continue
                if line.startswith(b"ray::_at_home") and ours:
                    os.kill(int(place.name), signal.SIGKILL)
                    killed.append(int(place.name))
                    done.wait(30)
                    break

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield killed
    finally:
        done.set()
        thread.join()
