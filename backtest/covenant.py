"""What a fund has promised of its distance to the index, and the sessions on which it broke that."""

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from backtest.metrics import rolling
from data.panel import Floats

BREACHES = {"date": pl.Date, "promise": pl.String, "limit": pl.Float64, "value": pl.Float64}


class Covenant(BaseModel):
    """Typical of a CSI 500 enhancement fund.  window: sessions over which the tracking error of a year is told."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    deviation: float = Field(default=0.005, gt=0)  # of a day's return from the index's
    tracking_error: float = Field(default=0.0775, gt=0)  # a year
    window: int = Field(default=243, ge=2)


def breaches(r_D: Floats, b_D: Floats, dates: Sequence[date], covenant: Covenant | None = None) -> pl.DataFrame:
    """Sessions whose deviation from the index, or tracking error up to them, was beyond what is promised: date, promise, limit, value.

    Sorted by date.  The tracking error isn't told before its window is full.
    """
    covenant = covenant or Covenant()
    error_D, _ = rolling(r_D, b_D, covenant.window)
    promises = (("deviation", covenant.deviation, np.abs(r_D - b_D)), ("tracking_error", covenant.tracking_error, error_D))
    rows = [(dates[d], name, limit, float(value_D[d])) for name, limit, value_D in promises for d in np.flatnonzero(value_D > limit).tolist()]
    return pl.DataFrame(rows, schema=BREACHES, orient="row").sort("date", "promise")
