"""Student 1: multinomial logistic regression on hashed character 1-4-grams.

Dims: N texts, K grams that training knows, C classes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt
from safetensors.numpy import load, save

from data.errors import KestrelError
from data.progress import Track, silent
from models import files
from models.sentiment.student import grams
from models.sentiment.student.losses import Targets, log_loss, loss, softmax, temperature

Floats = NDArray[np.float64]
Sparse = tuple[grams.Edges, grams.Ints, grams.Floats32]
CHUNK = 8192  # texts a pass of predict: bounds its memory
HELD_OUT = 5  # one training text in so many chooses the penalty and the temperature


class LinearSettings(BaseModel):
    """How the linear student learns."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    bits: Annotated[int, Field(ge=8, le=26)] = 20  # 2**bits buckets
    least: PositiveInt = 2  # texts a gram must stand in
    strengths: Annotated[tuple[PositiveFloat, ...], Field(strict=False, min_length=1)] = (3.0, 10.0, 30.0)  # of the loss over the penalty
    steps: PositiveInt = 40  # of the solver, at most: it stops before the last digits, which tell nothing of other texts


class LinearStudent:
    """Weights of grams; the penalty and the temperature of the probabilities are chosen on held-out training texts."""

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
        self.scale_K = (np.log((1 + len(texts)) / (1 + frequency[self.buckets_K])) + 1).astype(np.float32)
        matrix = grams.weighed(*counted, self._columns(), self.scale_K)
        tried = {strength: self._held_out(matrix, targets, strength) for strength in track(self.settings.strengths, "student: penalty")}
        self.strength = min(tried, key=lambda strength: tried[strength][0])
        self.temperature = tried[self.strength][1]
        self.weights_KC, self.bias_C = self._solve(matrix, targets, self.strength)

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

    def _held_out(self, matrix: Sparse, targets: Targets, strength: float) -> tuple[float, float]:
        """(cross-entropy, temperature) of the texts held out by a fit of the others."""
        out_N = np.arange(len(targets)) % HELD_OUT == HELD_OUT - 1
        seen, held = np.flatnonzero(~out_N), np.flatnonzero(out_N)
        weights_KC, bias_C = self._solve(grams.rows_of(matrix, seen), targets[seen], strength)
        z_HC = np.tile(bias_C, (len(held), 1))
        grams.times(*grams.rows_of(matrix, held), weights_KC, z_HC)
        target_HC = targets[held].best_NC
        warm = temperature(z_HC, target_HC)
        return log_loss(z_HC / warm, target_HC), warm

    def _solve(self, matrix: Sparse, targets: Targets, strength: float) -> tuple[NDArray[np.float32], Floats]:
        """(weights [K, C], bias [C]) with the least strength * loss + |weights|^2 / 2."""
        from scipy.optimize import minimize

        shape = (len(self.buckets_K) + 1, targets.classes)

        def objective(flat: Floats) -> tuple[float, Floats]:
            w_KC = flat.reshape(shape)
            z_NC = np.tile(w_KC[-1], (len(targets), 1))
            grams.times(*matrix, w_KC, z_NC)
            total, g_NC = loss(z_NC, targets)
            g_KC = np.zeros(shape)
            grams.transposed_times(*matrix, g_NC * strength, g_KC)
            g_KC[:-1] += w_KC[:-1]
            g_KC[-1] = g_NC.sum(axis=0) * strength
            return strength * total + 0.5 * float(np.sum(w_KC[:-1] ** 2)), g_KC.ravel()

        options = {"maxiter": self.settings.steps, "maxcor": 6, "gtol": 1e-3, "ftol": 1e-6}
        found = minimize(objective, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options=options)
        w_KC = found.x.reshape(shape)
        return w_KC[:-1].astype(np.float32), w_KC[-1].copy()

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
