"""Alpha158 and Alpha101 by other people's libraries, run by benchmarks/factors.py and sets.py in an environment of their own.

Run: python peers.py PANEL.npz qlib|kunquant|kunquant101 THREADS OUT.npz      Prints the seconds of the computation as its last line.
The environment has pyqlib and KunQuant.
PANEL.npz holds open, high, low, close, vwap, volume as [D, N], NaN where suspended.  OUT.npz holds a sample of the values.
"""

import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

FIELDS = ("open", "high", "low", "close", "vwap", "volume")
COLUMNS = ("open", "close", "high", "low", "volume", "amount")
REPEATS = 2


def by_qlib(panel: dict[str, np.ndarray], threads: int) -> tuple[float, dict[str, np.ndarray]]:
    """Qlib's loader over its own binary files, caches off, one run: (seconds, values [D, N] by name)."""
    import qlib
    from qlib.contrib.data.loader import Alpha158DL

    sessions, stocks = panel["close"].shape
    days = [date(2000, 1, 1) + timedelta(days=n) for n in range(sessions)]
    names = [f"SH{600000 + n}" for n in range(stocks)]
    with tempfile.TemporaryDirectory() as folder:
        qlib_files(Path(folder), panel, days, names)
        qlib.init(provider_uri=folder, region="cn", kernels=threads, expression_cache=None, dataset_cache=None, logging_level=40)
        loader = Alpha158DL()
        began = time.perf_counter()
        frame = loader.load([*names], str(days[0]), str(days[-1]))
        seconds = time.perf_counter() - began
    frame.columns = frame.columns.get_level_values(-1)
    frame = frame.sort_index()
    return seconds, {name: frame[name].to_numpy().reshape(sessions, stocks) for name in frame.columns}


def qlib_files(folder: Path, panel: dict[str, np.ndarray], days: list[date], names: list[str]) -> None:
    """Write a panel of FIELDS [D, N] as the binary files that Qlib reads."""
    for part in ("calendars", "instruments"):
        (folder / part).mkdir()
    (folder / "calendars" / "day.txt").write_text("\n".join(map(str, days)) + "\n")
    (folder / "instruments" / "all.txt").write_text("".join(f"{name}\t{days[0]}\t{days[-1]}\n" for name in names))
    for n, name in enumerate(names):
        home = folder / "features" / name.lower()
        home.mkdir(parents=True)
        for field in FIELDS:
            np.concatenate([[0.0], panel[field][:, n]]).astype("<f").tofile(home / f"{field}.day.bin")


def by_kunquant(panel: dict[str, np.ndarray], threads: int) -> tuple[float, dict[str, np.ndarray]]:
    """KunQuant's Alpha158: (seconds, values [D, N] by name)."""
    from KunQuant.Op import Builder, Input, Output
    from KunQuant.predefined.Alpha158 import AllData

    builder = Builder()
    with builder:
        data = AllData(**{field: Input(field) for field in COLUMNS})
        prices = [("OPEN", data.open), ("HIGH", data.high), ("LOW", data.low), ("VWAP", data.vwap)]
        fields, names = data.build({"kbar": {}, "price": {"windows": [0], "feature": prices}, "rolling": {}})
        for field, name in zip(fields, names, strict=True):
            Output(field, name)
    return _run(builder.ops, panel, threads)


def by_kunquant101(panel: dict[str, np.ndarray], threads: int) -> tuple[float, dict[str, np.ndarray]]:
    """KunQuant's Alpha101, the 82 formulas it has: (seconds, values [D, N] by name)."""
    from KunQuant.Op import Builder, Input, Output
    from KunQuant.predefined.Alpha101 import AllData, all_alpha

    builder = Builder()
    with builder:
        data = AllData(**{field: Input(field) for field in COLUMNS})
        for alpha in all_alpha:
            Output(alpha(data), alpha.__name__)
    return _run(builder.ops, panel, threads)


def _run(ops: list[Any], panel: dict[str, np.ndarray], threads: int) -> tuple[float, dict[str, np.ndarray]]:
    """KunQuant compiled for float64 without fast statistics, the best of some runs."""
    from KunQuant.Driver import KunCompilerConfig
    from KunQuant.jit import cfake
    from KunQuant.runner import KunRunner
    from KunQuant.Stage import Function

    config = KunCompilerConfig(
        input_layout="TS", output_layout="TS", dtype="double", blocking_len=8, options={"no_fast_stat": True, "opt_reduce": False}
    )
    library = cfake.compileit([("alphas", Function(ops), config)], "alphas", cfake.CppCompilerConfig())
    given = {field: np.ascontiguousarray(panel[field]) for field in ("open", "close", "high", "low", "volume")}
    given["amount"] = panel["vwap"] * panel["volume"]
    executor = KunRunner.createMultiThreadExecutor(threads)
    seconds, found = np.inf, {}
    for _ in range(REPEATS):
        began = time.perf_counter()
        found = KunRunner.runGraph(executor, library.getModule("alphas"), given, 0, len(given["close"]), found)
        seconds = min(seconds, time.perf_counter() - began)
    return seconds, found


def main() -> None:
    """One peer on one panel."""
    source, peer, threads, out = sys.argv[1:]
    panel = dict(np.load(source))
    seconds, found = {"qlib": by_qlib, "kunquant": by_kunquant, "kunquant101": by_kunquant101}[peer](panel, int(threads))
    stocks = slice(0, 20)
    np.savez(out, **{name: values[:, stocks].astype(np.float32) for name, values in found.items()})
    print(seconds)


if __name__ == "__main__":
    main()
