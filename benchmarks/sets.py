"""The library and Alpha101 by the machine of expressions: beside Alpha158's kernel, and beside KunQuant's Alpha101, in one run.

Run: KESTREL_PEERS=ENV/bin/python python -P benchmarks/sets.py [--stocks 5000]
Prints a table and writes benchmarks/results/sets-DATE.json.  KESTREL_PEERS is the Python of an environment that has KunQuant; without it only
our own times are taken.  Values come in blocks of sessions in one buffer; nothing is written.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.markets import SESSIONS, panel
from factors import compute
from factors.alpha158 import slabs
from factors.alpha158.tiles import Columns
from factors.registry import Factor, library

Panel = Mapping[str, NDArray[np.float64]]
SMALL, THREADS, REPEATS, SAMPLE = 800, 2, 2, 20
WARM = 300  # sessions until every window is full


def seconds(work: Callable[[], object]) -> float:
    """Of the fastest of some runs."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def evaluate(factors: list[Factor], columns: Panel, start: int = 0) -> NDArray[np.float32]:
    """All blocks, one after the other; the last session's values are left."""
    expressions = [one.expr for one in factors]
    *_, last = (x_BFN[-1] for _, x_BFN in compute.blocks(expressions, columns, start=start, threads=THREADS))
    return last.copy()


def fed(name: str, stocks: int) -> tuple[list[Factor], Panel]:
    """The factors of a set and a market that feeds them."""
    factors = list(library([name]).values())
    return factors, panel(stocks, frozenset().union(*(one.expr.needs for one in factors)))


def alone(name: str, stocks: int) -> dict[str, object]:
    """A set by itself: its seconds, those of Alpha158 in the same run, one session out of its lookback, and the peak of memory."""
    factors, columns = fed(name, stocks)
    evaluate(factors, {column: values[:200] for column, values in columns.items()})  # compile
    prices = Columns(*(columns[field] for field in Columns._fields))
    list(slabs.blocks(Columns(*(values[:100].copy() for values in prices))))
    kernel = seconds(lambda: [None for _ in slabs.blocks(prices, threads=THREADS)])
    ours = seconds(lambda: evaluate(factors, columns))
    lookback = max(one.expr.lookback for one in factors)
    last = {column: np.ascontiguousarray(values[-lookback - 1 :]) for column, values in columns.items()}
    batch = evaluate(factors, columns, SESSIONS - 40)
    session = seconds(lambda: evaluate(factors, last, lookback))
    return {
        "what": f"{name}, {len(factors)} factors, {stocks} stocks",
        "seconds": ours,
        "alpha158_seconds": kernel,
        "times_alpha158": ours / kernel,
        "one_session_seconds": session,
        "one_session_equals_batch": bool(np.array_equal(evaluate(factors, last, lookback), batch, equal_nan=True)),
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "columns_gb": sum(values.nbytes for values in {id(values): values for values in columns.values()}.values()) / 2**30,
    }


def beside(python: str) -> dict[str, object]:
    """Alpha101 of KunQuant, compiled for float64 without fast statistics, on the same market: times, and where its values differ."""
    factors, columns = fed("alpha101", SMALL)
    evaluate(factors, {column: values[:200] for column, values in columns.items()})
    before = seconds(lambda: evaluate(factors, columns))
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "panel.npz", Path(folder) / "out.npz"
        np.savez(source, **{name: columns[name] for name in ("open", "high", "low", "close", "vwap", "volume")})
        command = [python, str(Path(__file__).parent / "peers.py"), str(source), "kunquant101", str(THREADS), str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        if done.returncode:
            return {"what": "kunquant", "failed": done.stderr.strip().splitlines()[-1]}
        theirs = dict(np.load(out))
    took, ours = float(done.stdout.split()[-1]), min(before, seconds(lambda: evaluate(factors, columns)))
    apart = differences([one for one in factors if one.name in theirs], columns, theirs)
    return {
        "what": f"alpha101, {SMALL} stocks",
        "seconds": ours,
        "kunquant_seconds": took,
        "kunquant_factors": len(theirs),
        "times_kunquant": ours / took,
        "same": sum(share <= 0.01 for share in apart.values()),
        "differ": {name: round(share, 3) for name, share in apart.items() if share > 0.01},
    }


def differences(factors: list[Factor], columns: Panel, theirs: Mapping[str, NDArray[np.float32]]) -> dict[str, float]:
    """The share of a factor's cells, of those that both have once windows are full, that differ by more than 1e-4."""
    found = {one.name: np.empty((SESSIONS, SAMPLE)) for one in factors}
    for lo, x_BFN in compute.blocks([one.expr for one in factors], columns, threads=THREADS):
        for place, one in enumerate(factors):
            found[one.name][lo : lo + len(x_BFN)] = x_BFN[:, place, :SAMPLE]
    shares = {}
    for name, ours in found.items():
        both = np.isfinite(ours[WARM:]) & np.isfinite(theirs[name][WARM:])
        apart = np.abs(ours[WARM:] - theirs[name][WARM:]) > 1e-4 * (1 + np.abs(ours[WARM:]))
        shares[name] = float(apart[both].mean()) if both.any() else 1.0
    return shares


def main() -> None:
    """Each set in a process of its own, so that its peak of memory is its own; compute, time, print, keep."""
    options = argparse.ArgumentParser()
    options.add_argument("--stocks", type=int, default=5000)
    options.add_argument("--alone", choices=("library", "alpha101"))
    asked = options.parse_args()
    if asked.alone:
        print(json.dumps(alone(asked.alone, asked.stocks)))
        return
    rows = []
    for name, stocks in (("library", asked.stocks), ("alpha101", min(SMALL, asked.stocks))):
        command = [sys.executable, "-P", __file__, "--stocks", str(stocks), "--alone", name]
        rows.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    if python := os.environ.get("KESTREL_PEERS"):
        rows.append(beside(python))
    for row in rows:
        print(*(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()), sep="\n  ")
    facts = {"machine": platform.machine(), "python": platform.python_version(), "sessions": SESSIONS, "threads": THREADS}
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / f"sets-{date.today().isoformat()}.json").write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
