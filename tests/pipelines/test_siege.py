"""The slow proofs of the batch: a year of evenings with faults, hundreds of kills, cold processes.  KESTREL_SIEGE sets how many of each."""

import hashlib
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.ingest import write_tables
from data.lake import Lake, open_lake
from data.simulator import SimulationSettings, simulate
from data.tables import TABLES
from pipelines import paper
from pipelines.batch.journal import FILE, Journal
from pipelines.build import build_factors
from pipelines.config import Config
from pipelines.portfolio import Ground, trade
from pipelines.publication import published
from pipelines.signal import ground_of
from pipelines.trade import trained_scores
from pipelines.train import train

OfficeIn = Callable[..., Config]
HERE = Path(__file__).parent
PART = float(os.environ.get("KESTREL_SIEGE", "1"))  # of the whole siege
SESSIONS, KILLS, COLD = round(250 * PART), round(500 * PART), max(round(10 * PART), 1)
MARKET = SimulationSettings(stocks=100, members=55, years=4, seed=11)
DAILY = ("bars", "caps", "index_bars", "futures_bars")
WALK = {"walk__first": date(2025, 6, 1), "walk__refit_months": 8, "batch__fetch": True, "batch__news": "ignore"}

pytestmark = pytest.mark.slow


def build(folder: Path, office_in: OfficeIn) -> None:
    """A vendor with every table, the lake of all of it with a training, and one that ends before the siege begins."""
    (folder / "vendor").mkdir()
    tables = {name: frame for name, frame in simulate(MARKET).tables.items() if name in TABLES and name not in ("news", "news_scores")}
    for name, frame in tables.items():
        frame.write_parquet(folder / "vendor" / f"{name}.parquet")
    write_tables(Lake(folder / "whole"), tables, "raw", {})
    build_factors(Lake(folder / "whole"))
    train(Lake(folder / "whole"), office_in(folder, **WALK))
    first = sessions_of(folder)[0]
    # What is announced ahead is in the lake from the start; a session's rows come with the session.
    begun = {name: tables[name].filter(pl.col("date") < first) for name in DAILY}
    write_tables(Lake(folder / "lake"), tables | begun, "raw", {})
    build_factors(Lake(folder / "lake"))


def sessions_of(folder: Path) -> list[date]:
    """The last sessions that the training scored, less two that are left to trade them."""
    tested: list[date] = trained_scores(folder / "runs").scores["date"].unique().sort().to_list()
    return tested[-SESSIONS - 2 : -2]


class Town:
    """A market whose sessions a vendor gives one by one, a training made beforehand, and processes that work in it."""

    def __init__(self, built: Path, folder: Path, office_in: OfficeIn) -> None:
        for name in ("lake", "runs"):
            shutil.copytree(built / name, folder / name)
        self.folder, self.vendor, self.whole = folder, built / "vendor", Lake(built / "whole")
        self.config, self.days = office_in(folder, **WALK), sessions_of(folder)
        self.processes = multiprocessing.get_context("forkserver")
        self.processes.set_forkserver_preload(["siege"])

    def evening(self, day: date, fault: str | None = None, after: float = 0.0) -> int:
        """The exit code of one batch in a process of its own."""
        import siege

        process = self.processes.Process(target=siege.evening, args=(self.config, day, self.vendor, fault, after))
        process.start()
        process.join()
        return int(process.exitcode or 0)

    @property
    def said(self) -> str:
        return (self.folder / "runs" / "said.txt").read_text()

    def check_published(self) -> None:
        """Every folder that is there is whole."""
        for day, manifest in published(self.folder / "signals").items():
            folder = self.folder / "signals" / day.isoformat()
            assert {path.name for path in folder.iterdir()} == {*manifest["sha256"], "manifest.json"}
            assert {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in manifest["sha256"]} == manifest["sha256"]

    def check_account(self, days: list[date]) -> None:
        """The paper account is the backtest's to the cent."""
        scores = trained_scores(self.folder / "runs")
        chosen = json.loads((self.folder / "runs" / scores.name / "results.json").read_text())["chosen"]
        own = scores.scores.filter(pl.col("model") == chosen, pl.col("date").is_in(days))
        simulated = trade(own, Ground.of(self.whole, self.config)).result
        signals, last = self.folder / "signals", simulated.dates[-1]
        lived = paper.account(ground_of(self.whole, self.config, last, since=days[0]), signals)
        assert lived is not None
        assert lived.nav_cents_D.tolist() == simulated.nav_cents_D.tolist()
        assert lived.positions() == simulated.positions()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, office_in: OfficeIn) -> Path:
    folder = tmp_path_factory.mktemp("town")
    build(folder, office_in)
    return folder


@pytest.fixture
def town(built: Path, tmp_path: Path, office_in: OfficeIn, monkeypatch: pytest.MonkeyPatch) -> Town:
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parents[1])]))  # the fork server knows no other way to what it preloads
    return Town(built, tmp_path, office_in)


def damage(runs: Path) -> list[tuple[Path, bytes]]:
    """Change a byte of every model; what was there."""
    kept = [(path, path.read_bytes()) for path in runs.glob("fits/*/model/model.json")]
    for path, content in kept:
        path.write_bytes(content.replace(b'"state"', b'"stale"', 1))
    return kept


def test_a_year_of_evenings_with_faults_publishes_every_session_once(town: Town) -> None:
    import siege

    draw = np.random.default_rng(3)
    refusals = {"vendor down": (4, "nobody answers"), "half loaded": (3, "half loaded"), "yesterday again": (3, "serves yesterday")}
    refusals |= {"bad model": (1, "saved"), "full disk": (1, "")}
    for day in town.days:
        fault = str(draw.choice(siege.FAULTS)) if draw.random() < 0.3 else None
        if fault:
            kept = damage(town.folder / "runs") if fault == "bad model" else []
            code = town.evening(day, fault, after=float(draw.uniform(0.05, 1.0)))
            for path, content in kept:
                path.write_bytes(content)
            town.check_published()
            if fault in refusals:
                assert (code, day in published(town.folder / "signals")) == (refusals[fault][0], False), (fault, day)
                assert fault == "full disk" or refusals[fault][1] in town.said
        assert town.evening(day) == 0, town.said
    assert list(published(town.folder / "signals")) == town.days
    told = [row["session"] for row in Journal(town.folder / "runs" / FILE).last(10_000) if row["outcome"] == "published"]
    assert len(told) == len(set(told))
    town.check_published()
    town.check_account(town.days)


def test_kills_at_random_moments_leave_nothing_half_published_and_lose_nothing(town: Town) -> None:
    draw, killed, days, pace = np.random.default_rng(4), 0, [], 2.0
    for day in town.days:
        while killed < KILLS and draw.random() < 0.97:
            code = town.evening(day, "killed", after=float(draw.uniform(0.0, 1.2 * pace)))
            town.check_published()
            if code == 0:
                break
            killed += 1
        began = time.monotonic()
        assert town.evening(day) == 0, town.said
        pace = max(0.8 * pace, time.monotonic() - began)  # kills reach the last steps on a busy machine too
        days.append(day)
        if killed >= KILLS:
            break
    assert killed >= KILLS
    assert list(published(town.folder / "signals")) == days
    town.check_account(days)


def test_cold_processes_publish_what_forked_ones_would(town: Town) -> None:
    shutil.rmtree(town.folder / "lake")
    shutil.copytree(town.whole.uri, town.folder / "lake")
    days = town.days[:COLD]
    for day in days:
        sets = [f"{name}={town.folder / name}" for name in ("lake", "runs", "signals")] + ["batch.book=paper"]
        words = [word for each in sets for word in ("--set", each)]
        command = [sys.executable, "-c", "from pipelines.cli import main; main()", *words, "signal", "--date", str(day), "--json"]
        found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE.parent.parent)
        assert found.returncode == 0, found.stderr
        assert json.loads(found.stdout)[0]["outcome"] == "published"
    assert open_lake(town.folder / "lake").has("factors")
    town.check_account(days)
