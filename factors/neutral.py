"""Least squares within each session: what styles and groups leave of a factor.

Dims: D sessions, N stocks, R stocks that have everything, K styles.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from data.panel import Floats


def residuals(values_DN: Floats, styles_DKN: Floats, groups_DN: NDArray[np.int64]) -> Floats:
    """Residuals [D, N] of each session's values on the dummies of its groups (any numbers from -1 on) and its styles.

    Null where a value or a style is, and in a session with no more than K + 1 stocks that have all.  By Frisch, Waugh and Lovell all is
    demeaned within groups first; then by modified Gram-Schmidt, each style less what the styles before it explain.
    """
    out_DN = np.full(values_DN.shape, np.nan)
    values_DN = np.ascontiguousarray(values_DN, dtype=np.float64)
    _residuals(values_DN, np.ascontiguousarray(styles_DKN, dtype=np.float64), groups_DN, int(groups_DN.max(initial=0)) + 2, out_DN)
    return out_DN


@njit(cache=True, nogil=True)
def _residuals(values_DN: Floats, styles_DKN: Floats, groups_DN: NDArray[np.int64], groups: int, out_DN: Floats) -> None:
    styles, stocks = styles_DKN.shape[1:]
    columns_N, group_N = np.empty(stocks, dtype=np.int64), np.empty(stocks, dtype=np.int64)
    x_KN, y_N = np.empty((styles, stocks)), np.empty(stocks)
    for t in range(len(values_DN)):
        count = 0
        for n in range(stocks):
            known = np.isfinite(values_DN[t, n])
            for k in range(styles):
                known &= np.isfinite(styles_DKN[t, k, n])
            if known:
                columns_N[count], group_N[count], y_N[count] = n, groups_DN[t, n] + 1, values_DN[t, n]
                for k in range(styles):
                    x_KN[k, count] = styles_DKN[t, k, n]
                count += 1
        if count > styles + 1:
            _project(x_KN[:, :count], y_N[:count], group_N[:count], groups)
            for r in range(count):
                out_DN[t, columns_N[r]] = y_N[r]


@njit(cache=True, nogil=True)
def _project(x_KR: Floats, y_R: Floats, group_R: NDArray[np.int64], groups: int) -> None:
    """Leave in y what is orthogonal to the groups and to every row of x, both written over."""
    _demean(y_R, group_R, groups)
    for k in range(len(x_KR)):
        whole = np.sum(x_KR[k] ** 2)
        _demean(x_KR[k], group_R, groups)
        for _ in range(2):  # the second pass takes away what rounding left of the first
            for j in range(k):
                _subtract(x_KR[k], x_KR[j])
        # A style that the groups and the styles before it explain is nothing but rounding now.
        if np.sum(x_KR[k] ** 2) <= 1e-20 * whole:
            x_KR[k] = 0.0
        _subtract(y_R, x_KR[k])


@njit(cache=True, nogil=True)
def _subtract(y_R: Floats, x_R: Floats) -> None:
    """Take from y its projection on x."""
    size, along = 0.0, 0.0
    for r in range(len(x_R)):
        size += x_R[r] * x_R[r]
        along += x_R[r] * y_R[r]
    if size > 0:
        for r in range(len(x_R)):
            y_R[r] -= along / size * x_R[r]


@njit(cache=True, nogil=True)
def _demean(values_R: Floats, group_R: NDArray[np.int64], groups: int) -> None:
    total_G, count_G = np.zeros(groups), np.zeros(groups)
    for r in range(len(values_R)):
        total_G[group_R[r]] += values_R[r]
        count_G[group_R[r]] += 1
    for r in range(len(values_R)):
        values_R[r] -= total_G[group_R[r]] / count_G[group_R[r]]
