"""The exchange's calendar as a table: seeded from XSHG, extended by vendors, asked through sorted dates."""

import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl

from data.errors import KestrelError

FIRST = date(1990, 12, 19)  # the Shanghai exchange opens


def seed(start: date = FIRST, end: date | None = None) -> pl.DataFrame:
    """The calendar table of XSHG between two dates, by default from its first session to the last one published.

    Source: exchange_calendars, whose XSHG ends with the last year the exchange has announced; dates beyond are refused there.
    """
    import exchange_calendars  # pandas comes with it: a second of start-up that only a seed should cost

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library meets deprecations of pandas 3.1 that nobody here can mend
        bound = exchange_calendars.get_calendar("XSHG").bound_max().date()
        span = {"start": max(start, FIRST).isoformat(), "end": min(end or bound, bound).isoformat()}
        xshg = exchange_calendars.get_calendar("XSHG", **span)
    days = np.asarray(xshg.sessions.values, dtype="datetime64[D]")
    return table([day for day in days.tolist() if isinstance(day, date)])


def table(days: Sequence[date]) -> pl.DataFrame:
    """Sorted dates as the calendar table, numbered from 0."""
    return (
        pl.DataFrame({"date": sorted(set(days))}, schema={"date": pl.Date}).with_row_index("session").select("date", pl.col("session").cast(pl.Int32))
    )


class Sessions:
    """The sessions of a calendar, in order."""

    def __init__(self, dates: Sequence[date]) -> None:
        self.dates = tuple(dates)

    @classmethod
    def of(cls, calendar: pl.DataFrame) -> "Sessions":
        """The sessions of a calendar table."""
        return cls(calendar.sort("date")["date"].to_list())

    def between(self, start: date, end: date) -> tuple[date, ...]:
        """Every session in [start, end]."""
        return self.dates[bisect_left(self.dates, start) : bisect_right(self.dates, end)]

    def last(self, day: date) -> date:
        """The session on `day`, or the latest before it."""
        place = bisect_right(self.dates, day) - 1
        if place < 0:
            raise KestrelError(f"{day} lies before the calendar's first session{self._range()}.")
        return self.dates[place]

    def next(self, day: date) -> date:
        """The first session after `day`."""
        place = bisect_right(self.dates, day)
        if place == len(self.dates):
            raise KestrelError(f"The calendar knows no session after {day}{self._range()}. Extend it: kestrel data import a newer calendar.")
        return self.dates[place]

    def __contains__(self, day: date) -> bool:
        place = bisect_left(self.dates, day)
        return place < len(self.dates) and self.dates[place] == day

    def _range(self) -> str:
        return f" (it covers {self.dates[0]} to {self.dates[-1]})" if self.dates else " (it is empty)"
