"""The evening's batch on simulated markets of several sizes: seconds by step on an idle machine, and the most memory that the process held.

python -P benchmarks/batch.py --stocks 100 200
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from data.lake import Lake
from pipelines.batch.day import Asked, run_batch
from pipelines.build import build_factors
from pipelines.config import parse
from pipelines.simulate import settings_of, simulated
from pipelines.train import train

YEARS = 4


def measured(stocks: int, folder: Path) -> dict[str, float]:
    """Seconds of each step of the second evening (the first one compiles), and the process's peak memory in GB."""
    raw = {name: str(folder / name) for name in ("lake", "runs", "signals")}
    walk = {"train_years": 1, "valid_years": 1, "refit_months": 24, "every": 10}
    config = parse({**raw, "walk": walk, "train": {"models": ["ridge", "lightgbm_rank"]}, "batch": {"book": "paper"}}, "the benchmark's config")
    lake = Lake(config.lake)
    if not (folder / "runs").is_dir():  # in a process of its own, so that its memory isn't the evening's
        simulated(lake, settings_of(stocks=stocks, years=YEARS, seed=1, alpha="all"))
        build_factors(lake, config)
        train(lake, config)
        return {}
    days = lake.read("bars", columns=["date"])["date"].unique().sort().to_list()[-4:-2]
    for day in days:
        (outcome,) = run_batch(config, Asked(day=day))
        assert outcome.outcome == "published", outcome.reason
    return {**outcome.seconds, "all": sum(outcome.seconds.values()), "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}


def main() -> None:
    """Print a row a size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stocks", type=int, nargs="+", default=[500, 5000])
    parser.add_argument("--in", dest="folder", type=Path)
    asked = parser.parse_args()
    if asked.folder:
        print(json.dumps(measured(asked.stocks[0], asked.folder)))
        return
    for stocks in asked.stocks:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-P", __file__, "--stocks", str(stocks), "--in", folder]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        print(f"{stocks} stocks: " + ", ".join(f"{name} {value:.2f}" for name, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
