"""Several factors as one: normal scores of each session's ranks, added with weights that come from information coefficients already known by then.

Dims: D sessions, T sessions with known ICs, F factors, N stocks.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from data.panel import Floats
from data.progress import Track, silent
from factors.judge import rank_correlations
from factors.ranks import ordered, rank_gauss

Weighing = Literal["equal", "ic", "icir", "max_icir"]
Shrinkage = Literal["ledoit_wolf"] | Annotated[float, Field(ge=0, le=1)]


class CombineSettings(BaseModel):
    """How factors are weighed, and on which past.

    equal: each counts the same, with the sign of its mean IC.  ic: by its mean IC.  icir: by mean IC / deviation.  max_icir: the weights
    whose combined IC has had the highest mean / deviation, C^-1 mean, with C the covariance of the ICs shrunk.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    weighing: Weighing = "icir"
    window: PositiveInt | None = 486  # sessions of known ICs that are looked at, two years; None: all since the start
    least: int = Field(default=120, ge=2)  # sessions below which nothing is said
    every: PositiveInt = 20  # sessions from one fit to the next
    shrinkage: Shrinkage = "ledoit_wolf"  # a constant is 0 … 1 towards equal variances without correlation


def daily_rank_ics(values: Mapping[str, NDArray[np.floating]], y_DN: Floats, *, track: Track = silent) -> Floats:
    """RankIC of each factor in each session, [D, F] in the order of `values`, over stocks whose return is given (NaN for those absent).

    Row d becomes known only as the returns y_DN[d] are over.
    """
    later = ordered(y_DN)
    return np.stack([rank_correlations(ordered(values[name]), later) for name in track(list(values), "rank ICs")], axis=1)


def weigh(ic_TF: Floats, settings: CombineSettings) -> Floats:
    """Weights [F] out of known daily ICs; their magnitudes add up to 1.  A factor without `least` ICs weighs 0; NaN where none has them.

    (Qian, Hua and Sorensen 2007, Quantitative Equity Portfolio Management, chapter 7.)
    """
    known = np.isfinite(ic_TF).sum(axis=0) >= settings.least
    weights = np.full(ic_TF.shape[1], np.nan)
    if not known.any():
        return weights
    mean_F, covariance_FF = moments(ic_TF[:, known], settings.shrinkage)
    if settings.weighing == "equal":
        raw = np.sign(mean_F)
    elif settings.weighing == "ic":
        raw = mean_F
    elif settings.weighing == "icir":
        deviation_F = np.nanstd(ic_TF[:, known], axis=0, ddof=1)
        raw = np.divide(mean_F, deviation_F, out=np.zeros_like(mean_F), where=deviation_F > 0)
    else:
        raw = np.linalg.lstsq(covariance_FF, mean_F, rcond=None)[0]
    size = np.abs(raw).sum()
    weights[:] = 0.0
    weights[known] = raw / size if size > 0 else raw
    return weights


def moments(ic_TF: Floats, shrinkage: Shrinkage) -> tuple[Floats, Floats]:
    """(means [F], covariance [F, F]) of ICs, the covariance drawn towards its mean variance times the identity.

    A missing IC counts as its factor's mean, so that the covariance stays positive.  Ledoit and Wolf's share of the target is
    min(1, b2 / d2): d2 is the distance of the covariance from the target, b2 how far it is off by chance.  (Ledoit and Wolf 2004)
    """
    mean_F = np.nanmean(ic_TF, axis=0)
    centred_TF = np.where(np.isfinite(ic_TF), ic_TF - mean_F, 0.0)
    length, factors = centred_TF.shape
    sample_FF = centred_TF.T @ centred_TF / length
    target_FF = np.trace(sample_FF) / factors * np.eye(factors)
    if shrinkage == "ledoit_wolf":
        distance = float(((sample_FF - target_FF) ** 2).sum())
        # sum over t of |x_t x_t' - S|^2, without the T matrices
        chance = float(((centred_TF**2).sum(axis=1) ** 2).sum() - length * (sample_FF**2).sum()) / length**2
        share = min(max(chance, 0.0) / distance, 1.0) if distance > 0 else 0.0
    else:
        share = shrinkage
    return mean_F, share * target_FF + (1 - share) * sample_FF


def walk(ic_DF: Floats, settings: CombineSettings, *, reach: int) -> Floats:
    """Weights [D, F] in force at each session's close, fitted every `every` sessions on the ICs that were known by then.

    reach: sessions from a row's close until its returns are over (entry delay + horizon), so that the weights of session d read the rows up
    to d - reach and nothing else.  NaN until there is enough to go by; from then on the first fit, renewed every `every` sessions.
    """
    weights_DF = np.full(ic_DF.shape, np.nan)
    latest = np.full(ic_DF.shape[1], np.nan)
    for d in range(len(ic_DF)):
        if d % settings.every == 0:
            stop = max(d - reach + 1, 0)
            start = 0 if settings.window is None else max(stop - settings.window, 0)
            latest = weigh(ic_DF[start:stop], settings)
        weights_DF[d] = latest
    return weights_DF


def normal_scores(values_DN: NDArray[np.floating], present_DN: NDArray[np.bool_]) -> Floats:
    """Normal quantiles of a factor's ranks among the stocks present in each session; NaN elsewhere."""
    return rank_gauss(np.where(present_DN, values_DN, np.nan))


class Mixture:
    """A weighted sum of factors' scores that grows one factor at a time, so that never more than one need be in memory."""

    def __init__(self, weights_DF: Floats, shape: tuple[int, int]) -> None:
        """Weights [D, F], or [F] for all sessions, of factors that come in this order; shape is [D, N]."""
        self.weights_DF = np.broadcast_to(weights_DF, (shape[0], np.shape(weights_DF)[-1]))
        self.total_DN, self.seen_DN = np.zeros(shape), np.zeros(shape, dtype=bool)
        self.factors = 0

    def add(self, scores_DN: Floats) -> None:
        """Add the next factor's scores, times its weights."""
        weight_D1 = self.weights_DF[:, self.factors, None]
        known_DN = np.isfinite(scores_DN) & (weight_D1 != 0)
        self.total_DN += np.where(known_DN, scores_DN, 0.0) * weight_D1
        self.seen_DN |= known_DN
        self.factors += 1

    @property
    def values_DN(self) -> Floats:
        """The sum of what was added; NaN where a stock had none of the factors that weigh, and where nobody knows the weights."""
        return np.where(self.seen_DN, self.total_DN, np.nan)


def combine(values: Mapping[str, NDArray[np.floating]], weights_DF: Floats, present_DN: NDArray[np.bool_]) -> Floats:
    """The weighted sum of the factors' normal scores among the stocks present in each session, [D, N]; factors as in the weights' columns.

    weights_DF: [D, F] as `walk` gives them, or [F] as `weigh` does.  A factor that a stock lacks counts as its session's mean, 0.
    """
    mixture = Mixture(weights_DF, present_DN.shape)
    for panel in values.values():
        mixture.add(normal_scores(panel, present_DN))
    return mixture.values_DN
