"""A student as a scorer: news in, five probabilities out, no network and no cost."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data.errors import KestrelError
from models import files
from models.sentiment.answers import LEVELS, Answer, Failure, News
from models.sentiment.student.documents import document
from models.sentiment.student.student import load_student

# Which of the five LEVELS the classes of a head mean, by their number: the fewer, the plainer.
HEADS = {2: (0, 4), 3: (0, 2, 4), 5: (0, 1, 2, 3, 4)}


class StudentScorer:
    """The student of a folder; `name` changes with any byte of it."""

    def __init__(self, folder: Path) -> None:
        """Load the student; raises KestrelError where the folder is none, or its classes are no tones from bad to good."""
        self.student = load_student(folder)
        self.classes = len(self.student.predict([""])[0])
        if self.classes not in HEADS or self.student.about.get("target", "tone") != "tone":
            raise KestrelError(f"{folder} holds a student of {self.classes} classes that are no tones, so it can't score. Distil one of 2, 3 or 5.")
        self.name = f"student-{self.student.name}-{hashlib.sha256((folder / files.HEAD).read_bytes()).hexdigest()[:6]}"

    def score(self, news: Sequence[News]) -> list[Answer | Failure]:
        """One answer a piece, in order; a piece without text is a failure."""
        p_NC = self.student.predict([document(one.title, one.body, one.name) for one in news])
        levels_NL = np.zeros((len(news), len(LEVELS)))
        levels_NL[:, HEADS[self.classes]] = p_NC
        return [
            Answer((row[0], row[1], row[2], row[3], row[4])) if (one.title + one.body).strip() else Failure("no text")
            for one, row in zip(news, levels_NL.tolist(), strict=True)
        ]
