"""Student 1: multinomial logistic regression on hashed character 1-4-grams.

Dims: N texts, K grams that training knows, C classes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt
from safetensors.numpy import load, save

from data.errors import KestrelError
from data.progress import Track, silent
from models import files
from models.sentiment.student import ascent, grams
from models.sentiment.student.losses import Targets, log_loss, softmax, temperature

Floats = NDArray[np.float64]
Sparse = tuple[grams.Edges, grams.Ints, grams.Floats32]
CHUNK = 8192  # texts a pass of predict: bounds its memory
HELD_OUT = 5  # one training text in so many chooses the penalty, the weighing and the temperature
STILL = 1e-3  # a mean change of probabilities below which the solver ends: the digits after it tell nothing of other texts


class LinearSettings(BaseModel):
    """How the linear student learns."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    bits: Annotated[int, Field(ge=8, le=26)] = 20  # 2**bits buckets
    least: PositiveInt = 2  # texts a gram must stand in
    # tried on held-out texts: the strength of the loss over the penalty, and powers of the inverse document frequency by which grams are weighed
    strengths: Annotated[tuple[PositiveFloat, ...], Field(strict=False, min_length=1)] = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
    rarities: Annotated[tuple[NonNegativeFloat, ...], Field(strict=False, min_length=1)] = (1.0, 0.0)
    steps: PositiveInt = 40  # sweeps of the solver, at most


class LinearStudent:
    """Weights of grams; the penalty, the weighing and the temperature of the probabilities are chosen on held-out training texts."""

    name = "linear"

    def __init__(self, settings: LinearSettings | None = None) -> None:
        """An unfitted student."""
        self.settings = settings or LinearSettings()
        self.buckets_K: NDArray[np.int32] = np.empty(0, np.int32)
        self.scale_K: NDArray[np.float32] = np.empty(0, np.float32)
        self.weights_KC: NDArray[np.float32] = np.empty((0, 0), np.float32)
        self.bias_C: Floats = np.empty(0)
        self.strength, self.temperature = 0.0, 1.0
        self.about: dict[str, Any] = {}

    def fit(self, texts: Sequence[str], targets: Targets, *, seed: int = 0, track: Track = silent) -> None:
        """Learn from these texts in place; the seed has no part in it.  Raises KestrelError where there is too little to learn from."""
        del seed  # a convex problem, solved
        if len(texts) < 6 * HELD_OUT:
            raise KestrelError(f"{len(texts)} texts are too few to fit a student: bring {6 * HELD_OUT} at least.")
        counted = grams.counts(*grams.codes(texts), self.settings.bits)
        frequency = np.bincount(counted[1], minlength=1 << self.settings.bits)
        self.buckets_K = np.flatnonzero(frequency >= self.settings.least).astype(np.int32)
        rarity_K = np.log((1 + len(texts)) / (1 + frequency[self.buckets_K])) + 1
        least = np.inf
        for power in track(self.settings.rarities, "student: weighing and penalty"):
            scale_K = (rarity_K**power).astype(np.float32)
            matrix = grams.weighed(*counted, self._columns(), scale_K)
            found, strength, warm = self._chosen(matrix, targets)
            if found < least:
                least, best, self.scale_K, self.strength, self.temperature = found, matrix, scale_K, strength, warm
        self.weights_KC, self.bias_C = self._solved(best, targets, self.strength)

    def predict(self, texts: Sequence[str]) -> Floats:
        """Probabilities [N, C]; a text without a known gram gets those of the bias alone."""
        return softmax(self.logits(texts) / self.temperature)

    def logits(self, texts: Sequence[str]) -> Floats:
        """Log probabilities before the temperature, but for a constant a row, [N, C]."""
        column = self._columns()
        out_NC = np.tile(self.bias_C, (len(texts), 1))
        for first in range(0, len(texts), CHUNK):
            counted = grams.counts(*grams.codes(texts[first : first + CHUNK]), self.settings.bits)
            grams.times(*grams.weighed(*counted, column, self.scale_K), self.weights_KC, out_NC[first : first + CHUNK])
        return out_NC

    def _columns(self) -> grams.Ints:
        """The column of each bucket, -1 for those that training doesn't know."""
        column = np.full(1 << self.settings.bits, -1, np.int32)
        column[self.buckets_K] = np.arange(len(self.buckets_K), dtype=np.int32)
        return column

    def _chosen(self, matrix: Sparse, targets: Targets) -> tuple[float, float, float]:
        """(cross-entropy, strength, temperature) of the strength that is best for held-out texts: from the least on, as long as more is better."""
        best = (np.inf, 0.0, 1.0)
        for strength in sorted(self.settings.strengths):
            found, warm = self._held_out(matrix, targets, strength)
            if found >= best[0]:
                break
            best = (found, strength, warm)
        return best

    def _held_out(self, matrix: Sparse, targets: Targets, strength: float) -> tuple[float, float]:
        """(cross-entropy, temperature) of the texts held out by a fit of the others."""
        out_N = np.arange(len(targets)) % HELD_OUT == HELD_OUT - 1
        seen, held = np.flatnonzero(~out_N), np.flatnonzero(out_N)
        weights_KC, bias_C = self._solved(grams.rows_of(matrix, seen), targets[seen], strength)
        z_HC = np.tile(bias_C, (len(held), 1))
        grams.times(*grams.rows_of(matrix, held), weights_KC, z_HC)
        target_HC = targets[held].best_NC
        warm = temperature(z_HC, target_HC)
        return log_loss(z_HC / warm, target_HC), warm

    def _solved(self, matrix: Sparse, targets: Targets, strength: float) -> tuple[NDArray[np.float32], Floats]:
        """(weights [K, C], bias [C]) with the least strength * loss + penalty."""
        weights_KC, bias_C = ascent.solved(matrix, len(self.buckets_K), targets, strength, sweeps=self.settings.steps, still=STILL)
        return weights_KC.astype(np.float32), bias_C

    def save(self, folder: Path) -> None:
        """Write the student's folder."""
        weights = save({"buckets": self.buckets_K, "scale": self.scale_K, "weights": self.weights_KC})
        state = {
            "settings": self.settings.model_dump(),
            "strength": self.strength,
            "temperature": self.temperature,
            "bias": self.bias_C.tolist(),
            "about": self.about,
        }
        files.write(folder, self.name, state, {"weights.safetensors": weights})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a folder that `save` wrote."""
        saved = files.saved_as(folder, cls.name)
        student = cls(saved.settings(LinearSettings))
        tensors = load(saved.files["weights.safetensors"])
        student.buckets_K, student.scale_K, student.weights_KC = tensors["buckets"], tensors["scale"], tensors["weights"]
        student.bias_C = np.array(saved.state["bias"])
        student.strength, student.temperature = saved.state["strength"], saved.state["temperature"]
        student.about = saved.state["about"]
        return student
