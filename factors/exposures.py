"""What a factor is made of: its correlation with styles and with other factors, and its tilt to industries.

Dims: S sessions, N stocks, A and B factors, G industries.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from data.panel import Floats
from factors.judge import FEWEST
from factors.ranks import centred_ranks

SMALLEST = 5  # stocks of an industry whose tilt is told
DEVIATION = 12**-0.5  # of ranks spread evenly over (-0.5, 0.5)


def mean_correlations(ranks_SAN: Floats, others_SBN: Floats) -> Floats:
    """Mean over the sessions of the correlation of each of A factors with each of B others, [A, B]; NaN where no session has one.

    Both are centred ranks (`centred_ranks`, along the last axis) of the stocks that have a value; pairs that lack one are left out.
    """
    total, count = np.zeros((ranks_SAN.shape[1], others_SBN.shape[1])), np.zeros((ranks_SAN.shape[1], others_SBN.shape[1]))
    for a_AN, b_BN in zip(ranks_SAN, others_SBN, strict=True):
        found = _correlations(a_AN, b_BN)
        known = np.isfinite(found)
        total[known] += found[known]
        count += known
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _correlations(a_AN: Floats, b_BN: Floats) -> Floats:
    """Pearson correlations over the pairs that are both finite, all at once: sums over the common stocks are products of matrices."""
    a_known, b_known = np.isfinite(a_AN).astype(np.float64), np.isfinite(b_BN).astype(np.float64)
    a, b = np.where(a_known > 0, a_AN, 0.0), np.where(b_known > 0, b_BN, 0.0)
    n = a_known @ b_known.T
    sum_a, sum_b = a @ b_known.T, a_known @ b.T
    with np.errstate(invalid="ignore", divide="ignore"):
        variance_a = (a * a) @ b_known.T - sum_a * sum_a / n
        variance_b = a_known @ (b * b).T - sum_b * sum_b / n
        found = (a @ b.T - sum_a * sum_b / n) / np.sqrt(variance_a * variance_b)
    return np.where((n >= FEWEST) & (variance_a > 1e-9) & (variance_b > 1e-9), found, np.nan)


def ranked(values: Mapping[str, NDArray[np.floating]]) -> Floats:
    """Centred ranks [S, A, N] of factors {name: [S, N]}, as mean_correlations wants them."""
    return np.stack([centred_ranks(panel) for panel in values.values()], axis=1)


def industry_tilts(ranks_SN: Floats, groups_SN: NDArray[np.int64], groups: int) -> tuple[Floats, float]:
    """(mean rank of each industry in deviations [G], share of the ranks' variance that lies between industries), means over the sessions.

    groups_SN: industry numbers, -1 = unknown, left out.  NaN for an industry that has fewer than SMALLEST stocks a session, which would be
    told of its stocks.
    """
    tilts, counts, shares = [], [], []
    for ranks_N, groups_N in zip(ranks_SN, groups_SN, strict=True):
        known = np.isfinite(ranks_N) & (groups_N >= 0)
        if known.sum() < FEWEST:
            continue
        ranks, industry = ranks_N[known] - ranks_N[known].mean(), groups_N[known]
        count_G = np.bincount(industry, minlength=groups)
        mean_G = np.bincount(industry, weights=ranks, minlength=groups) / np.maximum(count_G, 1)
        tilts.append(mean_G / DEVIATION)
        counts.append(count_G)
        shares.append(float((count_G * mean_G**2).sum() / max((ranks**2).sum(), 1e-12)))
    if not tilts:
        return np.full(groups, np.nan), float("nan")
    tilt_SG, count_SG = np.stack(tilts), np.stack(counts)
    there_G = (count_SG > 0).sum(axis=0)
    mean_G = tilt_SG.sum(axis=0) / np.maximum(there_G, 1)  # an absent industry's tilt is 0
    return np.where(count_SG.mean(axis=0) >= SMALLEST, mean_G, np.nan), float(np.mean(shares))
