"""The evening's batch of a whole desk on simulated markets of several sizes: seconds by step, and the most memory that the process held.

Scores of news by a student, Alpha158 and the library, LightGBM and the ranker blended (the default model), an enhancement of 000905 chosen among
all stocks, drift, publication.  The models are fitted on a market of 500 stocks and score each size, whose lake and student are made in a process of
its own; then a vendor brings two sessions to a fresh one, which publishes both, and the second is told.  Run on an idle machine:

python -P benchmarks/batch.py --stocks 500 5000
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from data.ingest import write_tables
from data.lake import Lake
from data.publication import ZONE
from data.simulator import SimulationSettings, simulate
from data.tables import TABLES
from pipelines.batch.day import Asked, run_batch
from pipelines.build import build_factors
from pipelines.config import Config, parse
from pipelines.distil import distil_lake
from pipelines.sentiment import scorer_of
from pipelines.train import train

YEARS, NEWS, SESSIONS = 3, 20_000, 2  # of a market; of an evening; evenings published
TAUGHT_ON, TAUGHT = 500, 60  # stocks that the models learn from; days of news that the student does
DAILY = ("bars", "caps", "index_bars", "futures_bars")  # what a session adds
RESULTS = Path(__file__).parent / "results"


def config_of(folder: Path) -> Config:
    """A desk that scores all stocks and enhances the index."""
    homes = {name: str(folder / name) for name in ("lake", "runs", "signals")}
    fast = {"epochs": 1, "threads": 2, "inducing": 64}  # as on a whole market, whichever it learns from
    return parse(
        {
            **homes,
            "universe": {"members": "all"},
            "factors": {"sets": ["library", "alpha158"]},
            "walk": {"train_years": 1, "valid_years": 1, "refit_months": "never", "every": 20},
            "train": {"models": ["default"]},
            "model": {"ranker": fast, "lightgbm_rank": {"threads": 2}},
            "sentiment": {"scorer": "student", "student": str(folder / "student")},
            "backtest": {"strategy": {"kind": "enhancement", "every": 1}},
            "batch": {"book": "paper", "score_news": True, "fetch": True},
        },
        "the benchmark's config",
    )


def prepare(stocks: int, folder: Path, runs: Path | None) -> None:
    """A lake that ends before the sessions that a vendor has, and all that an evening reads besides: news, a student, factors, models.

    runs: where the models are; None fits them here.
    """
    config, lake = config_of(folder), Lake(folder / "lake")
    wire = min(0.03 * 5000 / stocks, 1.0)  # as many titles to draw from on a small market
    made = simulate(SimulationSettings(stocks=stocks, members=min(500, int(stocks * 0.6)), years=YEARS, seed=1, news=wire)).tables
    tables = {name: frame for name, frame in made.items() if name in TABLES}
    days = tables["bars"]["date"].unique().sort().to_list()
    began = {name: tables[name].filter(pl.col("date") < days[-SESSIONS - 1]) for name in DAILY}
    evenings = [evening(tables["news"], day, place) for place, day in enumerate(days[-SESSIONS - 1 :])]
    write_tables(lake, tables | began | {"news": pl.concat([tables["news"], *evenings])}, "raw", {})
    (folder / "vendor").mkdir(parents=True)
    for name in DAILY:
        tables[name].filter(pl.col("date") >= days[-SESSIONS - 1]).write_parquet(folder / "vendor" / f"{name}.parquet")
    distil_lake(lake, ["simulated"], days[0] + timedelta(days=TAUGHT), folder / "student", kind="linear", seed=0)
    own = pl.lit(scorer_of(config.sentiment).name).alias("scorer")
    write_tables(lake, {"news_scores": tables["news_scores"].with_columns(own)}, "raw", {})
    build_factors(lake, config)
    if runs is None:
        train(lake, config)
    else:
        shutil.copytree(runs, config.runs)


def evening(news: pl.DataFrame, day: date, place: int) -> pl.DataFrame:
    """NEWS pieces with titles of other days, published between noon and three on a day."""
    drawn = news.filter(pl.col("published_at").dt.date() != day).sample(NEWS, seed=place, with_replacement=True)
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(ZONE))
    published = pl.lit(noon) + pl.duration(milliseconds=540 * pl.int_range(pl.len()))
    return drawn.with_columns(
        pl.format("evening-{}-{}", pl.lit(day.isoformat()), pl.int_range(pl.len())).alias("id"),
        published.cast(news.schema["published_at"]).alias("published_at"),
        pl.lit(None, dtype=news.schema["first_seen"]).alias("first_seen"),
    )


def measured(folder: Path) -> dict[str, float]:
    """Seconds of each step of the last evening (the first one compiles), and the process's peak memory in GB."""
    config, vendor = config_of(folder), {name: pl.read_parquet(folder / "vendor" / f"{name}.parquet") for name in DAILY}

    def bring(lake: Lake, config: Config, day: date) -> list[str]:
        del config
        for name in DAILY:
            lake.replace(name, vendor[name].filter(pl.col("date") == day), day, day)
        return []

    for day in vendor["bars"]["date"].unique().sort()[:SESSIONS]:
        (outcome,) = run_batch(config, Asked(day=day), fetcher=bring)
        assert outcome.outcome == "published", outcome.reason
    return {**outcome.seconds, "all": sum(outcome.seconds.values()), "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}


def main() -> None:
    """Print a row a size, and keep them in benchmarks/results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stocks", type=int, nargs="+", default=[500, 5000])
    parser.add_argument("--part", choices=("prepare", "measure"), help="one of the processes, in the folder of --in")
    parser.add_argument("--in", dest="folder", type=Path)
    parser.add_argument("--runs", type=Path)
    asked = parser.parse_args()
    if asked.part == "prepare":
        prepare(asked.stocks[0], asked.folder, asked.runs)
    elif asked.part == "measure":
        print(json.dumps(measured(asked.folder)))
    else:
        with tempfile.TemporaryDirectory() as folder:
            rows = compared(asked.stocks, Path(folder))
        file = RESULTS / f"batch-{date.today().isoformat()}.json"
        file.write_text(json.dumps({"news": NEWS, "years": YEARS, "rows": rows}, indent=1) + "\n")


def compared(sizes: Sequence[int], folder: Path) -> list[dict[str, float]]:
    """A row a size, each printed as it comes."""

    def part(name: str, home: Path, *more: str) -> str:
        command = [sys.executable, "-P", __file__, "--part", name, "--in", str(home), *more]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    part("prepare", folder / "taught", "--stocks", str(TAUGHT_ON))
    rows = []
    for stocks in sizes:
        home = folder / str(stocks)
        part("prepare", home, "--stocks", str(stocks), "--runs", str(folder / "taught" / "runs"))
        load = os.getloadavg()[0]
        rows.append({"stocks": stocks, "load": load, **json.loads(part("measure", home).splitlines()[-1])})
        print(", ".join(f"{name} {value:.2f}" for name, value in rows[-1].items()), flush=True)
        shutil.rmtree(home)
    return rows


if __name__ == "__main__":
    main()
