"""Windows of the factor engine against polars' rolling expressions: the same numbers first, then the time of each, in one run.

Run: python benchmarks/windows.py          Prints a table and writes benchmarks/results/windows-DATE.json.
"""

import json
import platform
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from data.panel import Axes, to_frame, to_panel
from factors.compute import Computer
from factors.expressions import Expr, column
from factors.operators import ts_corr, ts_mean, ts_std
from factors.panel import Panel

SESSIONS, STOCKS, WINDOW, NULLS, REPEATS = 2500, 800, 20, 0.05, 3


def panel() -> Panel:
    """Random walks with suspended sessions."""
    rng = np.random.default_rng(0)
    days = tuple(date(2010, 1, 1) + timedelta(days=i) for i in range(SESSIONS))
    axes = Axes(days, tuple(f"{600000 + n}.SH" for n in range(STOCKS)))
    trading = rng.random(axes.shape) > NULLS
    close = np.where(trading, 10 * np.exp(np.cumsum(rng.normal(0, 0.02, axes.shape), axis=0)), np.nan)
    volume = np.where(trading, rng.lognormal(13, 1, axes.shape), np.nan)
    return Panel(axes, {"close": close, "volume": volume}, trading)


def cases() -> dict[str, tuple[Expr, pl.Expr]]:
    """Each operator in our words and in polars'."""
    close, volume = column("close"), column("volume")
    need = (WINDOW + 1) // 2
    x, y = pl.col("close"), pl.col("volume")

    def of_stock(expr: pl.Expr) -> pl.Expr:
        return expr.over("symbol", order_by="date")

    return {
        "ts_mean": (ts_mean(close, WINDOW), of_stock(x.rolling_mean(WINDOW, min_samples=need))),
        "ts_std": (ts_std(close, WINDOW), of_stock(x.rolling_std(WINDOW, min_samples=need))),
        "ts_corr": (ts_corr(close, volume, WINDOW), of_stock(pl.rolling_corr(x, y, window_size=WINDOW, min_samples=need))),
    }


def best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of some runs, after one to warm up."""
    times = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times[1:])


def main() -> None:
    """Compare, time, print, keep."""
    ours = panel()
    frame = to_frame(ours.columns, np.ones(ours.axes.shape, dtype=bool), ours.axes)
    rows = []
    for name, (expr, theirs) in cases().items():
        found = Computer(ours, [expr])(expr)
        expected = to_panel(frame.select("date", "symbol", theirs.alias("value")), "value", ours.axes)
        both = np.isfinite(found) & np.isfinite(expected)
        error = float(np.max(np.abs(found[both] - expected[both]) / (1 + np.abs(expected[both]))))
        seconds = best(lambda expr=expr: Computer(ours, [expr])(expr)), best(lambda theirs=theirs: frame.select(theirs))
        shared = float(both.mean())
        rows.append(
            {"operator": name, "error": error, "shared": shared, "kestrel_s": seconds[0], "polars_s": seconds[1], "ratio": seconds[1] / seconds[0]}
        )
        timed = f"kestrel {seconds[0]:.3f} s  polars {seconds[1]:.3f} s  ratio {seconds[1] / seconds[0]:.1f}"
        print(f"{name:8}  error {error:.1e} on {shared:.0%} of cells  {timed}")
    facts = {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "polars": pl.__version__,
        "shape": [SESSIONS, STOCKS],
        "window": WINDOW,
    }
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / f"windows-{date.today().isoformat()}.json").write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
