"""A dataset that several processes read at once: its arrays lie in files that each of them maps into its memory."""

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from data.panel import Axes
from models.dataset import Dataset
from pipelines.runs import read_json, write_json

ARRAYS = ("x_DNF", "present_DN", "y_DNH", "entry_DN")
HEAD = "dataset.json"  # written last


def share(dataset: Dataset, ground: dict[str, Any], folder: Path) -> None:
    """Write the dataset, and what it depends on, into the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ARRAYS:
        np.save(folder / f"{name}.npy", getattr(dataset, name))
    axes = {"dates": [day.isoformat() for day in dataset.axes.dates], "symbols": dataset.axes.symbols}
    write_json(folder / HEAD, {**axes, "names": dataset.names, "horizons": dataset.horizons, "ground": json.dumps(ground)})


def is_shared(folder: Path) -> bool:
    """Whether the folder holds a whole dataset."""
    return (folder / HEAD).is_file()


def shared(folder: Path) -> tuple[Dataset, dict[str, Any]]:
    """(the dataset, what it depends on).  Its pages are read when they are used, and held once however many processes use them."""
    head = read_json(folder / HEAD)
    # Mapped copy-on-write: nobody writes, but torch and compiled functions treat arrays that can't be written as another kind.
    arrays = {name: np.asarray(np.load(folder / f"{name}.npy", mmap_mode="c")) for name in ARRAYS}
    axes = Axes(tuple(date.fromisoformat(day) for day in head["dates"]), tuple(head["symbols"]))
    return Dataset(axes=axes, names=tuple(head["names"]), horizons=tuple(head["horizons"]), **arrays), json.loads(head["ground"])
