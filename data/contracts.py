"""Index futures by their names: which months are listed on a day, and when each ends."""

from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

QUARTERS = (3, 6, 9, 12)


def expiry(year: int, month: int, days: NDArray[np.datetime64]) -> date:
    """The third Friday, or the next session where the exchange is closed; outside the known sessions the Friday itself."""
    first = date(year, month, 1)
    friday = first + timedelta(days=(4 - first.weekday()) % 7 + 14)
    place = int(np.searchsorted(days, np.datetime64(friday)))
    return days[place].item() if friday >= days[0] and place < len(days) else friday


def contracts(product: str, day: date, known: NDArray[np.datetime64]) -> list[tuple[str, date]]:
    """What trades on a day: this month's contract until its expiry, the next month's, and the two following quarters'.

    (name such as IC2411, last day) by last day.  known: every session of the calendar.
    """
    month = day.year * 12 + day.month - 1
    if expiry(*_year_month(month), known) < day:
        month += 1
    near = [month, month + 1]
    quarters = [later for later in range(month + 2, month + 12) if later % 12 + 1 in QUARTERS][:2]
    found = [_year_month(place) for place in [*near, *quarters]]
    return [(f"{product}{year % 100:02d}{number:02d}", expiry(year, number, known)) for year, number in found]


def _year_month(place: int) -> tuple[int, int]:
    return place // 12, place % 12 + 1
