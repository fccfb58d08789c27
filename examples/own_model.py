"""A model of your own: each factor weighed by its RankIC on the training dates.  Any class with these four methods will do.

Run, in the folder that holds examples/:

    kestrel --set 'train.models=["five_factors", "examples.own_model:Weighed"]' train

Its settings go into the config as [model."examples.own_model:Weighed"]; a blend takes it as a member by the same name.
"""

from pathlib import Path
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveInt

from data.progress import Track, silent
from factors.judge import mean_rank_ic
from factors.ranks import centred_ranks
from models import files
from models.dataset import Dataset, Floats32, Sessions


class Weighed:
    """The sum of the factors' ranks, each times what it foretold."""

    name = f"{__name__}:Weighed"

    class Settings(BaseModel):
        """Which factors count."""

        model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

        horizon: PositiveInt = 5  # taken from train.horizon, as every model's that has one
        fewest: NonNegativeFloat = 0.01  # a factor whose RankIC is nearer to 0 is left out

    def __init__(self, settings: Settings | None = None) -> None:
        """Ready to learn."""
        self.settings = settings or self.Settings()
        self.weights: dict[str, float] = {}

    def fit(self, dataset: Dataset, train: Sessions, valid: Sessions, *, seed: int, track: Track = silent, checkpoints: Path | None = None) -> None:
        """Weigh each factor."""
        y_SN = dataset.loss_label(self.settings.horizon)[train]
        found = {name: mean_rank_ic(dataset.x_DNF[train, :, place], y_SN) for place, name in enumerate(track(dataset.names, self.name))}
        self.weights = {name: found[name] for name in sorted(found) if abs(found[name]) >= self.settings.fewest}

    def score(self, dataset: Dataset, sessions: Sessions) -> Floats32:
        """The weighted ranks of the stocks present; NaN for the others."""
        dataset.columns(list(self.weights))  # refuses a dataset that lacks one
        places = [dataset.names.index(name) for name in self.weights]
        score_SN = np.full((len(sessions), dataset.axes.shape[1]), np.nan, dtype=np.float32)
        for row, session in enumerate(sessions.tolist()):
            ranks_FN = np.nan_to_num(centred_ranks(dataset.session(session)[:, places].T))  # a missing factor ranks in the middle
            score_SN[row, dataset.present_DN[session]] = np.einsum("f,fn->n", [*self.weights.values()], ranks_FN, optimize=False)
        return score_SN

    def save(self, folder: Path) -> None:
        """Write model.json, which is all there is."""
        files.write(folder, self.name, {"settings": self.settings.model_dump(mode="json"), "weights": self.weights})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        saved = files.saved_as(folder, cls.name)
        model = cls(saved.settings(cls.Settings))
        model.weights = saved.state["weights"]
        return model
