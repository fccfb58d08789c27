"""A student as a scorer: news in, five probabilities out, no network and no cost."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data.errors import KestrelError
from data.events import OTHER
from models import files
from models.sentiment.answers import LEVELS, Answer, Failure, News
from models.sentiment.student.documents import document
from models.sentiment.student.student import Student, load_student

# Which of the five LEVELS the classes of a head mean, by their number: the fewer, the plainer.
HEADS = {2: (0, 4), 3: (0, 2, 4), 5: (0, 1, 2, 3, 4)}
SURE = 0.5  # labelled sets hold far more events than the daily news do, so the likeliest type must be likelier than not


class StudentScorer:
    """The student of a folder, and one of events where another folder is named; `name` changes with any byte of either."""

    def __init__(self, folder: Path, events: Path | None = None) -> None:
        """Load both; raises KestrelError where a folder is none, or holds no student of tones from bad to good, or of events."""
        self.student = load_student(folder)
        self.classes = len(self.student.predict([""])[0])
        if self.classes not in HEADS or self.student.about.get("target", "tone") != "tone":
            raise KestrelError(f"{folder} holds a student of {self.classes} classes that are no tones, so it can't score. Distil one of 2, 3 or 5.")
        self.events = None if events is None else load_student(events)
        if self.events is not None and self.events.about.get("target") != "event":
            raise KestrelError(f"{events} holds no student of events. Make one: kestrel sentiment distil {events} --events --file FILE")
        heads = b"".join((one / files.HEAD).read_bytes() for one in (folder, events) if one is not None)
        self.name = f"student-{self.student.name}-{hashlib.sha256(heads).hexdigest()[:6]}"

    def score(self, news: Sequence[News]) -> list[Answer | Failure]:
        """One answer a piece, in order; a piece without text is a failure."""
        p_NC = self.student.predict(_read(self.student, news))
        told = self._told(news)
        levels_NL = np.zeros((len(news), len(LEVELS)))
        levels_NL[:, HEADS[self.classes]] = p_NC
        return [
            Answer((row[0], row[1], row[2], row[3], row[4]), event=event) if (one.title + one.body).strip() else Failure("no text")
            for one, row, event in zip(news, levels_NL.tolist(), told, strict=True)
        ]

    def _told(self, news: Sequence[News]) -> list[str] | list[None]:
        """The event of each piece that has at least half of the probability, OTHER where none has; None without a student of events."""
        if self.events is None:
            return [None] * len(news)
        classes, p_NC = self.events.about["classes"], self.events.predict(_read(self.events, news))
        return [classes[best] if sure >= SURE else OTHER for best, sure in zip(p_NC.argmax(axis=1), p_NC.max(axis=1), strict=True)]


def _read(student: Student, news: Sequence[News]) -> list[str]:
    """The pieces as this student learnt to read them: with the company's name as a marker, or without."""
    named = student.about.get("named", True)
    return [document(one.title, one.body, one.name if named else "") for one in news]
