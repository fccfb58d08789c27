"""Exam: how good a student or any scorer is on a labelled file, and how a student agrees with its teachers."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data.errors import KestrelError
from data.lake import Lake
from models.sentiment.answers import Answer, Failure, News, Scorer
from models.sentiment.distil import TONES, FilterSettings
from models.sentiment.evaluation import Bin, Ints, confusion, evaluation, reliability
from models.sentiment.prices import yuan
from models.sentiment.student.losses import Floats
from models.sentiment.student.student import Student, load_student
from pipelines.distil import Columns, Part, read_labelled, taught_news, types_of

# The label that each of the five levels stands for, where a file's labels are tones 0 … C - 1 from bad to good; half of level 3 goes each way.
SHARES = {
    2: [[1, 0], [1, 0], [0.5, 0.5], [0, 1], [0, 1]],
    3: [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]],
    5: np.eye(5).tolist(),
}


@dataclass(frozen=True)
class Exam:
    """What came of one: rows of figures, how often a class (rows) was taken for another (columns), and how sure was how right.

    against: what an answer is compared with, a 'label' or a 'teacher'.
    """

    who: str
    against: str
    classes: list[str]
    rows: list[dict[str, Any]]
    taken_CC: Ints
    bins: list[Bin]


def examined(who: str, against: str, classes: list[str], p_NC: Floats, truth_N: Ints, more: Mapping[str, float]) -> Exam:
    """The exam of these probabilities: texts, accuracy (or agreement), macro-F1, AUC, calibration error, log loss with 95 % intervals, and more."""
    figures = [{"figure": name, "value": one.value, "low": one.low, "high": one.high} for name, one in evaluation(p_NC, truth_N).items()]
    if against == "teacher":
        figures[0]["figure"] = "same as the teacher"
    rows = [{"figure": "texts", "value": len(truth_N)}, *figures, *({"figure": name, "value": value} for name, value in more.items())]
    return Exam(who, against, classes, rows, confusion(p_NC, truth_N), reliability(p_NC, truth_N))


def of_student(folder: Path, file: Path, columns: Columns, part: Part) -> Exam:
    """A student on a labelled file.  Raises KestrelError for a label that the student doesn't know."""
    student, found = load_student(folder), read_labelled(file, columns, part)
    labels = types_of(file, found.labels) if student.about["target"] == "event" else found.labels
    classes = student.about["classes"]
    strange = sorted(set(labels) - set(classes))
    if strange:
        raise KestrelError(f"{file} has labels {', '.join(strange[:5])}, which the student of {folder} doesn't know. It knows {', '.join(classes)}.")
    p_NC, spent = _timed(student, found.documents)
    truth = np.array([classes.index(label) for label in labels])
    return examined(f"student {folder}", "label", classes, p_NC, truth, {"texts a second": len(truth) / spent})


def of_scorer(scorer: Scorer, file: Path, columns: Columns, part: Part, *, limit: int | None = None) -> Exam:
    """Any scorer on a labelled file of tones 0 … C - 1, its texts read as titles, at most so many of them, spread evenly; failures are counted.

    Raises KestrelError for labels that are no tones, and where nothing is answered.
    """
    found = read_labelled(file, columns, part)
    classes = [str(place) for place in range(max(2, len(set(found.labels))))]
    if len(classes) not in SHARES or not set(found.labels) <= set(classes):
        raise KestrelError(
            f"{file} has labels {', '.join(sorted(set(found.labels))[:6])}; a scorer is judged by tones 0, 1, … from bad to good, 2, 3 or 5."
        )
    count = len(found.texts)
    chosen = np.linspace(0, count - 1, min(limit or count, count)).astype(int).tolist()
    began = time.perf_counter()
    answers = scorer.score([News("", "", found.names[place] or "公司", found.texts[place]) for place in chosen])
    spent = time.perf_counter() - began
    told = [(place, answer) for place, answer in zip(chosen, answers, strict=True) if isinstance(answer, Answer)]
    if not told:
        raise KestrelError(f"None of {len(chosen)} texts was answered: {next(one.reason for one in answers if isinstance(one, Failure))}")
    p_NC = np.array([answer.probabilities for _, answer in told]) @ np.array(SHARES[len(classes)], dtype=np.float64)
    truth = np.array([int(found.labels[place]) for place, _ in told])
    took = {"failed": len(chosen) - len(told), "tokens": sum(one.tokens for _, one in told), "CNY": yuan(sum(one.cost for _, one in told))}
    return examined(scorer.name, "label", classes, p_NC, truth, {**took, "texts a second": len(chosen) / spent})


def of_pupil(lake: Lake, folder: Path, teachers: Sequence[str], start: date | None) -> Exam:
    """A student against what its teachers answered about the lake's news published from a day on: tones, or the events that they told."""
    student = load_student(folder)
    events = student.about["target"] == "event"
    rows = taught_news(lake, teachers, FilterSettings(entropy=1, agreement=0), events=events)
    rows = rows.filter(pl.lit(value=True) if start is None else pl.col("published_at").dt.date() >= start)
    classes = student.about["classes"]
    rows = rows.filter(pl.col("event").is_in(classes)) if events else rows
    if not rows.height or (not events and len(classes) != len(TONES)):
        raise KestrelError(f"Nothing to compare: {rows.height} answers of {', '.join(teachers)}, {len(classes)} classes of the student.")
    p_NC, spent = _timed(student, rows["text"].to_list())
    more = {"texts a second": rows.height / spent}
    if events:
        truth = np.array([classes.index(event) for event in rows["event"]])
    else:
        teacher_NC = rows.select(TONES).to_numpy()
        truth = teacher_NC.argmax(axis=1)
        more["correlation of tones"] = float(np.corrcoef(p_NC[:, 2] - p_NC[:, 0], teacher_NC[:, 2] - teacher_NC[:, 0])[0, 1])
    return examined(f"student {folder}", "teacher", classes, p_NC, truth, more)


def _timed(student: Student, texts: list[str]) -> tuple[Floats, float]:
    """(probabilities, seconds), compilation left out."""
    student.predict(texts[:1])
    began = time.perf_counter()
    p_NC: Floats = student.predict(texts)
    return p_NC, time.perf_counter() - began
