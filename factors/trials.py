"""How surprising the best of many tries is: p-values and what is left of them when everything that was tried is counted.

Every function takes p-values [K] of any order, NaN = unknown, and gives adjusted ones [K] in the same order.  An unknown one counts as a
try that showed nothing (p = 1) and stays NaN.
"""

from math import erfc, sqrt

import numpy as np

from data.panel import Floats


def p_value(t: float) -> float:
    """Two-sided p of a t-statistic of many sessions, by the normal distribution; NaN stays NaN."""
    return erfc(abs(t) / sqrt(2))


def bonferroni(p_K: Floats) -> Floats:
    """P times the number of tries: bounds the chance of one false find among all, however they depend on each other.  (Dunn 1961)"""
    return np.minimum(p_K * len(p_K), 1.0)


def holm(p_K: Floats) -> Floats:
    """The same bound, sharper: the i-th smallest p times the K - i + 1 tries not yet rejected.  (Holm 1979)"""
    order, sorted_K = _sorted(p_K)
    stepped = np.maximum.accumulate(sorted_K * np.arange(len(p_K), 0, -1))
    return _back(np.minimum(stepped, 1.0), order, p_K)


def benjamini_yekutieli(p_K: Floats) -> Floats:
    """Expected share of false finds among all finds at least as strong, however the tries depend on each other.

    The i-th smallest p times K (1 + 1/2 + … + 1/K) / i, made monotone from the largest down.  (Benjamini and Hochberg 1995; Benjamini and
    Yekutieli 2001)
    """
    order, sorted_K = _sorted(p_K)
    places = np.arange(1, len(p_K) + 1)
    stepped = sorted_K * len(p_K) * (1 / places).sum() / places
    return _back(np.minimum(np.minimum.accumulate(stepped[::-1])[::-1], 1.0), order, p_K)


def _sorted(p_K: Floats) -> tuple[np.ndarray, Floats]:
    counted = np.where(np.isnan(p_K), 1.0, p_K)
    order = np.argsort(counted, kind="stable")
    return order, counted[order]


def _back(sorted_K: Floats, order: np.ndarray, p_K: Floats) -> Floats:
    out = np.empty(len(p_K))
    out[order] = sorted_K
    return np.where(np.isnan(p_K), np.nan, out)
