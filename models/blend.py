"""Several models as one: z-scores of each session, added with weights that only validation dates may choose."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator

from data.progress import Track, silent
from factors.judge import mean_rank_ic
from factors.ranks import z_score
from models import files
from models.dataset import Dataset, Floats32, Sessions
from models.model import Model


class BlendSettings(BaseModel):
    """Who votes, and with what weight."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    members: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = ("ridge", "lightgbm_rank", "five_factors")
    weights: Literal["equal", "rank_ic"] = "equal"
    horizon: PositiveInt = 5  # of the labels that weigh

    @field_validator("members")
    @classmethod
    def _each_once(cls, members: tuple[str, ...]) -> tuple[str, ...]:
        if {"blend", "default"} & set(members) or len(set(members)) < len(members):
            raise ValueError("name each member once, and no blend within the blend")
        return members


class Blend:
    """A z-blend of other models; it fits, saves and loads them as its own."""

    name = "blend"

    def __init__(self, members: Sequence[Model], settings: BlendSettings | None = None) -> None:
        """An unfitted blend of unfitted members, each of its own name."""
        self.settings = settings or BlendSettings(members=tuple(member.name for member in members))
        self.members = tuple(members)
        self.weights = dict.fromkeys((member.name for member in members), 1 / len(members))

    def fit(self, dataset: Dataset, train: Sessions, valid: Sessions, *, seed: int, track: Track = silent, checkpoints: Path | None = None) -> None:
        """Fit each member, then weigh them on the validation sessions."""
        for member in self.members:
            member.fit(dataset, train, valid, seed=seed, track=track, checkpoints=checkpoints and checkpoints / member.name)
        self.weigh_members(dataset, valid)

    def weigh_members(self, dataset: Dataset, valid: Sessions) -> None:
        """Weigh fitted members on the validation sessions, as the settings say."""
        if self.settings.weights == "rank_ic":
            scores = {member.name: member.score(dataset, valid) for member in self.members}
            self.weights = weigh(scores, dataset.loss_label(self.settings.horizon)[valid])

    def score(self, dataset: Dataset, sessions: Sessions) -> Floats32:
        """The blend of the members' scores."""
        return z_blend({member.name: member.score(dataset, sessions) for member in self.members}, self.weights)

    def save(self, folder: Path) -> None:
        """Write model.json, and each member in a folder of its name."""
        for member in self.members:
            member.save(folder / member.name)
        # The blend sums its members' heads too, so that no member is swapped for another valid model.
        heads = {f"{member.name}/{files.HEAD}": (folder / member.name / files.HEAD).read_bytes() for member in self.members}
        files.write(folder, self.name, {"settings": self.settings.model_dump(mode="json"), "weights": self.weights}, heads)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        from models.registry import load  # the registry knows blends, so it can't be imported above

        saved = files.saved_as(folder, cls.name)
        settings: BlendSettings = saved.settings(BlendSettings)
        model = cls([load(folder / name) for name in saved.state["weights"]], settings)
        model.weights = dict(saved.state["weights"])
        return model


def z_blend(scores: Mapping[str, Floats32], weights: Mapping[str, float]) -> Floats32:
    """Weighted sum of each model's z-scores by session.  score_SN each -> score_SN.

    A model without a score for a stock counts as average there; a stock that no weighted model scores is NaN.  Models are added
    in the order of their names, so that the order of the mapping doesn't reach the last bit.
    """
    names = sorted(name for name in scores if weights[name] != 0)
    total = np.zeros(next(iter(scores.values())).shape)
    scored = np.zeros(total.shape, dtype=bool)
    for name in names:
        z_SN = z_score(scores[name])
        scored |= np.isfinite(z_SN)
        total += weights[name] * np.nan_to_num(z_SN, nan=0.0)
    return np.where(scored, total, np.nan).astype(np.float32)


def weigh(scores: Mapping[str, Floats32], y_SN: Floats32) -> dict[str, float]:
    """Weights in proportion to each model's mean RankIC on these (validation) sessions, none below 0; equal if none is above."""
    found = {name: max(np.nan_to_num(mean_rank_ic(score_SN, y_SN)), 0.0) for name, score_SN in scores.items()}
    total = sum(found.values())
    return {name: float(value / total) if total > 0 else 1 / len(found) for name, value in found.items()}
