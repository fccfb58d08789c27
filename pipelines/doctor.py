"""Doctor: what this machine, its packages, the lake and the calendar are like, and what to mend."""

import os
import platform
from collections.abc import Callable
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import polars as pl

from data.errors import KestrelError
from data.lake import open_lake
from models.sentiment.presets import fitting
from pipelines.config import Config
from pipelines.console import show

PACKAGES = ("polars", "torch", "lightgbm", "pyarrow", "duckdb", "deltalake", "vectorbt", "mlflow", "numba")
FEWEST_SESSIONS = 20  # that the calendar should still hold


def doctor(config: Config) -> None:
    """Print one row a fact: ok, or what to do."""
    checks: list[Callable[[], dict[str, Any]]] = [_machine, _packages, _gpu, _language_models, lambda: _lake(config), lambda: _calendar(config)]
    show([check() for check in checks], title="kestrel doctor")


def _machine() -> dict[str, Any]:
    facts = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {os.cpu_count()} cores"
    return {"what": "machine", "found": facts, "advice": "ok"}


def _packages() -> dict[str, Any]:
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    return {"what": "packages", "found": ", ".join(found), "advice": f"install {', '.join(missing)}: make setup" if missing else "ok"}


def _gpu() -> dict[str, Any]:
    import torch

    if not torch.cuda.is_available():
        return {"what": "gpu", "found": "none", "advice": "ok: everything runs on the CPU"}
    return {"what": "gpu", "found": torch.cuda.get_device_name(0), "advice": "ok"}


def _language_models() -> dict[str, Any]:
    """Which models of the family that scores news fit into this machine's memory, with which weights, for 16 pieces at once."""
    import torch

    memory = (
        torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    )
    fits = ", ".join(f"{preset.name} ({weights}, {preset.memory(weights) / 2**30:.0f} GiB)" for preset, weights in fitting(memory))
    return {"what": "language models", "found": fits or "none fits", "advice": "ok: optional" if fits else "score by a server, or by the student"}


def _lake(config: Config) -> dict[str, Any]:
    try:
        lake = open_lake(config.lake)
    except KestrelError as error:
        return {"what": "lake", "found": config.lake, "advice": str(error)}
    return {"what": "lake", "found": f"{lake.uri}: {', '.join(lake.tables())}", "advice": "ok"}


def _calendar(config: Config) -> dict[str, Any]:
    """Whether the calendar still reaches far enough to name the next sessions."""
    try:
        days = open_lake(config.lake).read("calendar")
    except KestrelError:
        return {"what": "calendar", "found": "no lake", "advice": "kestrel data import, or kestrel data simulate"}
    left = days.filter(pl.col("date") > date.today()).height
    advice = "ok" if left >= FEWEST_SESSIONS else f"only {left} sessions ahead: import a newer calendar"
    return {"what": "calendar", "found": f"{days['date'][0]} to {days['date'][-1]}, {left} sessions ahead", "advice": advice}
