"""IC futures: four contracts at a time, priced off the index by a basis that swings and vanishes at expiry."""

from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.contracts import contracts
from data.rules import exchange_rules
from data.simulator.index import Index

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PRODUCT = "IC"
LISTED = date(2015, 4, 16)
BASIS, SWING, MEMORY = -0.07, 0.05, 0.985  # annualised: mean, long-run deviation, persistence from session to session
SLOPE = 0.25  # by how much the near contract's annualised basis swings more than the far one's
SHARES = np.array([0.55, 0.25, 0.15, 0.05])  # of volume, by the rank of the expiry


def futures(found: Index, days: NDArray[np.datetime64], known: NDArray[np.datetime64], rng: np.random.Generator) -> pl.DataFrame:
    """The futures_bars table.  known: every session of the calendar, later ones than the market's too, for the expiries."""
    dates = [day for day in days.tolist() if day >= LISTED]
    rows = [(name, end, rank) for day in dates for rank, (name, end) in enumerate(contracts(PRODUCT, day, known))]
    session = np.repeat(np.arange(len(days) - len(dates), len(days)), 4)
    rank = np.array([rank for _, _, rank in rows], dtype=np.int64)
    ends = np.array([end for _, end, _ in rows], dtype="datetime64[D]")
    term = (ends - days[session]).astype(np.int64) / 365
    tilt = BASIS + (_basis(len(days), rng)[session] - BASIS) * (1 + SLOPE * (1.5 - rank))
    noise, size = rng.standard_normal((2, 5, len(rows)))
    tick = exchange_rules().over("ic_futures", "tick", days)[session]
    prices = _prices(found, session, np.exp(tilt * term), noise * 0.0008 * np.minimum(term * 60, 1.0), tick)
    at_end = term == 0
    settled = np.round(found.close[session] * np.exp(0.0003 * size[2]), 2)  # the index's mean of the last two hours
    columns = {
        **prices,
        "settle": np.clip(np.where(at_end, settled, prices["settle"]), prices["low"], prices["high"]),
        "volume": np.rint(120_000 * SHARES[rank] * np.exp(0.3 * size[0]) * np.where(at_end, 0.5, 1.0)),
        "open_interest": np.rint(260_000 * SHARES[[1, 0, 2, 3]][rank] * np.exp(0.1 * size[1]) * np.minimum(0.3 + term * 12, 1.0)),
        "multiplier": exchange_rules().over("ic_futures", "multiplier", days)[session],
    }
    names = pl.Series([name for name, _, _ in rows], dtype=pl.String)
    frame = pl.DataFrame({"date": pl.Series(days[session]).cast(pl.Date), "contract": names, "expiry": pl.Series(ends).cast(pl.Date), **columns})
    order = ["date", "contract", "product", "open", "high", "low", "close", "settle", "volume", "open_interest", "expiry", "multiplier"]
    return frame.with_columns(product=pl.lit(PRODUCT)).select(order).sort("date", "contract")


def _prices(found: Index, session: Ints, carry: Floats, noise: Floats, tick: Floats) -> dict[str, Floats]:
    """Open, high, low, close and settlement of each row, to the tick.  carry, tick: [R]; noise: [5, R]."""
    opening, close = (
        np.rint(level[session] * carry * np.exp(wobble) / tick) * tick for level, wobble in zip((found.open, found.close), noise, strict=False)
    )
    settle = np.rint(close * np.exp(noise[2]) / tick) * tick
    high = np.maximum(np.ceil(found.high[session] * carry / tick) * tick, np.maximum(opening, close))
    low = np.minimum(np.floor(found.low[session] * carry / tick) * tick, np.minimum(opening, close))
    tidy = {"open": opening, "high": high, "low": low, "close": close, "settle": settle}
    return {name: np.round(values, 2) for name, values in tidy.items()}


def _basis(sessions: int, rng: np.random.Generator) -> Floats:
    """The annualised basis by session, [D]: an autoregression around BASIS."""
    found = np.empty(sessions)
    level = 0.0
    for place, shock in enumerate(rng.standard_normal(sessions)):
        level = MEMORY * level + SWING * np.sqrt(1 - MEMORY**2) * shock
        found[place] = BASIS + level
    return found
