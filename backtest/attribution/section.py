"""One session's returns as returns of industries and styles: a regression over the index's members, weighted by the index."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.panel import Floats

# N stocks, G groups, K styles


class Section(NamedTuple):
    """What one session's returns were made of: r = market + group_G[group] + z style_K + the stock's own."""

    market: float  # return of the members
    group_G: Floats  # beyond the index
    style_K: Floats  # of one deviation


def section(r_N: Floats, b_N: Floats, groups_N: NDArray[np.int64], count: int, z_KN: Floats) -> Section:
    """The session's returns regressed on groups and styles, weighted by b_N, which adds up to 1.

    Without styles a group's return is that of its members beyond the index, as in Brinson and Fachler (1985); with styles what is left of
    it once the styles have had their part.  The members' own returns add up to 0 in every group, so the index has neither selection nor
    style.  A group without a member has the index's return; a style that doesn't tell members of a group apart earns 0.
    """
    total_G: Floats = np.bincount(groups_N, b_N, count).astype(np.float64)
    there_G = total_G > 0
    mean_G = _means(b_N * r_N, groups_N, total_G)
    meanz_KG = np.stack([_means(b_N * z_N, groups_N, total_G) for z_N in z_KN]) if len(z_KN) else np.empty((0, count))
    within_N, withinz_KN = r_N - mean_G[groups_N], z_KN - meanz_KG[:, groups_N]
    weighted_KN = withinz_KN * b_N
    style_K = np.linalg.pinv(weighted_KN @ withinz_KN.T, rcond=1e-9, hermitian=True) @ (weighted_KN @ within_N)
    market, marketz_K = float(b_N @ r_N), z_KN @ b_N
    group_G = np.where(there_G, (mean_G - market) - (meanz_KG - marketz_K[:, None]).T @ style_K, 0.0)
    return Section(market, group_G, style_K)


def _means(values_N: Floats, groups_N: NDArray[np.int64], total_G: Floats) -> Floats:
    """Weighted mean of each group; 0 where it has no weight."""
    sums_G = np.bincount(groups_N, values_N, len(total_G))
    return np.divide(sums_G, total_G, out=np.zeros(len(total_G)), where=total_G > 0)
