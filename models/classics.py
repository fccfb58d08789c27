"""Five classic factors at equal rank: the plainest baseline that works, with nothing to fit."""

from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from data.progress import Track, silent
from factors.ranks import centred_ranks
from models import files
from models.dataset import Dataset, Floats32, Sessions, spread

SignedFactor = Annotated[tuple[str, Literal[-1, 1]], Field(strict=False)]


class FiveFactorsSettings(BaseModel):
    """Which factors, and the sign under which high is good.  reversal_20 is the negative 20-session return already."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    factors: Annotated[tuple[SignedFactor, ...], Field(strict=False, min_length=1)] = (
        ("reversal_20", 1),
        ("volatility_20", -1),
        ("turnover_abnormal", -1),
        ("amihud_20", 1),
        ("max_20", -1),
    )


class FiveFactors:
    """The mean signed rank, centred at 0.  A missing factor ranks in the middle; a stock without any has no score."""

    name = "five_factors"

    def __init__(self, settings: FiveFactorsSettings | None = None) -> None:
        """Ready to score."""
        self.settings = settings or FiveFactorsSettings()

    def fit(self, dataset: Dataset, train: Sessions, valid: Sessions, *, seed: int, track: Track = silent, checkpoints: Path | None = None) -> None:
        """Learn nothing; raises KestrelError where the dataset lacks one of the factors."""
        del train, valid, seed, track, checkpoints
        dataset.columns(self._names())

    def score(self, dataset: Dataset, sessions: Sessions) -> Floats32:
        """Mean of the signed centred ranks, in (-0.5, 0.5)."""
        columns = dataset.columns(self._names())
        signs_F = np.array([sign for _, sign in self.settings.factors], dtype=np.float64)
        score_SN = np.full((len(sessions), dataset.axes.shape[1]), np.nan, dtype=np.float32)
        for place, session in enumerate(sessions.tolist()):
            ranks_FN = centred_ranks(dataset.session(session, columns).T)
            mean_N = (np.nan_to_num(ranks_FN, nan=0.0) * signs_F[:, None]).sum(axis=0) / len(signs_F)
            mean_N = np.where(np.isfinite(ranks_FN).any(axis=0), mean_N, np.nan)
            score_SN[place] = spread(mean_N, dataset.present_DN[session])
        return score_SN

    def save(self, folder: Path) -> None:
        """Write model.json: the settings."""
        files.write(folder, self.name, {"settings": self.settings.model_dump(mode="json")})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        return cls(files.saved_as(folder, cls.name).settings(FiveFactorsSettings))

    def _names(self) -> list[str]:
        return [name for name, _ in self.settings.factors]
