"""Distil: labelled files or a teacher's scores in the lake become a student's folder."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data.errors import KestrelError
from data.events import TYPES
from data.lake import Lake
from data.progress import Track, silent
from models.sentiment.distil import TONES, FilterSettings, event_lessons, lessons
from models.sentiment.student.documents import document
from models.sentiment.student.losses import DistilSettings, Targets, labelled, taught
from models.sentiment.student.scorer import HEADS
from models.sentiment.student.student import KINDS, Student
from pipelines.given import read_rows

NOBODY = pl.DataFrame(schema={"symbol": pl.String, "start": pl.Date, "name": pl.String})


@dataclass(frozen=True)
class Columns:
    """The columns of a labelled file; name and date are empty where it has none."""

    text: str
    label: str
    name: str = ""
    date: str = ""


@dataclass(frozen=True)
class Part:
    """Which rows of a labelled file: of days from start and before an end, of the texts held out (sha256 mod 5 = 0) or of the others."""

    start: date | None = None
    before: date | None = None
    held_out: bool | None = None  # None: both


@dataclass(frozen=True)
class Labelled:
    """Texts of a file as they are, the concerned companies' names ('' where there is none), and labels as text."""

    texts: list[str]
    names: list[str]
    labels: list[str]

    @property
    def documents(self) -> list[str]:
        """The texts as students read them."""
        return [document(text, name=name) for text, name in zip(self.texts, self.names, strict=True)]


def read_labelled(file: Path, columns: Columns, part: Part) -> Labelled:
    """The labelled texts of a CSV or Parquet file, without repeated ones, in the order of the dates if there are any.

    Raises KestrelError for a file or column that isn't there, for a span of dates without a date column, and where nothing is left.
    """
    if not file.is_file() or file.suffix not in (".csv", ".parquet"):
        raise KestrelError(f"{file} is no CSV or Parquet file. Name one with --file.")
    frame = read_rows(file, "labels")
    missing = [name for name in (columns.text, columns.label, columns.name, columns.date) if name and name not in frame.columns]
    if missing:
        raise KestrelError(f"{file} has no column {', '.join(missing)}. It has: {', '.join(frame.columns)}.")
    if (part.start or part.before) and not columns.date:
        raise KestrelError("A span of dates needs the file's date column. Name it: --date COLUMN")
    frame = frame.filter(pl.col(columns.text).is_not_null(), pl.col(columns.label).is_not_null())
    if columns.date:
        day = pl.col(columns.date).cast(pl.String).str.slice(0, 10).str.to_date()
        inside = (pl.lit(value=True) if part.start is None else day >= part.start) & (True if part.before is None else day < part.before)
        frame = frame.filter(inside).sort(day, maintain_order=True)
    frame = frame.unique(columns.text, keep="first", maintain_order=True)
    if part.held_out is not None:
        held = [int(hashlib.sha256(text.encode()).hexdigest(), 16) % 5 == 0 for text in frame[columns.text]]
        frame = frame.filter(pl.Series(held, dtype=pl.Boolean) == part.held_out)
    if not frame.height:
        raise KestrelError(f"{file} has no labelled text in the part asked for.")
    names = frame[columns.name].fill_null("").to_list() if columns.name else [""] * frame.height
    return Labelled(frame[columns.text].to_list(), names, frame[columns.label].cast(pl.String).to_list())


def distil_file(
    file: Path, columns: Columns, part: Part, folder: Path, *, kind: str, seed: int, events: bool = False, track: Track = silent
) -> list[dict[str, Any]]:
    """Fit a student on a labelled file and save it; a row of what it learnt from.

    Labels 0 … C - 1 in 2, 3 or 5 classes are tones from bad to good, which the lake's news can be scored by; others are plain classes,
    or types of events (data/events.py), by which a student of tones tells events too.  Raises KestrelError for a label that is no event.
    """
    found = read_labelled(file, columns, part)
    labels = types_of(file, found.labels) if events else found.labels
    numbers = all(label.lstrip("-").isdigit() for label in labels)
    classes = sorted(set(labels), key=int if numbers else str)
    tones = numbers and len(classes) in HEADS and classes == [str(n) for n in range(len(classes))]
    places = {name: place for place, name in enumerate(classes)}
    targets = labelled(np.array([places[label] for label in labels]), len(classes))
    target = "event" if events else "tone" if tones else "class"
    about = {"classes": classes, "target": target, "named": bool(columns.name), "before": str(part.before or "")}
    return _fitted(found.documents, targets, about, folder, kind=kind, seed=seed, track=track)


def distil_lake(
    lake: Lake,
    teachers: Sequence[str],
    before: date | None,
    folder: Path,
    *,
    kind: str,
    seed: int,
    events: bool = False,
    sure: FilterSettings | None = None,
    loss: DistilSettings | None = None,
    track: Track = silent,
) -> list[dict[str, Any]]:
    """Fit a student on what the teachers answered about news published before a day, and save it; a row of what it learnt from.

    events: on the types of events that they told, instead of tones.  Raises KestrelError where the lake has no such answers.
    """
    rows = taught_news(lake, teachers, sure, events=events).filter(
        pl.lit(value=True) if before is None else pl.col("published_at").dt.date() < before
    )
    if not rows.height:
        what = "event told" if events else "sure answer with probabilities"
        raise KestrelError(f"The lake has no {what} by {', '.join(teachers)} about news before {before or 'today'}.")
    about = {"target": "event" if events else "tone", "named": True, "before": str(before or ""), "teachers": list(teachers)}
    if events:
        classes = sorted(set(rows["event"]))
        targets = labelled(np.array([classes.index(event) for event in rows["event"]]), len(classes))
    else:
        classes, targets = ["negative", "neutral", "positive"], taught(rows.select(TONES).to_numpy(), loss)
    about["classes"] = classes
    return _fitted(rows["text"].to_list(), targets, about, folder, kind=kind, seed=seed, track=track)


def types_of(file: Path, labels: Sequence[str]) -> list[str]:
    """The labels of a file as types of events."""
    strange = sorted(set(labels) - set(TYPES))
    if strange:
        raise KestrelError(f"{file} has labels {', '.join(strange[:5])}, which are no events. There are {', '.join(TYPES)}.")
    return [TYPES[label] for label in labels]


def taught_news(lake: Lake, teachers: Sequence[str], sure: FilterSettings | None, *, events: bool = False) -> pl.DataFrame:
    """The lake's news as the teachers answered them: their tones, or the events that they told."""
    lacking = [name for name in ("news", "news_scores") if not lake.has(name)]
    if lacking:
        raise KestrelError(f"The lake has no {' and no '.join(lacking)}. Score its news first: kestrel sentiment score")
    scores = lake.read("news_scores").filter(pl.col("scorer").is_in(list(teachers)))
    names = lake.read("names") if lake.has("names") else NOBODY
    return event_lessons(lake.read("news"), scores, names) if events else lessons(lake.read("news"), scores, names, sure)


def _fitted(texts: list[str], targets: Targets, about: dict[str, Any], folder: Path, *, kind: str, seed: int, track: Track) -> list[dict[str, Any]]:
    """Fit, save, tell."""
    began = time.perf_counter()
    student: Student = KINDS[kind]()
    student.fit(texts, targets, seed=seed, track=track)
    digest = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass") + np.nan_to_num(targets.best_NC).tobytes()).hexdigest()
    student.about = about | {"texts": len(texts), "data": digest, "seed": seed}
    student.save(folder)
    spent = time.perf_counter() - began
    return [{"student": kind, "texts": len(texts), "classes": targets.classes, "before": about["before"], "seconds": spent, "folder": str(folder)}]
