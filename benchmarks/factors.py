"""Alpha158 beside Qlib and KunQuant in one run: the same numbers first, then the time of each.

Run: KESTREL_PEERS=ENV/bin/python python -P benchmarks/factors.py     Prints a table and writes benchmarks/results/factors-DATE.json.
-P, lest this file's name hide the package of the same name.
KESTREL_PEERS is the Python of an environment that has pyqlib and KunQuant; without it only our own times are taken.
"""

import json
import os
import platform
import resource
import subprocess
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.markets import SESSIONS, market
from factors.alpha158.names import LOOKBACK, NAMES
from factors.alpha158.slabs import blocks
from factors.alpha158.tiles import Columns

STOCKS, MARKET, REPEATS, THREADS = 800, 5000, 3, 2
PEERS = ("kunquant", "qlib")
SAMPLE = 20  # stocks whose values are compared


def ours(columns: Columns) -> float:
    """Seconds of the fastest of some runs over all sessions, every block computed into one buffer."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        for _ in blocks(columns, threads=THREADS):
            pass
        times.append(time.perf_counter() - began)
    return min(times)


def one_session(columns: Columns) -> tuple[float, bool]:
    """Seconds of the last session out of its lookback, and whether it is the batch's to the bit."""
    window = Columns(*(np.ascontiguousarray(values[-LOOKBACK - 1 :]) for values in columns))
    batch = [found[-1].copy() for _, found in blocks(columns, start=SESSIONS - 100, threads=THREADS)][-1]
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        ((_, alone),) = blocks(window, start=LOOKBACK, threads=THREADS)
        times.append(time.perf_counter() - began)
    return min(times), np.array_equal(alone[0], batch, equal_nan=True)


def peer(name: str, python: str, columns: Columns) -> dict[str, object]:
    """A peer's seconds, and how many of its values differ from ours beyond 1e-4 and in being null."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "panel.npz", Path(folder) / "out.npz"
        np.savez(source, **columns._asdict())
        command = [python, str(Path(__file__).parent / "peers.py"), str(source), name, str(THREADS), str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        if done.returncode:
            return {"failed": done.stderr.strip().splitlines()[-1]}
        theirs = dict(np.load(out))
    return {"seconds": float(done.stdout.split()[-1]), **differences(columns, theirs)}


def differences(columns: Columns, theirs: dict[str, NDArray[np.float32]]) -> dict[str, object]:
    """After the first windows, the shares of cells whose values differ by more than 1e-4 and whose nulls differ, and the families they are in."""
    sample = Columns(*(np.ascontiguousarray(values[:, :SAMPLE]) for values in columns))
    found = np.concatenate([slabs.copy() for _, slabs in blocks(sample)])[LOOKBACK:]
    differ, apart, null = [], [], []
    for name in set(theirs) & set(NAMES):
        a, b = found[:, NAMES.index(name)], theirs[name][LOOKBACK:]
        with np.errstate(invalid="ignore"):
            differ.append(float(np.mean(np.abs(a - b) > 1e-4 * (1 + np.abs(a)))))
        null.append(float(np.mean(np.isnan(a) != np.isnan(b))))
        if differ[-1] + null[-1] > 0:
            apart.append(name.rstrip("0123456789"))
    return {
        "features": len(differ),
        "values_differ": float(np.mean(differ)),
        "nulls_differ": float(np.mean(null)),
        "in": " ".join(sorted(set(apart))),
    }


def main() -> None:
    """Compute, compare, time, print, keep."""
    small = market(STOCKS)
    ours(Columns(*(values[:100].copy() for values in small)))  # compile
    rows: list[dict[str, object]] = [{"what": f"kestrel, {STOCKS} stocks", "seconds": ours(small)}]
    python = os.environ.get("KESTREL_PEERS")
    for name in PEERS if python else ():
        rows.append({"what": f"{name}, {STOCKS} stocks", **peer(name, str(python), small)})
        rows.append({"what": f"kestrel, {STOCKS} stocks, after {name}", "seconds": ours(small)})
        if "seconds" in rows[-2]:
            rows[-2]["times_kestrel"] = float(str(rows[-2]["seconds"])) / min(float(str(row["seconds"])) for row in (rows[-1], rows[-3]))
    large = market(MARKET)
    rows.append({"what": f"kestrel, {MARKET} stocks", "seconds": ours(large)})
    rows[-1]["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    seconds, equal = one_session(large)
    rows.append({"what": f"kestrel, one session of {MARKET} stocks", "seconds": seconds, "equals_batch": equal})
    for row in rows:
        figures = (f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items() if key != "what")
        print(f"{row['what']:40}", *figures, sep="  ")
    facts = {"machine": platform.machine(), "python": platform.python_version(), "sessions": SESSIONS, "threads": THREADS}
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / f"factors-{date.today().isoformat()}.json").write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
