"""Loading one session of 5,000 stocks with 60 days of history from a lake of 10 years: the daily signal's first step.

The lake is made of random prices in a temporary folder; the time of a read stands beside that of one without the sessions' order, where
every row group must be opened.

Run: python benchmarks/session.py [--years 10] [--stocks 5000]       Prints a table and writes benchmarks/results/session-DATE.json.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from data.calendar import seed
from data.lake import Lake

HISTORY, REPEATS, TARGET = 60, 5, 0.3


def year_of_bars(days: list[date], symbols: list[str], rng: np.random.Generator) -> pl.DataFrame:
    """Bars of every stock on these sessions, in the columns of the table."""
    shape = len(days) * len(symbols)
    close = np.round(rng.lognormal(2.5, 0.8, shape), 2)
    keys = {"date": pl.Series(days).repeat_by(len(symbols)).explode(), "symbol": pl.Series(symbols * len(days))}
    prices = {name: np.round(close * rng.uniform(0.97, 1.03, shape), 2) for name in ("open", "high", "low", "pre_close")}
    volume = rng.integers(1_000, 900_000, shape) * 100.0
    frame = pl.DataFrame({**keys, **prices, "close": close, "volume": volume, "amount": np.round(volume * close, 2)})
    limits = {"limit_up": (pl.col("pre_close") * 1.1).round(2), "limit_down": (pl.col("pre_close") * 0.9).round(2)}
    return frame.with_columns(**limits, adj=1.0 + pl.col("close") / 100, raw_close="close", is_st=pl.lit(value=False), is_trading=pl.lit(value=True))


def build(uri: str, years: int, stocks: int) -> list[date]:
    """Write the lake a year at a time, as a history grows; returns its sessions."""
    lake, rng = Lake(uri), np.random.default_rng(0)
    days = [day for day in seed()["date"].to_list() if date(2015, 1, 1) <= day < date(2015 + years, 1, 1)]
    symbols = [f"{600000 + n}.SH" for n in range(stocks)]
    for year in sorted({day.year for day in days}):
        own = [day for day in days if day.year == year]
        lake.replace("bars", year_of_bars(own, symbols, rng), own[0], own[-1])
        print(f"{year}: {len(own) * stocks:,} rows", file=sys.stderr)
    return days


def load(uri: str, start: date, end: date) -> pl.DataFrame:
    """The read that is measured: a whole table's columns, sorted by its keys."""
    return Lake(uri).read("bars", start=start, end=end)


def seconds(work: Callable[[], object]) -> float:
    """How long it took."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def fresh(uri: str, start: date, end: date, *, dropped: bool) -> float:
    """Seconds of the first read of a new process, its imports left out; `dropped`: with no file of the lake in the page cache."""
    for file in Path(uri).rglob("*.parquet") if dropped else ():
        handle = os.open(file, os.O_RDONLY)
        os.fsync(handle)  # a page not yet on disk can't be dropped
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)
    code = (
        f"import runpy; from datetime import date; b = runpy.run_path({str(Path(__file__))!r}); "
        f"print(b['seconds'](lambda: b['load']({uri!r}, date.fromisoformat('{start}'), date.fromisoformat('{end}'))))"
    )
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Build, time, print, keep."""
    options = argparse.ArgumentParser()
    options.add_argument("--years", type=int, default=10)
    options.add_argument("--stocks", type=int, default=5000)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        days = build(folder, asked.years, asked.stocks)
        rows = []
        for read, last in (("the last session", len(days) - 1), ("a session in the middle", len(days) // 2)):
            span = days[last - HISTORY], days[last]
            height = load(folder, *span).height
            warm = [seconds(lambda span=span: load(folder, *span)) for _ in range(REPEATS)]
            first = {f"{name}_s": fresh(folder, *span, dropped=dropped) for name, dropped in (("fresh", False), ("cold", True))}
            rows.append({"read": read, "rows": height, "best_s": min(warm), "median_s": float(np.median(warm)), **first})
            told = "{read:24} {rows:,} rows  warm {best_s:.3f} s, median {median_s:.3f} s  new process {fresh_s:.3f} s  from the disk {cold_s:.3f} s"
            print(told.format(**rows[-1]))
        whole = seconds(lambda: Lake(folder).scan("bars").select(pl.all().max()).collect())
        size = sum(file.stat().st_size for file in Path(folder).rglob("*.parquet"))
    print(f"every row group once: {whole:.3f} s; target {TARGET} s; {size / 1e6:,.0f} MB")
    facts = {"machine": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()[0], "polars": pl.__version__}
    shape = {"years": asked.years, "sessions": len(days), "stocks": asked.stocks, "bytes": size, "target_s": TARGET, "whole_table_s": whole}
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / f"session-{date.today().isoformat()}.json").write_text(json.dumps({**facts, **shape, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
