"""What a model is: it learns from some sessions of a dataset and scores others."""

from pathlib import Path
from typing import Protocol, Self

from data.progress import Track, silent
from models.dataset import Dataset, Floats32, Sessions


class Model(Protocol):
    """A scorer of cross-sections.  Equal data, settings and seed give equal bytes."""

    @property
    def name(self) -> str:
        """The plain name of its kind, as models/registry.py knows it."""
        ...

    def fit(self, dataset: Dataset, train: Sessions, valid: Sessions, *, seed: int, track: Track = silent, checkpoints: Path | None = None) -> None:
        """Learn from the training sessions; choose (alpha, rounds, weights) on the validation sessions alone.

        checkpoints: a folder of its own where a long fit leaves its state, so that a fit killed there goes on to the same bytes.
        """
        ...

    def score(self, dataset: Dataset, sessions: Sessions) -> Floats32:
        """score_SN of those sessions, higher is better; NaN for stocks that aren't present.  Reads no label."""
        ...

    def save(self, folder: Path) -> None:
        """Write plain files (see models/files.py); what is loaded from them scores byte for byte the same."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; raises KestrelError for anything else."""
        ...
