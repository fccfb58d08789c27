"""How fast an account sends orders, beside the thresholds from which the exchanges call programme trading high-frequency."""

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from backtest.costs import BUY
from backtest.market import Market
from backtest.result import Result
from backtest.simulation import largest_DB
from data.rules import Rules, exchange_rules


class PaceSettings(BaseModel):
    """The orders of a session are sent evenly over so many seconds: the opening auction takes them for 600."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    seconds: float = Field(default=600.0, gt=0, le=86_400)


def pace(result: Result, market: Market, *, settings: PaceSettings | None = None, rules: Rules | None = None) -> pl.DataFrame:
    """By session: date, orders, cancels, a_second (both together), day_limit, second_limit, high_frequency.

    An order above the exchange's largest size counts as the pieces that it is sent in, and what isn't filled of it is cancelled.
    Limits are null before there were any (2025-07-07); an account is high-frequency from the limit itself on.
    """
    settings, rules = settings or PaceSettings(), rules or exchange_rules()
    first, sessions = market.axes.index(result.dates[0]), len(result.dates)
    days = market.axes.days[first : first + sessions]
    rows = result.ledger[(result.ledger["side"] <= BUY) & (result.ledger["ordered"] > 0)]
    session, stock = rows["session"], rows["stock"]
    largest = np.maximum(1, np.rint(largest_DB(days, rules, True)[session, market.board_N[stock]] * market.scale_DN[first + session, stock]))
    orders = np.bincount(session, weights=np.ceil(rows["ordered"] / largest), minlength=sessions)
    cancels = np.bincount(session, weights=np.ceil((rows["ordered"] - rows["shares"]) / largest), minlength=sessions)
    a_second = (orders + cancels) / settings.seconds
    day_limit, second_limit = (rules.over("high_frequency", key, days) for key in ("per_day", "per_second"))
    columns = {
        "date": result.dates,
        "orders": orders.astype(np.int64),
        "cancels": cancels.astype(np.int64),
        "a_second": a_second,
        "day_limit": day_limit,
        "second_limit": second_limit,
        "high_frequency": (orders + cancels >= day_limit) | (a_second >= second_limit),
    }
    return pl.DataFrame(columns).with_columns(pl.col("day_limit", "second_limit").fill_nan(None))
