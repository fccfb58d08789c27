"""Returns of one session explained by what was known of the stocks at the close before: styles, industries and the market."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from data.panel import Floats

# D sessions, N stocks, G industries (the last one: all others), S styles, K = 1 + G + S factors: the market, industries, styles
TINY = 1e-6  # of a stock: a style that nobody has in a session earns nothing rather than anything


class Sections(NamedTuple):
    """f_DK: return of each factor; NaN on sessions with too few stocks.  own_DN: what is left of each stock's return."""

    f_DK: Floats
    own_DN: Floats


@njit(cache=True, nogil=True)
def settled(groups_DN: NDArray[np.int64], present_DN: NDArray[np.bool_], count: int, fewest: int) -> NDArray[np.int64]:
    """The industry of each stock if it had `fewest` stocks present in a session up to this one, else `count`: all others; [D, N].

    groups_DN: numbers below count, -1 = unknown.
    """
    sessions, stocks = groups_DN.shape
    own = np.full((sessions, stocks), count, dtype=np.int64)
    large = np.zeros(count + 1, dtype=np.bool_)
    for d in range(sessions):
        seen = np.zeros(count + 1, dtype=np.int64)
        for n in range(stocks):
            if present_DN[d, n] and groups_DN[d, n] >= 0:
                seen[groups_DN[d, n]] += 1
        for g in range(count):
            large[g] = large[g] or seen[g] >= fewest
        for n in range(stocks):
            if groups_DN[d, n] >= 0 and large[groups_DN[d, n]]:
                own[d, n] = groups_DN[d, n]
    return own


@njit(cache=True, nogil=True)
def explained(
    y_DN: Floats, z_SDN: Floats, group_DN: NDArray[np.int64], cap_DN: Floats, present_DN: NDArray[np.bool_], groups: int, thin: float
) -> Sections:
    """Regress the returns of each session on what was known at the close before, stocks weighted by the root of their cap.

    An industry's return is in excess of the market's, and drawn to it as if `thin` average stocks more had moved with the market
    (Menchero, Orr and Wang 2011 treat thin industries so); weighted by cap the industries' excess returns add up to nothing.  Stocks
    count that were present at the close before and have a return and a cap.
    """
    styles, sessions, stocks = z_SDN.shape
    factors = 1 + groups + styles
    f_DK, own_DN = np.full((sessions, factors), np.nan), np.full((sessions, stocks), np.nan)
    place, value = np.empty(2 + styles, dtype=np.int64), np.ones(2 + styles)
    for d in range(1, sessions):
        matrix, right, cap_G = np.zeros((factors, factors)), np.zeros(factors), np.zeros(groups)
        count, total = 0, 0.0
        for n in range(stocks):
            cap = cap_DN[d - 1, n]
            if not (present_DN[d - 1, n] and np.isfinite(y_DN[d, n]) and cap > 0):
                continue
            weight = np.sqrt(cap)
            count, total = count + 1, total + weight
            cap_G[group_DN[d - 1, n]] += cap
            _spell(z_SDN, group_DN, d - 1, n, groups, place, value)
            for i in range(2 + styles):
                right[place[i]] += weight * value[i] * y_DN[d, n]
                for j in range(2 + styles):
                    matrix[place[i], place[j]] += weight * value[i] * value[j]
        if count < factors:
            continue
        for k in range(factors):
            if matrix[k, k] > 0:
                matrix[k, k] += total / count * (thin if 1 <= k <= groups else TINY)
        used = np.flatnonzero(np.diag(matrix))  # most industries may be too small to stand alone
        f_K = np.zeros(factors)
        f_K[used] = np.linalg.solve(matrix[used][:, used], right[used])
        shift = (cap_G * f_K[1 : 1 + groups]).sum() / cap_G.sum()
        f_K[0] += shift
        f_K[1 : 1 + groups] -= shift
        for g in range(groups - 1):
            if cap_G[g] == 0:
                f_K[1 + g] = f_K[groups]  # nobody is in it yet: its stocks are among the others
        f_DK[d] = f_K
        for n in range(stocks):
            if np.isfinite(y_DN[d, n]):
                _spell(z_SDN, group_DN, d - 1, n, groups, place, value)
                left = y_DN[d, n]
                for i in range(2 + styles):
                    left -= value[i] * f_K[place[i]]
                own_DN[d, n] = left
    return Sections(f_DK, own_DN)


@njit(nogil=True)
def _spell(z_SDN: Floats, group_DN: NDArray[np.int64], d: int, n: int, groups: int, place: NDArray[np.int64], value: Floats) -> None:
    """The factors that a stock is exposed to, and how much: the market, its industry, every style."""
    place[0], place[1] = 0, 1 + group_DN[d, n]
    for s in range(z_SDN.shape[0]):
        place[2 + s], value[2 + s] = 1 + groups + s, z_SDN[s, d, n]
