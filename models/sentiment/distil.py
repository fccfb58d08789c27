"""Distillation: a teacher's probabilities, filtered, become what a student is fitted to; walk-forward, only ever on earlier news."""

from collections.abc import Callable, Sequence
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

from data.errors import KestrelError
from data.progress import Track, silent
from factors.ranks import Floats
from models.sentiment.student.documents import document
from models.sentiment.student.losses import Targets
from models.sentiment.student.student import Student

TONES = ("p_negative", "p_neutral", "p_positive")


class FilterSettings(BaseModel):
    """Which of a teacher's answers a student learns from."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    entropy: float = Field(default=0.9, gt=0, le=1)  # the most a mean answer may have, as a share of that of an even guess
    agreement: float = Field(default=0.5, ge=0, le=1)  # the least share of the samples whose most probable tone is that of their mean


def lessons(news: pl.DataFrame, scores: pl.DataFrame, names: pl.DataFrame, settings: FilterSettings | None = None) -> pl.DataFrame:
    """(id, symbol, published_at, text, p_negative, p_neutral, p_positive) of the pieces whose teachers are sure enough and agree.

    scores: rows of news_scores by the teachers, each scorer one sample; rows without probabilities are left out.  names: (symbol, start,
    name), empty where the lake has none; a name counts from its start on.  Ordered by published_at, id, symbol.
    """
    settings = settings or FilterSettings()
    known = scores.filter(pl.all_horizontal(pl.col(TONES).is_not_null())).sort("id", "symbol", "scorer")
    top = pl.concat_list(TONES).list.arg_max()
    mean_top = pl.concat_list(pl.col(tone).mean().over("id", "symbol", order_by="scorer") for tone in TONES).list.arg_max()
    means = (
        known.with_columns((top == mean_top).alias("agrees"))
        .group_by("id", "symbol", maintain_order=True)
        .agg(pl.col(TONES).mean(), pl.col("agrees").mean())
        .with_columns(pl.sum_horizontal(-pl.col(tone) * pl.col(tone).clip(1e-12).log() for tone in TONES).alias("entropy") / np.log(len(TONES)))
        .filter(pl.col("entropy") <= settings.entropy, pl.col("agrees") >= settings.agreement)
    )
    return documents(news, means.select("id", "symbol", *TONES), names)


def event_lessons(news: pl.DataFrame, scores: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    """(id, symbol, published_at, text, event) of the pieces about which all teachers that told an event told the same; order as of `lessons`."""
    told = scores.filter(pl.col("event").is_not_null()).group_by("id", "symbol").agg(pl.col("event").unique())
    return documents(news, told.filter(pl.col("event").list.len() == 1).with_columns(pl.col("event").list.first()), names)


def documents(news: pl.DataFrame, about: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    """The rows `about` (id, symbol, …) with published_at and the text that students read, by published_at, id, symbol."""
    rows = about.join(news.select("id", "published_at", "title", "body"), on="id").sort("published_at", "id", "symbol")
    days = rows.with_columns(pl.col("published_at").dt.date().alias("start")).sort("start", maintain_order=True)
    named = days.join_asof(names.select("symbol", "start", "name").sort("start"), on="start", by="symbol", check_sortedness=False)
    read = zip(*(named[column].fill_null("").to_list() for column in ("title", "body", "name")), strict=True)
    return named.with_columns(pl.Series("text", [document(*one) for one in read], dtype=pl.String)).drop("title", "body", "name", "start")


class WalkSettings(BaseModel):
    """When a student is fitted anew, and on what."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    least: PositiveInt = 300  # texts before the first fit
    days: PositiveInt = 91  # between fits
    delay: NonNegativeInt = 0  # days until a label is known: the horizon, where labels are made from returns


def walk_forward(
    make: Callable[[], Student],
    days_N: Sequence[date],
    texts: Sequence[str],
    targets: Targets,
    settings: WalkSettings | None = None,
    *,
    seed: int = 0,
    track: Track = silent,
) -> Floats:
    """Probabilities [N, C] of each text by a student fitted on texts of earlier days alone; NaN before the first fit.

    days_N ascends: the day a text is known.  A fit on day d sees texts of days before d - delay and answers those of d and later, until
    the next fit.  Raises KestrelError where no day has enough texts before it.
    """
    settings = settings or WalkSettings()
    days = np.array(days_N, dtype="datetime64[D]")
    if (days[1:] < days[:-1]).any():
        raise KestrelError("The texts of a walk forward must be in the order of their days.")
    starts = _fits(days, settings)
    if not starts:
        raise KestrelError(f"No day has {settings.least} texts before it, so nothing can be scored walk-forward. Bring more, or lower `least`.")
    out_NC = np.full((len(texts), targets.classes), np.nan)
    for place, start in enumerate(track(starts, "student: walk forward")):
        stop = starts[place + 1] if place + 1 < len(starts) else None
        seen = np.flatnonzero(days < start - np.timedelta64(settings.delay, "D"))
        asked = np.flatnonzero((days >= start) & (days < stop if stop is not None else True))
        student = make()
        student.fit([texts[row] for row in seen.tolist()], targets[seen], seed=seed)
        out_NC[asked] = student.predict([texts[row] for row in asked.tolist()])
    return out_NC


def _fits(days: NDArray[np.datetime64], settings: WalkSettings) -> list[np.datetime64]:
    """The days of the fits: the first with enough texts before it, then every so many days, while texts come."""
    ready = [day for day in np.unique(days) if (days < day - np.timedelta64(settings.delay, "D")).sum() >= settings.least]
    found: list[np.datetime64] = []
    for day in ready:
        if not found or day >= found[-1] + np.timedelta64(settings.days, "D"):
            found.append(day)
    return found
