"""Walk-forward folds: train, validate, test, with gaps so wide that no label of one period reads a price of the next."""

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt

from data.errors import KestrelError
from data.panel import Axes
from models.dataset import Sessions

# The longest closure of the exchange, ten days, and a few more: data that begin this late still cover a year asked for.
CLOSURE = timedelta(days=14)


class WalkSettings(BaseModel):
    """Which sessions train, validate and test.  Qlib's split: first 2017-01-01, train_start 2008-01-01, valid_years 2, refit_months "never"."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    first: date | None = None  # the first test date; None: as soon as the data allow
    last: date | None = None  # the last test date; None: the last session
    train_years: PositiveInt = 5
    train_start: date | None = None  # given: training grows from here instead of rolling
    valid_years: PositiveInt = 1
    refit_months: PositiveInt | Literal["never"] = 12  # "never": one fold
    purge: NonNegativeInt = 6  # sessions between periods; at least the longest horizon + delay
    embargo: NonNegativeInt = 5  # sessions on top of the purge
    every: PositiveInt = 1  # train on every k-th session only


@dataclass(frozen=True)
class Fold:
    """One fit: positions of its sessions on the axes, ascending."""

    name: str
    train: Sessions
    valid: Sessions
    test: Sessions


def folds(axes: Axes, settings: WalkSettings, *, reach: int) -> tuple[Fold, ...]:
    """The folds in order; their tests cover first … last without gap or overlap.

    reach: sessions after d that a label of d reads (LabelSettings.reach).  Raises KestrelError for a purge below it, and for
    periods that the axes don't hold.
    """
    if settings.purge < reach:
        raise KestrelError(
            f"walk.purge is {settings.purge}, but a label reads {reach} sessions ahead (delay + longest horizon). Set at least {reach}."
        )
    first = settings.first or _earliest(axes, settings)
    last = min(settings.last or axes.dates[-1], axes.dates[-1])
    if first > last:
        raise KestrelError(
            f"No session to test: walk.first is {first}, walk.last {last}, and the data end {axes.dates[-1]}. Test earlier or train less."
        )
    found = [_fold(axes, settings, start, stop) for start, stop in _spans(first, last, settings.refit_months)]
    return tuple(fold for fold in found if fold is not None)


def _spans(first: date, last: date, months: int | Literal["never"]) -> list[tuple[date, date]]:
    """Test periods [start, stop) of `months` each, up to and with `last`."""
    end = last + timedelta(days=1)
    starts = [first]
    while months != "never" and shift(first, months * len(starts)) < end:
        starts.append(shift(first, months * len(starts)))
    return list(pairwise([*starts, end]))


def _fold(axes: Axes, settings: WalkSettings, start: date, stop: date) -> Fold | None:
    """The fold that tests [start, stop); None where no session lies in it."""
    test = np.arange(axes.index(start), axes.index(stop))
    if len(test) == 0:
        return None
    gap = settings.purge + settings.embargo
    valid_from = shift(start, -12 * settings.valid_years)
    train_from = settings.train_start or shift(valid_from, -12 * settings.train_years)
    if train_from < axes.dates[0] - CLOSURE:
        raise KestrelError(
            f"The fold that tests from {start} trains from {train_from}, but the data begin {axes.dates[0]}. "
            "Set a later walk.first, or fewer walk.train_years."
        )
    valid = np.arange(axes.index(valid_from), test[0] - gap)
    train = np.arange(axes.index(train_from), axes.index(valid_from) - gap)
    if len(valid) == 0 or len(train) == 0:
        raise KestrelError(
            f"The fold that tests from {start} has {len(train)} training and {len(valid)} validation sessions. "
            "Set a later walk.first, or a smaller walk.purge and walk.embargo."
        )
    # Thinned backwards, so that the newest session always teaches.
    return Fold(f"{start:%Y-%m}", train[:: -settings.every][::-1].copy(), valid, test)


def _earliest(axes: Axes, settings: WalkSettings) -> date:
    """The first test date that leaves room for a whole training and validation period."""
    begin = settings.train_start or axes.dates[0]
    return shift(begin, 12 * (settings.train_years + settings.valid_years))


def shift(day: date, months: int) -> date:
    """The same day some months later (earlier if negative), or that month's last day."""
    years, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + years, month + 1
    following = date(year + month // 12, month % 12 + 1, 1)
    return min(date(year, month, 1) + timedelta(days=day.day - 1), following - timedelta(days=1))
