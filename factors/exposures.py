"""What a factor is made of: its correlation with styles and with other factors, and its tilt to industries.

Dims: S sessions, N stocks, A and B factors, G industries.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.panel import Floats
from factors.judge import FEWEST
from factors.ranks import centred_ranks

Floats32 = NDArray[np.float32]

SMALLEST = 5  # stocks of an industry whose tilt is told
DEVIATION = 12**-0.5  # of ranks spread evenly over (-0.5, 0.5)


class Ranks(NamedTuple):
    """Centred ranks of A factors in S sessions, their squares, and 1 where there is one; all 0 where a stock has no value: [S, A, N] each.

    In float32: six digits of a correlation are more than is told, and every factor of a lake fits into memory.
    """

    rank_SAN: Floats32
    square_SAN: Floats32
    known_SAN: Floats32


def ranked(values: Mapping[str, NDArray[np.floating]]) -> Ranks:
    """The ranks of factors {name: [S, N]}, each among the stocks that have a value in the session."""
    rank_SAN = np.stack([centred_ranks(panel).astype(np.float32) for panel in values.values()], axis=1)
    known_SAN = np.isfinite(rank_SAN)
    rank_SAN[~known_SAN] = 0.0
    return Ranks(rank_SAN, rank_SAN**2, known_SAN.astype(np.float32))


def mean_correlations(a: Ranks, b: Ranks) -> Floats:
    """Mean over the sessions of the correlation of the ranks of A factors with those of B others, [A, B]; NaN where no session has one.

    Stocks that lack either value are left out of a pair.
    """
    shape = a.rank_SAN.shape[1], b.rank_SAN.shape[1]
    total, count = np.zeros(shape), np.zeros(shape)
    for a_session, b_session in zip(zip(*a, strict=True), zip(*b, strict=True), strict=True):
        found = _correlations(*a_session, *b_session)
        known = np.isfinite(found)
        total[known] += found[known]
        count += known
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _correlations(a_AN: Floats32, a2_AN: Floats32, a_known: Floats32, b_BN: Floats32, b2_BN: Floats32, b_known: Floats32) -> Floats:
    """Pearson correlations over the pairs that both have, all at once: sums over the common stocks are products of matrices."""
    n, sum_a, square_a = np.split((np.concatenate([a_known, a_AN, a2_AN]) @ b_known.T).astype(np.float64), 3)
    sum_b, product = np.split((np.concatenate([a_known, a_AN]) @ b_BN.T).astype(np.float64), 2)
    square_b = a_known @ b2_BN.T
    with np.errstate(invalid="ignore", divide="ignore"):
        variance_a, variance_b = square_a - sum_a**2 / n, square_b - sum_b**2 / n
        found = (product - sum_a * sum_b / n) / np.sqrt(variance_a * variance_b)
    spread = (variance_a > 1e-5 * square_a) & (variance_b > 1e-5 * square_b)  # less is rounding
    return np.where((n >= FEWEST) & spread, found, np.nan)


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
