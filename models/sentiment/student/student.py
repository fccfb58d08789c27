"""What every student can do, and the kinds there are."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from data.progress import Track, silent
from models import files
from models.sentiment.student.blend import BlendStudent
from models.sentiment.student.encoder import EncoderStudent
from models.sentiment.student.linear import LinearStudent
from models.sentiment.student.losses import Floats, Targets


class Student(Protocol):
    """A small model that gives texts probabilities.  about: facts of its training, kept with it: class names, dates, sums of the data."""

    name: str
    about: dict[str, Any]

    def fit(self, texts: Sequence[str], targets: Targets, *, seed: int = 0, track: Track = silent) -> None:
        """Learn in place."""
        ...

    def predict(self, texts: Sequence[str]) -> Floats:
        """Probabilities [N, C]."""
        ...

    def save(self, folder: Path) -> None:
        """Write a folder of plain files with their sums; nothing is pickled."""
        ...


KINDS: Mapping[str, type[LinearStudent] | type[EncoderStudent] | type[BlendStudent]] = {
    "linear": LinearStudent,
    "encoder": EncoderStudent,
    "blend": BlendStudent,
}


def load_student(folder: Path) -> Student:
    """The student of a folder, whatever its kind; raises KestrelError for a folder that is none, damaged or edited."""
    return KINDS[files.saved_as(folder, *KINDS).model].load(folder)
