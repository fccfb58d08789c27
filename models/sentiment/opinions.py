"""What a model thinks of a piece, before and after calibration, with all that is kept about how it came to it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.sentiment.answers import LEVELS, Answer
from models.sentiment.labels import Calibration, Five, five
from models.sentiment.prompts import Prompt
from models.sentiment.settings import SentimentSettings


@dataclass(frozen=True, slots=True)
class Opinion:
    """Five probabilities, those of each sample, and what they took.  drawn: counted draws instead of log-probabilities.  cost: 1e-6 CNY.

    event: the type told by most samples, None where none was asked for or told.
    """

    probabilities: Five
    samples: tuple[Five, ...]
    drawn: bool
    thought: str = ""
    think_tokens: int = 0
    tokens: int = 0
    hit: int = 0
    miss: int = 0
    cost: int = 0
    event: str | None = None

    def calibrated(self, calibration: Calibration) -> "Opinion":
        """The same opinion under calibrated probabilities; draws have a prior of their own."""
        if self.drawn:
            return self
        return replace(self, probabilities=averaged([calibration(sample) for sample in self.samples]))

    @property
    def score(self) -> float:
        """The expected level."""
        return float(np.dot(LEVELS, self.probabilities))

    @property
    def entropy(self) -> float:
        """In nats; log 5 where all labels are equally likely."""
        return float(-sum(p * np.log(p) for p in self.probabilities if p > 0))

    @property
    def dispersion(self) -> float:
        """Standard deviation of the samples' scores; 0 of a single one."""
        return float(np.std([np.dot(LEVELS, sample) for sample in self.samples]))

    def record(self) -> dict[str, Any]:
        """What the cache keeps: the answer, how sure it is, why, and what it took."""
        counted = {"think": self.think_tokens, "all": self.tokens, "hit": self.hit, "miss": self.miss}
        sure = {"score": self.score, "entropy": self.entropy, "dispersion": self.dispersion}
        return {"probabilities": self.probabilities, **sure, "event": self.event, "rationale": self.thought, "tokens": counted, "cost": self.cost}

    @property
    def answer(self) -> Answer:
        """What a scorer answers."""
        return Answer(self.probabilities, self.tokens, self.cost, self.event)


def most_told(events: Sequence[str | None]) -> str | None:
    """The event of most samples, the first of equals; samples without one don't count."""
    return max(told, key=told.count) if (told := [event for event in events if event]) else None


def averaged(many: Sequence[Five]) -> Five:
    """The mean of several distributions."""
    return five(np.mean(many, axis=0))


def settled_name(model: str, asked: Prompt, settings: SentimentSettings, *what: str) -> str:
    """A scorer's name: the model, the prompt, and a digest of all that its answers depend on."""
    parts = (settings.thinking.model_dump_json(), settings.calibration.model_dump_json(), asked.digest, *what)
    return f"{model.rsplit('/', 1)[-1]}-{asked.name}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:6]}"
