"""The evening's batch of a whole desk on simulated markets of several sizes: seconds by step, and the most memory that the process held.

Scores of news by a student, Alpha158 and the library, LightGBM and the ranker blended (the default model), an enhancement of 000905 chosen among
all stocks, drift, publication.  The market is made, the student distilled and the models fitted in a process of its own before; then a vendor
brings two sessions to a fresh one, which publishes both, and the second is told.  Run on an idle machine:

python -P benchmarks/batch.py --stocks 500 5000        (about twelve minutes, 14 GB for the market of 5,000)
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
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

YEARS, NEWS, TAUGHT, SESSIONS = 3, 20_000, 60, 2  # news of an evening; days of news that the student learns from; evenings published
DAILY = ("bars", "caps", "index_bars", "futures_bars")  # what a session adds
RESULTS = Path(__file__).parent / "results"


def config_of(folder: Path) -> Config:
    """A desk that scores all stocks and enhances the index."""
    homes = {name: str(folder / name) for name in ("lake", "runs", "signals")}
    fast = {"epochs": 1, "batch": 1, "threads": 2}
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


def prepare(stocks: int, folder: Path) -> None:
    """A lake that ends before the sessions that a vendor has, and all that an evening reads besides: news, a student, factors, fitted models."""
    config, lake = config_of(folder), Lake(folder / "lake")
    wire = min(0.03 * 5000 / stocks, 1.0)  # as many titles to draw from on a small market
    made = simulate(SimulationSettings(stocks=stocks, members=min(500, int(stocks * 0.6)), years=YEARS, seed=1, news=wire)).tables
    tables = {name: frame for name, frame in made.items() if name in TABLES}
    days = tables["bars"]["date"].unique().sort().to_list()
    began = {name: tables[name].filter(pl.col("date") < days[-SESSIONS - 1]) for name in DAILY}
    evenings = [evening(tables["news"], day, place) for place, day in enumerate(days[-SESSIONS - 1 :])]
    write_tables(lake, tables | began | {"news": pl.concat([tables["news"], *evenings])}, "raw", {})
    (folder / "vendor").mkdir()
    for name in DAILY:
        tables[name].filter(pl.col("date") >= days[-SESSIONS - 1]).write_parquet(folder / "vendor" / f"{name}.parquet")
    distil_lake(lake, ["simulated"], days[0] + timedelta(days=TAUGHT), folder / "student", kind="linear", seed=0)
    own = pl.lit(scorer_of(config.sentiment).name).alias("scorer")
    write_tables(lake, {"news_scores": tables["news_scores"].with_columns(own)}, "raw", {})
    build_factors(lake, config)
    train(lake, config)


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
    parser.add_argument("--part", choices=("prepare", "measure"), help="one of the two processes, in the folder of --in")
    parser.add_argument("--in", dest="folder", type=Path)
    asked = parser.parse_args()
    if asked.part == "prepare":
        prepare(asked.stocks[0], asked.folder)
        return
    if asked.part == "measure":
        print(json.dumps(measured(asked.folder)))
        return
    rows = []
    for stocks in asked.stocks:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-P", __file__, "--in", folder, "--stocks", str(stocks), "--part"]
            subprocess.run([*command, "prepare"], check=True, stdout=subprocess.DEVNULL)
            load = os.getloadavg()[0]
            told = subprocess.run([*command, "measure"], check=True, capture_output=True, text=True).stdout.splitlines()[-1]
        rows.append({"stocks": stocks, "load": load, **json.loads(told)})
        print(", ".join(f"{name} {value:.2f}" for name, value in rows[-1].items()), flush=True)
    file = RESULTS / f"batch-{date.today().isoformat()}.json"
    file.write_text(json.dumps({"news": NEWS, "years": YEARS, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
