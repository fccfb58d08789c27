"""Students 1 and 2 together: the geometric mean of their probabilities.  They err on different texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from data.progress import Track, silent
from models import files
from models.sentiment.student.encoder import EncoderSettings, EncoderStudent
from models.sentiment.student.linear import LinearSettings, LinearStudent
from models.sentiment.student.losses import Floats, Targets, softmax


class BlendSettings(BaseModel):
    """The settings of both."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    linear: LinearSettings = LinearSettings()
    encoder: EncoderSettings = EncoderSettings()


class BlendStudent:
    """A linear student and an encoder of the same texts, with equal weights."""

    name = "blend"

    def __init__(self, settings: BlendSettings | None = None) -> None:
        """An unfitted pair."""
        self.settings = settings or BlendSettings()
        self.members = (LinearStudent(self.settings.linear), EncoderStudent(self.settings.encoder))
        self.about: dict[str, Any] = {}

    def fit(self, texts: Sequence[str], targets: Targets, *, seed: int = 0, track: Track = silent) -> None:
        """Both learn from these texts in place."""
        for member in self.members:
            member.fit(texts, targets, seed=seed, track=track)

    def predict(self, texts: Sequence[str]) -> Floats:
        """Probabilities [N, C]."""
        linear, encoder = (np.log(np.maximum(member.predict(texts), 1e-12)) for member in self.members)
        return softmax((linear + encoder) / 2)

    def save(self, folder: Path) -> None:
        """Write the pair's folder, one of its own for each member."""
        for member in self.members:
            member.save(folder / member.name)
        heads = {f"{member.name}/{files.HEAD}": (folder / member.name / files.HEAD).read_bytes() for member in self.members}
        files.write(folder, self.name, {"settings": self.settings.model_dump(), "about": self.about}, heads)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a folder that `save` wrote."""
        saved = files.saved_as(folder, cls.name)
        student = cls(saved.settings(BlendSettings))
        student.members = (LinearStudent.load(folder / LinearStudent.name), EncoderStudent.load(folder / EncoderStudent.name))
        student.about = saved.state["about"]
        return student
