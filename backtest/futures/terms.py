"""What the exchange and the broker ask on each session, as whole numbers: margin, fees, the opening cap."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import numpy as np

from backtest.costs import RATE_UNIT
from backtest.futures.settings import Neutral
from data.rules import Rules

UNCAPPED = 10**9


class Terms(NamedTuple):
    """Rates in multiples of 1 / RATE_UNIT of a contract's value, by session.

    The fee for closing what was opened on the same day is its own; delivery is charged at the final settlement.
    """

    multiplier: int  # CNY a point
    margin: list[int]
    fee: list[int]
    fee_close_today: list[int]
    fee_delivery: list[int]
    slippage: int
    opening_cap: list[int]  # contracts a session


def terms(neutral: Neutral, dates: Sequence[date], rules: Rules) -> Terms:
    """The terms in force on each date; a rule of the day itself holds from its settlement on."""
    days = np.array(dates, dtype="datetime64[D]")

    def rate(name: str, above: float = 0.0) -> list[int]:
        found = np.rint((np.nan_to_num(rules.over("ic_futures", name, days)) + above) * RATE_UNIT)
        return [int(value) for value in found]

    hedging = neutral.account == "hedging"
    cap_D = np.nan_to_num(rules.over("ic_futures", "opening_cap", days), nan=UNCAPPED)
    return Terms(
        multiplier=int(rules.at("ic_futures", "multiplier", dates[-1])),
        margin=rate("margin_hedging" if hedging else "margin", neutral.margin_above),
        fee=rate("fee", neutral.commission),
        fee_close_today=rate("fee_close_today", neutral.commission),
        fee_delivery=rate("fee_delivery"),
        slippage=round(neutral.slippage * RATE_UNIT),
        opening_cap=[UNCAPPED if hedging else int(cap) for cap in cap_D],
    )


def charge(amount: int, units: int) -> int:
    """A rate of an amount in cents, half-up to the cent."""
    return (amount * units + RATE_UNIT // 2) // RATE_UNIT


def reserve(amount: int, units: int) -> int:
    """A rate of an amount in cents, up to the next cent: what margin is."""
    return -(-amount * units // RATE_UNIT)
