"""Cleaning of a factor within each session: winsorise, standardise, neutralise.  Nothing here sees another session."""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat

from data.errors import KestrelError
from data.panel import Floats
from factors.ranks import centred_ranks, rank_gauss, z_score

Scaling = Literal["z_score", "rank", "rank_gauss"]


def winsorise(values_DN: Floats, *, deviations: float = 5.0) -> Floats:
    """Values beyond `deviations` median absolute deviations (x 1.4826) from the session's median are pulled back to there."""
    with np.errstate(invalid="ignore"):
        seen = np.where(np.isfinite(values_DN), values_DN, np.nan)
        rows = np.isfinite(seen).any(axis=1)
        out = seen.copy()
        middle = np.nanmedian(seen[rows], axis=1, keepdims=True)
        width = deviations * 1.4826 * np.nanmedian(np.abs(seen[rows] - middle), axis=1, keepdims=True)
        # More than half of the values alike leave no width: then nothing is extreme by this measure.
        out[rows] = np.where(width > 0, np.clip(seen[rows], middle - width, middle + width), seen[rows])
    return out


def scale(values_DN: Floats, how: Scaling) -> Floats:
    """Values made comparable across sessions: z-scores, ranks in (-0.5, 0.5) or normal quantiles of ranks."""
    scalings = {"z_score": z_score, "rank": centred_ranks, "rank_gauss": rank_gauss}
    return scalings[how](values_DN)


def neutralise(values_DN: Floats, styles: list[Floats], groups_DN: NDArray[np.int64] | None = None) -> Floats:
    """What is left of a factor after a least-squares fit, session by session, on styles [D, N] and group dummies.

    groups_DN: industry numbers, -1 = unknown (a group of its own); None for no groups.  A stock that lacks a style is null.
    """
    out = np.full(values_DN.shape, np.nan)
    for t in range(len(values_DN)):
        known = np.isfinite(values_DN[t])
        for style in styles:
            known &= np.isfinite(style[t])
        if known.sum() > len(styles) + 1:
            out[t, known] = _residual(values_DN[t, known], [style[t, known] for style in styles], None if groups_DN is None else groups_DN[t, known])
    return out


def _residual(y_N: Floats, styles: list[Floats], groups_N: NDArray[np.int64] | None) -> Floats:
    """What is left of y after its projection: demeaned within groups first, then regressed on the styles demeaned alike (Frisch-Waugh-Lovell)."""
    groups = np.zeros(len(y_N), dtype=np.int64) if groups_N is None else np.unique(groups_N, return_inverse=True)[1]
    y = _demeaned(y_N, groups)
    if not styles:
        return y
    x = np.column_stack([_demeaned(style, groups) for style in styles])
    coefficients = np.linalg.lstsq(x, y, rcond=None)[0]
    return np.asarray(y - x @ coefficients)


def _demeaned(values_N: Floats, groups_N: NDArray[np.int64]) -> Floats:
    counts = np.bincount(groups_N)
    return np.asarray(values_N - (np.bincount(groups_N, weights=values_N) / counts)[groups_N])


class CleanSettings(BaseModel):
    """How factors are cleaned before models read them, session by session; models scale their inputs themselves."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    winsorise: NonNegativeFloat = 0.0  # median absolute deviations; 0 leaves tails alone
    neutralise: Annotated[tuple[Literal["industry", "log_float_cap"], ...], Field(strict=False)] = ()


def clean(values_DN: Floats, settings: CleanSettings, *, log_cap_DN: Floats | None = None, groups_DN: NDArray[np.int64] | None = None) -> Floats:
    """A factor cleaned as the settings say; raises KestrelError where what it is to be neutral to isn't there."""
    if settings.winsorise > 0:
        values_DN = winsorise(values_DN, deviations=settings.winsorise)
    if not settings.neutralise:
        return values_DN
    if "log_float_cap" in settings.neutralise and log_cap_DN is None:
        raise KestrelError("factors.clean.neutralise names log_float_cap, but the lake has no float shares. Import caps, or leave it out.")
    if "industry" in settings.neutralise and groups_DN is None:
        raise KestrelError(
            "factors.clean.neutralise names industry, but the lake has no industries known at the time (hindsight = true ones are never used). "
            "Neutralise by log_float_cap alone."
        )
    styles = [log_cap_DN] if "log_float_cap" in settings.neutralise and log_cap_DN is not None else []
    return neutralise(values_DN, styles, groups_DN if "industry" in settings.neutralise else None)
