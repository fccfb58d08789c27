"""What a scorer is asked, and what it answers: five probabilities from very bad to very good news for one company, and the event if any."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

LEVELS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # what the labels 1 … 5 mean


@dataclass(frozen=True, slots=True)
class News:
    """One piece of news about one company.  Title and body are untrusted text; name is the company's short name as of the date."""

    id: str
    symbol: str
    name: str
    title: str
    body: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Probabilities of the five LEVELS, summing to 1; tokens spent; cost in 1e-6 CNY; the type of event (data/events.py), None where nobody asked."""

    probabilities: tuple[float, float, float, float, float]
    tokens: int = 0
    cost: int = 0
    event: str | None = None

    @property
    def score(self) -> float:
        """The expected level, in [-1, 1]."""
        return sum(level * p for level, p in zip(LEVELS, self.probabilities, strict=True))

    @property
    def p_negative(self) -> float:
        """Probability of the two levels below zero."""
        return self.probabilities[0] + self.probabilities[1]

    @property
    def p_neutral(self) -> float:
        """Probability of the level zero."""
        return self.probabilities[2]

    @property
    def p_positive(self) -> float:
        """Probability of the two levels above zero."""
        return self.probabilities[3] + self.probabilities[4]

    @property
    def free(self) -> "Answer":
        """The same answer for a piece that nobody had to be asked about."""
        return replace(self, tokens=0, cost=0)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a piece has no answer; it is recorded, may be tried again, and never becomes a made-up score."""

    reason: str


class Scorer(Protocol):
    """Anything that reads news.  `name` goes into the column news_scores.scorer and changes whenever answers may."""

    @property
    def name(self) -> str:
        """Model, version and prompt in a few words, e.g. student-linear-3f2a."""
        ...

    def score(self, news: Sequence[News]) -> list[Answer | Failure]:
        """One answer or failure a piece, in order."""
        ...
