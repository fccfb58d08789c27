"""What an order of a size moves the price by: the square-root law, as a fraction of the amount.

cost / amount = coefficient x sigma x sqrt(shares / V), sigma the daily volatility and V the mean daily volume of the WINDOW sessions before.
A coefficient of 2/3 is the mean over an order that is worked off evenly while the price moves to sigma x sqrt(shares / V): the law and its
constant of order one are Torre's (Barra, 1997) and Toth et al.'s (Physical Review X 1, 021006, 2011).  Almgren, Thum, Hauptmann and Li (Risk,
July 2005) measured 0.142 sigma (shares / V)^0.6 for a day's work plus half of 0.314 sigma (shares / V) (shares outstanding / V)^0.25.
"""

import numpy as np
from numba import njit

from data.panel import Floats

# D sessions, N stocks
WINDOW = 20
LEAST = 5  # traded sessions of the window that are needed
SQUARE_ROOT = 2 / 3


def depth(close_DN: Floats, reference_DN: Floats, volume_DN: Floats) -> Floats:
    """Sigma / sqrt(V) [D, N]: times a coefficient the impact of one share, which grows with the square root of the shares.

    Prices are CNY, volume shares; NaN or no volume = not traded.  Every session knows only those before it.  A stock with fewer
    than LEAST traded sessions in its window gets the median of that session's others; where there are none, 0.
    """
    found_DN = _known(close_DN, reference_DN, volume_DN)
    for row in found_DN:
        known = np.isfinite(row)
        if not known.all():
            row[~known] = np.median(row[known]) if known.any() else 0.0
    return found_DN


@njit(cache=True, nogil=True)
def _known(close_DN: Floats, reference_DN: Floats, volume_DN: Floats) -> Floats:
    """Sigma / sqrt(V) over the sessions before each; NaN where too few were traded."""
    sessions, stocks = close_DN.shape
    found_DN = np.full((sessions, stocks), np.nan)
    move_DN = np.log(close_DN / reference_DN)
    for s in range(1, sessions):
        for n in range(stocks):
            count, total, square, volume = 0, 0.0, 0.0, 0.0
            for d in range(max(0, s - WINDOW), s):
                if volume_DN[d, n] > 0 and np.isfinite(move_DN[d, n]):
                    count += 1
                    total += move_DN[d, n]
                    square += move_DN[d, n] ** 2
                    volume += volume_DN[d, n]
            if count >= LEAST:
                spread = max(0.0, (square - total * total / count) / (count - 1))
                found_DN[s, n] = np.sqrt(spread / (volume / count))
    return found_DN
