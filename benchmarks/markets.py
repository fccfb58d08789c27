"""Random markets that the benchmarks compute factors of."""

import numpy as np
from numpy.typing import NDArray

from factors.alpha158.tiles import Columns

SESSIONS, SUSPENDED = 2500, 0.03


def market(stocks: int) -> Columns:
    """Random walks in cents with suspensions."""
    rng = np.random.default_rng(0)
    shape = (SESSIONS, stocks)
    close = np.round(10 * np.exp(np.cumsum(rng.normal(0, 0.02, shape), axis=0)), 2) + 0.01
    open_ = np.round(close * (1 + rng.normal(0, 0.01, shape)), 2) + 0.01
    high, low = np.maximum(open_, close) + 0.05, np.minimum(open_, close) * 0.99
    volume = np.round(rng.lognormal(13, 1, shape))
    null = rng.random(shape) < SUSPENDED
    last = close.copy()
    columns = [open_, high, low, close, (high + low + 2 * close) / 4, volume]
    for values in columns:
        values[null] = np.nan
    return Columns(*columns, last)


def panel(stocks: int, needs: frozenset[str]) -> dict[str, NDArray[np.float64]]:
    """The same market as columns of a panel, with random ones for all else that is needed; the latter are one array each kind."""
    prices = market(stocks)
    found = {**prices._asdict(), "amount": prices.vwap * prices.volume, "raw_close": prices.last}
    rng = np.random.default_rng(1)
    figures, flags = rng.lognormal(3, 1, (SESSIONS, stocks)), (rng.random((SESSIONS, stocks)) < SUSPENDED).astype(float)
    groups = np.broadcast_to(np.arange(stocks) % 30.0, (SESSIONS, stocks)).copy()
    for name in sorted(needs - set(found)):
        kind = flags if name.startswith("limit_") else figures
        found[name] = {"industry": groups, "index_close": figures[:, :1].copy()}.get(name, kind)
    return found
