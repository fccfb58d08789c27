"""Speed of what stands around a model: requests through the runner against a stub on loopback, and look-ups in the cache.

    python benchmarks/sentiment_runner.py
The stub is a process of its own; with two cores that is one for it and one for the runner.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path

from models.sentiment.answers import Answer, News
from models.sentiment.cache import Cache, key_of
from models.sentiment.server import ServerScorer, Surroundings
from models.sentiment.settings import SentimentSettings

ROOT = Path(__file__).parents[1]
TARGETS = {"requests_s": 500, "look_ups_s": 20_000}
NOON = datetime(2025, 2, 1, 12)


@contextmanager
def stub(*options: str) -> Iterator[str]:
    """The URL of a stub that runs meanwhile."""
    command = [sys.executable, str(ROOT / "tests/models/sentiment/stub.py"), *options]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


def scored(url: str, file: Path, pieces: int, *, timeout: float = 60.0) -> tuple[float, float, ServerScorer, int]:
    """(seconds, seconds of this process's processor, the scorer, answers) of scoring so many pieces, thinking and answering in a request each."""
    asked = {"url": url, "model": "deepseek-reasoner", "provider": "deepseek", "patience": 0.01, "longest": 0.1, "timeout": timeout}
    sections = {"server": asked, "thinking": {"cap": 256}, "calibration": {"contextual": False}, "spending": {"cap": 1000.0}}
    scorer = ServerScorer(SentimentSettings.model_validate(sections), Cache(file), Surroundings(now=lambda: NOON))
    news = [News(str(place), "600000.SH", "浦发银行", f"签订合同{place}亿元，预计明年完工") for place in range(pieces)]
    began, worked = time.perf_counter(), time.process_time()
    found = scorer.score(news)
    return time.perf_counter() - began, time.process_time() - worked, scorer, sum(isinstance(answer, Answer) for answer in found)


def look_ups(file: Path, count: int) -> dict[str, float]:
    """Look-ups in a cache of `count` answers of 1 kB, of answers that are there and of ones that aren't: a second, and a second of the processor."""
    cache = Cache(file)
    keys = [key_of("benchmark", str(place)) for place in range(count)]
    for key in keys:
        cache.put(key, "x" * 1000)
    missing = [key_of("missing", str(place)) for place in range(count)]
    rates: dict[str, float] = {}
    for name, asked in (("look_ups", keys), ("misses", missing)):
        spent, worked = (min(found) for found in zip(*(_seconds(cache, asked) for _ in range(3)), strict=True))
        rates |= {f"{name}_s": count / spent, f"{name}_per_cpu_s": count / worked}
    cache.close()
    return rates


def _seconds(cache: Cache, keys: list[bytes]) -> tuple[float, float]:
    began, worked = time.perf_counter(), time.process_time()
    for key in keys:
        cache.get(key)
    return time.perf_counter() - began, time.process_time() - worked


def main() -> None:
    """Time, print, keep."""
    options = argparse.ArgumentParser()
    options.add_argument("--pieces", type=int, default=1500)
    asked = options.parse_args()
    rows: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with stub() as url:
            scored(url, folder / "warm.db", 50)
            spent, worked, scorer, done = min((scored(url, folder / f"{turn}.db", asked.pieces) for turn in range(3)), key=lambda found: found[0])
            rows |= {"pieces": done, "requests_s": scorer.runner.tally.calls / spent, "pieces_s": done / spent}
            rows["requests_per_cpu_s"] = scorer.runner.tally.calls / worked  # what a core of its own would do
            again, _, rerun, _ = scored(url, folder / "2.db", asked.pieces)
            rows |= {"rerun_pieces_s": asked.pieces / again, "rerun_calls": rerun.runner.tally.calls}
        with stub("--faults", "0.1") as url:
            spent, _, scorer, done = scored(url, folder / "faults.db", asked.pieces // 3, timeout=2.0)
            rows |= {"with_faults_requests_s": scorer.runner.tally.calls / spent, "with_faults_answered": done, "of": asked.pieces // 3}
        rows |= look_ups(folder / "cache.db", 20_000)
    for key, value in rows.items():
        print(f"{key:24} {value:12,.0f}" + (f"   target {TARGETS[key]:,}" if key in TARGETS else ""))
    facts = {"machine": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()[0], "concurrency": 64}
    results = ROOT / "benchmarks" / "results"
    results.mkdir(exist_ok=True)
    (results / f"sentiment_runner-{date.today().isoformat()}.json").write_text(json.dumps({**facts, **rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
