"""What the processes of test_siege.py run: an evening's batch, its vendor, and the faults that are planted in them.

The fork server imports this once, and with it most of what an evening imports and sets up, so that a forked evening costs its own work.
"""

import gc
import os
import resource
import signal
import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path

import lightgbm  # noqa: F401
import numba
import polars as pl

from data.lake import Lake
from data.sources.source import VendorError
from factors.registry import SETS, library
from pipelines.batch.day import Asked, run_batch
from pipelines.config import Config

DAILY = ("bars", "caps", "index_bars", "futures_bars")  # what a session adds
FAULTS = ("vendor down", "half loaded", "yesterday again", "bad model", "full disk", "killed")


@numba.njit(nogil=True)
def _compiled(number: int) -> int:
    return number


_compiled(1)  # what numba sets up before its first function
assert all(factor.expr.text for factor in library(SETS).values())  # modules of factors, and what their expressions keep
gc.collect()
gc.freeze()  # or every fork's collector would copy all of this


def evening(config: Config, day: date, vendor: Path, fault: str | None = None, after: float = 0.0) -> None:
    """One batch in a process of its own; exits with its code.  after: seconds until the process kills itself, with the fault 'killed'."""
    if fault == "full disk":
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, resource.RLIM_INFINITY))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    if fault == "killed":
        timer = threading.Timer(after, os.kill, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()
    (outcome,) = run_batch(config, Asked(day=day), fetcher=vendor_of(vendor, fault))
    (Path(config.runs) / "said.txt").write_text(f"{outcome.outcome}: {outcome.reason}")
    os._exit(outcome.exit_code)


def vendor_of(folder: Path, fault: str | None) -> Callable[[Lake, Config, date], list[str]]:
    """A vendor that has every table in a folder, and gives a session's rows, or what a fault makes of them."""

    def bring(lake: Lake, config: Config, day: date) -> list[str]:
        del config
        if fault == "vendor down":
            raise VendorError("nobody answers")
        for name in DAILY:
            rows = pl.scan_parquet(folder / f"{name}.parquet").filter(pl.col("date") == day).collect()
            if name == "bars" and fault == "half loaded":
                rows = rows.filter(pl.col("symbol") < "600")
            if name == "bars" and fault == "yesterday again":
                rows = lake.read("bars").filter(pl.col("date") < day)
                rows = rows.filter(pl.col("date") == pl.col("date").max()).with_columns(pl.lit(day).alias("date"))
            lake.replace(name, rows, day, day)
        return []

    return bring
