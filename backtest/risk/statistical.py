"""A risk model that knows nothing but returns: their principal components, as far as they stand out of noise."""

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from backtest.risk.model import Risk
from backtest.risk.moments import fading, leaning, variances
from data.errors import KestrelError
from data.panel import Floats

# D sessions, T sessions looked back, N stocks, K factors
LEAST = 0.1  # of a stock's variance is its own, however well the components explain it


class StatisticalRiskSettings(BaseModel):
    """How far back the model looks, in sessions, and how many components it may keep."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    window: int = Field(default=480, ge=60)
    correlation_halflife: int = Field(default=240, ge=5)
    halflife: int = Field(default=60, ge=5)  # of stocks' variances
    lags: int = Field(default=0, ge=0)
    components: int = Field(default=20, ge=1)
    fewest: int = Field(default=60, ge=2)  # returns that a stock needs for components of its own; the others get the mean ones
    strength: float = Field(default=20.0, ge=0)  # observations that the mean variance counts for


class StatisticalRisk:
    """The model over a panel of returns; `at` reads sessions up to its own alone."""

    def __init__(self, returns_DN: Floats, *, settings: StatisticalRiskSettings | None = None, remarks: Sequence[str] = ()) -> None:
        self.settings = settings or StatisticalRiskSettings()
        self.remarks = tuple(remarks)
        self.returns_DN = returns_DN
        self.variance_DN, self.observed_DN = variances(returns_DN, float(self.settings.halflife), self.settings.lags)

    def at(self, session: int) -> Risk:
        """The covariance of the next session's returns.  Raises KestrelError where too few sessions came before."""
        own = self.settings
        r_TN = self.returns_DN[max(0, session + 1 - own.window) : session + 1]
        enough_N = np.isfinite(r_TN).sum(axis=0) >= own.fewest
        if enough_N.sum() < 2:
            raise KestrelError(f"No two stocks have {own.fewest} returns up to session {session}. Start later, or load more history.")
        weights_T = fading(len(r_TN), own.correlation_halflife)
        y_TN = np.nan_to_num(r_TN[:, enough_N]) * np.sqrt(weights_T)[:, None]
        norm_N = np.sqrt((y_TN**2).sum(axis=0))
        y_TN /= np.where(norm_N > 0, norm_N, 1.0)
        B_NK = components(y_TN, float(weights_T.sum() ** 2 / (weights_T**2).sum()), own.components)
        loading_NK = np.tile(B_NK.mean(axis=0), (r_TN.shape[1], 1))
        loading_NK[enough_N] = B_NK
        variance_N, observed_N = self.variance_DN[session], self.observed_DN[session]
        total_N = leaning(variance_N, observed_N, np.nanmean(variance_N[enough_N]), own.strength)
        common_N = np.minimum((loading_NK**2).sum(axis=1), 1 - LEAST)
        names = tuple(f"component_{k + 1}" for k in range(B_NK.shape[1]))
        return Risk(names, loading_NK * np.sqrt(total_N)[:, None], np.eye(len(names)), total_N * (1 - common_N))


def components(y_TN: Floats, observations: float, most: int) -> Floats:
    """Loadings [N, K] of the components of a correlation matrix that stand out of noise: loadings @ loadings.T is what they share.

    y_TN: series of sum of squares 1, so that y.T @ y is their correlation.  Its eigenvalues come from the smaller matrix y @ y.T
    (Connor and Korajczyk 1986), in units of the mean of those left out.  With ratio = N / observations, one beyond the edge
    (1 + sqrt(ratio))^2 belongs to a spike l, and its excess counts with the cosine between what is seen and what is: (l - 1) c^2
    (Donoho, Gavish and Johnstone 2018, Frobenius norm).  Signs: the larger part of each column is positive.
    """
    from scipy.linalg import eigh  # the largest alone: half the time of all

    sessions, stocks = y_TN.shape
    most = min(most, sessions - 1, stocks - 1)
    values, vectors = eigh(y_TN @ y_TN.T, subset_by_index=(sessions - most, sessions - 1))
    top_K, u_TK = values[::-1], vectors[:, ::-1]
    ratio = stocks / observations
    edge, count = (1 + np.sqrt(ratio)) ** 2, -1
    found, noise = 0, 1.0
    while found > count:  # the more are taken for spikes, the less is left as noise, and the more stand out of it
        count = found
        noise = max((stocks - float(top_K[:count].sum())) / (stocks - count), 1e-12)
        found = int((top_K > edge * noise).sum())
    seen_K = top_K[:count] / noise
    shifted_K = seen_K + 1 - ratio
    spike_K = (shifted_K + np.sqrt(shifted_K**2 - 4 * seen_K)) / 2
    cosine_K = (1 - ratio / (spike_K - 1) ** 2) / (1 + ratio / (spike_K - 1))
    loading_NK = y_TN.T @ u_TK[:, : len(seen_K)] * np.sqrt((spike_K - 1) * cosine_K / seen_K)
    return np.asarray(loading_NK * np.where(loading_NK.sum(axis=0) < 0, -1.0, 1.0))
