"""Measures of return panels as arrays: correlation in time and between stocks, tails, spells.  NaN is no observation.

Dims: D sessions, N stocks, T observations of one series.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

FEWEST = 120  # observations of a stock below which it isn't counted
WINDOW = 244  # sessions over which pairwise correlations are averaged


def correlate(a_DN: Floats, b_DN: Floats, *, fewest: int = FEWEST) -> Floats:
    """Correlation of each pair of columns over the sessions that have both, [N]; NaN below `fewest` of them."""
    both = np.isfinite(a_DN) & np.isfinite(b_DN)
    count = both.sum(axis=0)
    a, b = (np.where(both, x, 0.0) for x in (a_DN, b_DN))
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = (np.where(both, x - x.sum(axis=0) / count, 0.0) for x in (a, b))
        found = (a * b).sum(axis=0) / np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
    return np.asarray(np.where(count >= fewest, found, np.nan))


def lagged(x_DN: Floats, lag: int, *, fewest: int = FEWEST) -> float:
    """Autocorrelation at a lag, mean over the stocks."""
    return mean(correlate(x_DN[lag:], x_DN[:-lag], fewest=fewest))


def across(a_DN: Floats, b_DN: Floats) -> float:
    """Correlation over the stocks of a session, mean over the sessions."""
    return mean(correlate(a_DN.T, b_DN.T, fewest=10))


def pairwise(r_DN: Floats, *, window: int = WINDOW) -> float:
    """Mean correlation of all pairs of stocks, mean over windows; only stocks that trade on 4 of 5 sessions of a window count.

    From the variance of the sum of standardised returns: var(sum z) = N + N (N - 1) x mean correlation.
    """
    found = []
    for start in range(0, len(r_DN) - window + 1, window):
        part = r_DN[start : start + window]
        part = part[:, np.isfinite(part).sum(axis=0) >= 0.8 * window]
        if (count := part.shape[1]) > 1:
            z = np.nan_to_num(part - np.nanmean(part, axis=0))
            z /= np.sqrt((z * z).mean(axis=0))
            found.append(((z.sum(axis=1) ** 2).mean() - count) / (count * (count - 1)))
    return mean(np.array(found))


def deviation(x_DN: Floats) -> Floats:
    """Standard deviation of each column, [N]; NaN below two observations."""
    known = np.isfinite(x_DN)
    count = known.sum(axis=0)
    total = np.where(known, x_DN, 0.0)
    centred = np.where(known, x_DN - total.sum(axis=0) / np.maximum(count, 1), 0.0)
    return np.asarray(np.where(count > 1, np.sqrt((centred * centred).sum(axis=0) / np.maximum(count, 1)), np.nan))


def kurtosis(x_DN: Floats) -> Floats:
    """Excess kurtosis of each column, [N]; 0 is normal.  NaN below FEWEST observations."""
    return _moment(x_DN, 4) - 3


def skewness(x_DN: Floats) -> Floats:
    """Skewness of each column, [N].  NaN below FEWEST observations."""
    return _moment(x_DN, 3)


def _moment(x_DN: Floats, power: int) -> Floats:
    """Mean of each column's deviations from its mean, in units of their root mean square, to a power, [N]."""
    enough = np.isfinite(x_DN).sum(axis=0) >= FEWEST
    x = x_DN[:, enough]
    centred = x - np.nanmean(x, axis=0)
    found = np.full(x_DN.shape[1], np.nan)
    found[enough] = np.nanmean(centred**power, axis=0) / np.nanmean(centred**2, axis=0) ** (power / 2)
    return found


def hill(x_T: Floats, *, share: float) -> float:
    """Tail index of the largest `share` of the values: 1 / mean log excess over the threshold.  Low is fat.  (Hill 1975)"""
    x = np.sort(x_T[np.isfinite(x_T) & (x_T > 0)])
    k = int(share * np.isfinite(x_T).sum())
    return float(1 / np.log(x[-k:] / x[-k - 1]).mean()) if 1 < k < len(x) else float("nan")


def spells(off_DN: Flags) -> float:
    """Mean length of the runs of True down the columns; NaN where there are none."""
    before = np.vstack([np.zeros((1, off_DN.shape[1]), dtype=bool), off_DN[:-1]])
    starts = int((off_DN & ~before).sum())
    return float(off_DN.sum() / starts) if starts else float("nan")


def drawdown(level_T: Floats) -> float:
    """Largest fall from an earlier high, a negative fraction."""
    return float((level_T / np.maximum.accumulate(level_T) - 1).min())


def mean(x: Floats) -> float:
    """Mean of the finite values; NaN where there are none."""
    known = x[np.isfinite(x)]
    return float(known.mean()) if len(known) else float("nan")


def median(x: Floats) -> float:
    """Median of the finite values; NaN where there are none."""
    known = x[np.isfinite(x)]
    return float(np.median(known)) if len(known) else float("nan")
