"""Student 2: a small convolutional encoder over characters, trained from scratch with torch, answering without it.

Dims: N texts, V of the alphabet, H channels of each of W widths, P places of all widths, C classes.
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
from models.sentiment.student import grams, tables
from models.sentiment.student.losses import Targets, log_loss, softmax, temperature

Floats = NDArray[np.float64]
CHUNK = 4096  # texts a pass of predict: bounds its memory
HELD_OUT = 10  # one training text in so many chooses the epoch and the temperature
OWN = 4  # PAD, UNKNOWN, START and END come before the characters that training knows


class EncoderSettings(BaseModel):
    """The encoder's size and how it learns."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    # size
    longest: PositiveInt = 256  # characters of a text that are read
    least: PositiveInt = 2  # times a character must stand in the training texts
    embedding: PositiveInt = 64
    channels: PositiveInt = 96  # of each width
    widths: Annotated[tuple[PositiveInt, ...], Field(strict=False, min_length=1)] = (2, 3, 4)
    # learning
    epochs: PositiveInt = 12
    batch: PositiveInt = 64
    rate: PositiveFloat = 2e-3
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.4
    blanked: Annotated[float, Field(ge=0, lt=1)] = 0.1  # share of characters that a training step can't read
    decay: Annotated[float, Field(ge=0)] = 1e-2


class EncoderStudent:
    """Embedded characters, one convolution of several widths, the largest response of each channel, a linear head."""

    name = "encoder"

    def __init__(self, settings: EncoderSettings | None = None) -> None:
        """An unfitted student."""
        self.settings = settings or EncoderSettings()
        self.alphabet: NDArray[np.uint32] = np.empty(0, np.uint32)  # code points in ascending order
        self.weights: dict[str, NDArray[np.float32]] = {}
        self.table_PVH: NDArray[np.float32] = np.empty((0, 0, 0), np.float32)
        self.temperature = 1.0
        self.about: dict[str, Any] = {}

    def fit(self, texts: Sequence[str], targets: Targets, *, seed: int = 0, track: Track = silent) -> None:
        """Learn from these texts in place; the same seed and number of threads give the same weights.

        Raises KestrelError where there is too little to learn from.
        """
        import torch

        from models.sentiment.student.network import Network, trained

        if len(texts) < 3 * HELD_OUT:
            raise KestrelError(f"{len(texts)} texts are too few to fit a student: bring {3 * HELD_OUT} at least.")
        s = self.settings
        known, often = np.unique(tables.folded_all(grams.codes(texts)[0]), return_counts=True)
        self.alphabet = known[often >= s.least]
        edges, characters = self._spelled(texts)
        held_N = np.arange(len(texts)) % HELD_OUT == HELD_OUT - 1
        held, judge = [text for text, out in zip(texts, held_N, strict=True) if out], targets[np.flatnonzero(held_N)]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = Network(len(self.alphabet) + OWN, s.embedding, s.channels, s.widths, targets.classes, s.dropout)
            best = np.inf
            for weights in trained(network, edges, characters, targets, np.flatnonzero(~held_N), s, seed=seed, track=track):
                self._take(weights)
                z_HC = self.logits(held)
                warm = temperature(z_HC, judge.best_NC)
                if (found := log_loss(z_HC / warm, judge.best_NC)) < best:
                    best, kept, self.temperature = found, weights, warm
        self._take(kept)

    def predict(self, texts: Sequence[str]) -> Floats:
        """Probabilities [N, C]."""
        return softmax(self.logits(texts) / self.temperature)

    def logits(self, texts: Sequence[str]) -> Floats:
        """Log probabilities before the temperature, but for a constant a row, [N, C]."""
        widths = np.array(self.settings.widths, np.int32)
        bias_WH = np.stack([self.weights[f"convolutions.{place}.bias"] for place in range(len(widths))])
        found = []
        for first in range(0, len(texts), CHUNK):
            edges, characters = self._spelled(texts[first : first + CHUNK])
            best_NWH = np.empty((len(edges) - 1, *bias_WH.shape), np.float32)
            tables.pooled(edges, characters, self.table_PVH, bias_WH, widths, best_NWH)
            found.append(best_NWH.reshape(len(best_NWH), -1) @ self.weights["head.weight"].T + self.weights["head.bias"])
        return np.concatenate(found).astype(np.float64) if found else np.empty((0, len(self.weights["head.bias"])))

    def _spelled(self, texts: Sequence[str]) -> tuple[grams.Edges, grams.Ints]:
        """Texts as characters of the alphabet, (edges, characters)."""
        character = np.full(0x110000, tables.UNKNOWN, np.int32)
        character[self.alphabet] = np.arange(len(self.alphabet), dtype=np.int32) + OWN
        character[[grams.START, grams.END]] = tables.UNKNOWN + 1, tables.UNKNOWN + 2
        return tables.spelled(*grams.codes(texts), character, self.settings.longest, max(self.settings.widths))

    def _take(self, weights: dict[str, NDArray[np.float32]]) -> None:
        """Answer with these weights from now on."""
        self.weights = weights
        kernels = [weights[f"convolutions.{place}.weight"] for place in range(len(self.settings.widths))]
        self.table_PVH = tables.table(weights["embed.weight"], kernels)

    def save(self, folder: Path) -> None:
        """Write the student's folder."""
        tensors = save({**self.weights, "alphabet": self.alphabet})
        state = {"settings": self.settings.model_dump(), "temperature": self.temperature, "about": self.about}
        files.write(folder, self.name, state, {"weights.safetensors": tensors})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a folder that `save` wrote."""
        saved = files.saved_as(folder, cls.name)
        student = cls(saved.settings(EncoderSettings))
        tensors = load(saved.files["weights.safetensors"])
        student.alphabet = tensors.pop("alphabet")
        student.temperature = saved.state["temperature"]
        student._take(tensors)
        student.about = saved.state["about"]
        return student
