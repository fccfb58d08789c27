"""What a book is exposed to beyond its index: styles in deviations of the index's members, industries in weight.

Every row belongs to one close.  w_DN are the book's weights in equity, what is missing to 1 being cash; b_DN are the index's,
0 outside it and NaN on sessions whose members nobody knows, which give NaN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.typing import NDArray

from data.panel import Floats
from factors.ranks import row_moments

# D sessions, N stocks, G groups
CLIP = 3.0  # deviations: one odd value says "extreme" and no more (as in Barra's models)
UNKNOWN, CASH = "unknown", "cash"  # groups beside the industries


@dataclass(frozen=True)
class Exposures:
    """Active exposures at each close of `dates`.

    style_D: {style: [D] deviations of the members}.  coverage: the part of the book's stocks that has a value of the style, on
    average.  industry_DG: active weights, a column for each name in `industries`, 'unknown' and 'cash' among them: a row sums to 0.
    remarks: what a reader must know, as sentences.
    """

    dates: tuple[date, ...]
    style_D: Mapping[str, Floats] = field(default_factory=dict)
    coverage: Mapping[str, float] = field(default_factory=dict)
    industries: tuple[str, ...] = ()
    industry_DG: Floats = field(default_factory=lambda: np.empty((0, 0)))
    active_share_D: Floats = field(default_factory=lambda: np.empty(0))
    remarks: tuple[str, ...] = ()


def standardised(x_DN: Floats, member_DN: NDArray[np.bool_]) -> Floats:
    """Values less their mean over their deviation, both over the members with a value and equally weighted, clipped at +-CLIP; [D, N].

    NaN stays NaN; so does a whole session whose members don't differ.
    """
    mean_D1, spread_D1 = row_moments(np.where(member_DN, x_DN, np.nan))
    z_DN = np.full(x_DN.shape, np.nan)
    np.divide(x_DN - mean_D1, spread_D1, out=z_DN, where=spread_D1 > 0)
    return np.clip(z_DN, -CLIP, CLIP)


def active_style(w_DN: Floats, b_DN: Floats, z_DN: Floats) -> tuple[Floats, Floats]:
    """(exposure [D] in deviations, coverage [D]) of a book against its index.

    exposure = invested x (sum w z / sum w - sum b z / sum b), each sum over the stocks with a value; invested = sum w over all.
    So a stock without a value counts as the mean of its side, and cash as the index.  coverage = sum w with a value / sum w.
    """
    invested_D = w_DN.sum(axis=1)
    ours_D, known_D = _mean(w_DN, z_DN)
    theirs_D, _ = _mean(b_DN, z_DN)
    exposure_D = np.where(invested_D > 0, invested_D * (ours_D - theirs_D), 0.0 * theirs_D)
    coverage_D = np.full(len(w_DN), np.nan)
    np.divide(known_D, invested_D, out=coverage_D, where=invested_D > 0)
    return exposure_D, coverage_D


def group_weights(w_DN: Floats, groups_DN: NDArray[np.int64], count: int) -> Floats:
    """Weight of each group [D, count + 1]; the last column holds stocks whose group is -1, unknown."""
    sessions = len(w_DN)
    cells = np.where(groups_DN < 0, count, groups_DN) + (count + 1) * np.arange(sessions)[:, None]
    summed: Floats = np.bincount(cells.ravel(), weights=w_DN.ravel(), minlength=sessions * (count + 1)).astype(np.float64)
    return summed.reshape(sessions, count + 1)


def active_share(w_DN: Floats, b_DN: Floats) -> Floats:
    """Half the sum of absolute active weights, cash included: 0 for the index itself, 1 for a book without its members; [D].

    (Cremers and Petajisto 2009)
    """
    active_DN = w_DN - b_DN
    return np.asarray((np.abs(active_DN).sum(axis=1) + np.abs(active_DN.sum(axis=1))) / 2)


def exposures(
    dates: Sequence[date],
    w_DN: Floats,
    b_DN: Floats,
    styles: Mapping[str, Floats],
    *,
    groups_DN: NDArray[np.int64] | None = None,
    groups: Sequence[str] = (),
    remarks: Sequence[str] = (),
) -> Exposures:
    """Every active exposure of a book.  styles: raw values [D, N] by name.  groups_DN numbers the names in `groups`, -1 = unknown."""
    style_D, coverage = {}, {}
    for name, x_DN in styles.items():
        style_D[name], covered_D = active_style(w_DN, b_DN, standardised(x_DN, b_DN > 0))
        held = np.isfinite(covered_D)
        coverage[name] = float(covered_D[held].mean()) if held.any() else float("nan")
    names: tuple[str, ...] = ()
    industry_DG = np.empty((len(w_DN), 0))
    if groups_DN is not None:
        active_DN = w_DN - b_DN
        industry_DG = np.column_stack([group_weights(active_DN, groups_DN, len(groups)), -active_DN.sum(axis=1)])
        names = (*groups, UNKNOWN, CASH)
        seen = [g for g in range(len(names)) if np.any(np.nan_to_num(industry_DG[:, g]) != 0)]
        names, industry_DG = tuple(names[g] for g in seen), industry_DG[:, seen]
    return Exposures(tuple(dates), style_D, coverage, names, industry_DG, active_share(w_DN, b_DN), tuple(remarks))


def _mean(w_DN: Floats, z_DN: Floats) -> tuple[Floats, Floats]:
    """(weighted mean of z [D], weight that has one [D]); NaN where none has."""
    known_DN = np.where(np.isfinite(z_DN), w_DN, 0.0) + 0.0 * w_DN  # a NaN weight stays NaN
    total_D = known_DN.sum(axis=1)
    mean_D = np.full(len(w_DN), np.nan)
    np.divide((known_DN * np.nan_to_num(z_DN)).sum(axis=1), total_D, out=mean_D, where=total_D > 0)
    return mean_D, total_D
