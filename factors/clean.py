"""Cleaning of factors within each session: winsorise, neutralise, scale, orthogonalise, in this order.  Nothing here sees another session.

Dims: D sessions, N stocks, F factors, K styles, G industries.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, model_validator

from data.errors import KestrelError
from data.panel import Floats
from factors.neutral import residuals
from factors.ranks import centred_ranks, rank_gauss, z_score

Scaling = Literal["z_score", "rank", "rank_gauss"]
INDUSTRY = "industry"  # what `neutralise` calls the industries, beside the names of styles


def winsorise(values_DN: Floats, *, deviations: float = 5.0) -> Floats:
    """Values beyond `deviations` median absolute deviations (x 1.4826) from the session's median are pulled back to there.

    Where more than half of a session's values are alike, nothing is extreme by this measure and all stay.  Infinities become null.
    """
    out_DN = np.empty(values_DN.shape)
    _clip_deviations(np.ascontiguousarray(values_DN, dtype=np.float64), deviations * 1.4826, out_DN)
    return out_DN


def winsorise_tails(values_DN: Floats, *, tail: float = 0.01) -> Floats:
    """Values outside the session's quantiles `tail` and 1 - `tail` are pulled back to them (between two values: a straight line)."""
    out_DN = np.empty(values_DN.shape)
    _clip_tails(np.ascontiguousarray(values_DN, dtype=np.float64), tail, out_DN)
    return out_DN


@njit(cache=True, nogil=True)
def _clip_deviations(values_DN: Floats, factor: float, out_DN: Floats) -> None:
    for t in range(len(values_DN)):
        seen = values_DN[t][np.isfinite(values_DN[t])]
        middle = np.median(seen) if len(seen) > 0 else np.nan
        width = factor * np.median(np.abs(seen - middle)) if len(seen) > 0 else np.nan
        _clip(values_DN[t], middle - width if width > 0 else -np.inf, middle + width if width > 0 else np.inf, out_DN[t])


@njit(cache=True, nogil=True)
def _clip_tails(values_DN: Floats, tail: float, out_DN: Floats) -> None:
    for t in range(len(values_DN)):
        seen = np.sort(values_DN[t][np.isfinite(values_DN[t])])
        low, high = -np.inf, np.inf
        if len(seen) > 0:
            place = tail * (len(seen) - 1)
            below = int(place)
            above = min(below + 1, len(seen) - 1)
            low = seen[below] + (place - below) * (seen[above] - seen[below])
            high = seen[-1 - below] - (place - below) * (seen[-1 - below] - seen[-1 - above])
        _clip(values_DN[t], low, high, out_DN[t])


@njit(cache=True, nogil=True)
def _clip(values_N: Floats, low: float, high: float, out_N: Floats) -> None:
    for n in range(len(values_N)):
        out_N[n] = min(max(values_N[n], low), high) if np.isfinite(values_N[n]) else np.nan


def scale(values_DN: Floats, how: Scaling) -> Floats:
    """Values made comparable across sessions: z-scores, ranks in (-0.5, 0.5) or normal quantiles of ranks."""
    scalings = {"z_score": z_score, "rank": centred_ranks, "rank_gauss": rank_gauss}
    return scalings[how](values_DN)


def neutralise(values_DN: Floats, styles: list[Floats], groups_DN: NDArray[np.int64] | None = None) -> Floats:
    """What is left of a factor after a least-squares fit, session by session, on styles [D, N] and group dummies.

    groups_DN: industry numbers, -1 = unknown (a group of its own); None for no groups.  A stock that lacks a style is null, and so is a
    session with no more than K + 1 stocks that have all.  What one style repeats of the others is ignored.
    """
    shape = values_DN.shape
    styles_DKN = np.stack(styles, axis=1) if styles else np.empty((shape[0], 0, shape[1]))
    return residuals(values_DN, styles_DKN, np.zeros(shape, dtype=np.int64) if groups_DN is None else groups_DN)


def gram_schmidt(values: Mapping[str, Floats]) -> dict[str, Floats]:
    """Z-scores less what the factors before them in the mapping explain, so that each pair is uncorrelated in every session.

    The first keeps its meaning, the last keeps what only it knows.  A factor that a stock lacks counts as its mean, 0, and stays null.
    """
    return _turned(values, _in_turn)


def symmetric(values: Mapping[str, Floats]) -> dict[str, Floats]:
    """Z-scores turned as little as possible so that each pair is uncorrelated in every session: Z (Z'Z / n)^-1/2.  (Löwdin 1950)

    No factor comes first.  A factor that a stock lacks counts as its mean, 0, and stays null.
    """
    return _turned(values, _all_alike)


def _turned(values: Mapping[str, Floats], turn: Callable[[Floats], Floats]) -> dict[str, Floats]:
    """Factors with `turn` done to the z-scores [R, F] of each session's R stocks that have any; nulls stay null."""
    out = {name: np.full(panel.shape, np.nan) for name, panel in values.items()}
    for t in range(len(next(iter(values.values())))):
        z_FN = z_score(np.stack([panel[t] for panel in values.values()]))
        known_FN = np.isfinite(z_FN)
        some_N = known_FN.any(axis=0)
        turned_RF = turn(np.where(known_FN, z_FN, 0.0)[:, some_N].T)
        for place, panel in enumerate(out.values()):
            panel[t, some_N] = np.where(known_FN[place, some_N], turned_RF[:, place], np.nan)
    return out


def _in_turn(z_RF: Floats) -> Floats:
    """Each column less its projection on those before it: Q with R's diagonal put back; what the others explain wholly is 0."""
    if len(z_RF) < z_RF.shape[1]:
        return np.full(z_RF.shape, np.nan)
    q_RF, r_FF = np.linalg.qr(z_RF)
    size_F = np.diag(r_FF)
    return np.asarray(q_RF * np.where(np.abs(size_F) > 1e-10 * np.sqrt(len(z_RF)), size_F, 0.0))


def _all_alike(z_RF: Floats) -> Floats:
    """The nearest columns that are uncorrelated; directions below 1e-10 of the largest are rounding and left out."""
    size_F, turn_FF = np.linalg.eigh(z_RF.T @ z_RF / max(len(z_RF), 1))
    kept_F = size_F > 1e-10 * max(float(size_F[-1]), 1e-300)
    return np.asarray(z_RF @ (turn_FF[:, kept_F] / np.sqrt(size_F[kept_F])) @ turn_FF[:, kept_F].T)


class CleanSettings(BaseModel):
    """How factors are cleaned before models read them, session by session, in this order; models scale their inputs themselves."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    winsorise: NonNegativeFloat = 0.0  # median absolute deviations; 0 leaves tails alone
    tails: float = Field(default=0.0, ge=0, lt=0.5)  # or by quantile: the share of each side that is pulled in; 0 leaves them alone
    neutralise: Annotated[tuple[str, ...], Field(strict=False)] = ()  # "industry", and names of factors: log_float_cap, volatility_20, …
    scale: Scaling | None = None
    orthogonalise: Literal["gram_schmidt", "symmetric"] | None = None  # all factors among each other, in the order of the table

    @model_validator(mode="after")
    def _one_way(self) -> "CleanSettings":
        if self.winsorise > 0 and self.tails > 0:
            raise ValueError("winsorise and tails are two ways to pull in extremes: set one of them")
        return self

    @property
    def styles(self) -> tuple[str, ...]:
        """The factors that factors are made neutral to."""
        return tuple(name for name in self.neutralise if name != INDUSTRY)

    @property
    def idle(self) -> bool:
        """Whether factors stay as they are."""
        return self == CleanSettings()


def clean(
    values_DN: Floats, settings: CleanSettings, *, styles: Mapping[str, Floats] | None = None, groups_DN: NDArray[np.int64] | None = None
) -> Floats:
    """One factor winsorised, neutralised and scaled as the settings say; raises KestrelError where what it is to be neutral to isn't there."""
    styles = styles or {}
    for name in settings.styles:
        if name not in styles:
            raise KestrelError(f"factors.clean.neutralise names {name}, but the lake has no such factor. See: kestrel factors list")
    if INDUSTRY in settings.neutralise and groups_DN is None:
        raise KestrelError(
            "factors.clean.neutralise names industry, but the lake has no industries known at the time (hindsight = true ones are never used). "
            "Neutralise by log_float_cap alone."
        )
    if settings.winsorise > 0:
        values_DN = winsorise(values_DN, deviations=settings.winsorise)
    if settings.tails > 0:
        values_DN = winsorise_tails(values_DN, tail=settings.tails)
    if settings.neutralise:
        values_DN = neutralise(values_DN, [styles[name] for name in settings.styles], groups_DN if INDUSTRY in settings.neutralise else None)
    return values_DN if settings.scale is None else scale(values_DN, settings.scale)


def orthogonalise(values: Mapping[str, Floats], settings: CleanSettings) -> dict[str, Floats]:
    """All factors made uncorrelated with each other in every session as the settings say; the same arrays where they say nothing."""
    if settings.orthogonalise is None:
        return dict(values)
    return gram_schmidt(values) if settings.orthogonalise == "gram_schmidt" else symmetric(values)
