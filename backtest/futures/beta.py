"""How much of the index a long book carries, from its past alone."""

import numpy as np

from backtest.result import Result
from data.panel import Floats

# D sessions
RANGE = (0.5, 1.5)  # of a beta: a book of stocks of the index lies inside, an estimate beyond is noise


def invested(long: Result) -> Floats:
    """Stocks over equity at each close [D]."""
    return np.asarray((long.nav_cents_D + long.owed_cents_D - long.cash_cents_D) / long.nav_cents_D)


def betas(long: Result, index_growth_D: Floats, window: int) -> Floats:
    """Beta of the stocks held at each close, [D]: covariance over variance of the last `window` sessions, 1 before they are full.

    The account's return is divided by what was invested the evening before; sessions without stocks empty the window.
    """
    e_D = invested(long)
    before_D = np.concatenate([[0.0], e_D[:-1]])
    r_D = np.full(len(e_D), np.nan)
    np.divide(long.returns_D, before_D, out=r_D, where=before_D > 0)
    beta_D = np.ones(len(r_D))
    if len(r_D) < window:
        return beta_D
    ours, index = (np.lib.stride_tricks.sliding_window_view(x, window) for x in (r_D, index_growth_D - 1))
    index = index - index.mean(axis=1, keepdims=True)
    variance = (index**2).sum(axis=1)
    found = np.full(len(ours), np.nan)
    np.divide((index * ours).sum(axis=1), variance, out=found, where=variance > 0)
    beta_D[window - 1 :] = np.where(np.isfinite(found), np.clip(found, *RANGE), 1.0)
    return beta_D
