"""A covariance of stock returns in factor form, X F X' + diag(s): all that a risk model says at one close."""

from typing import NamedTuple, Protocol

import numpy as np

from data.panel import Floats

# N stocks, K factors


class Risk(NamedTuple):
    """Covariance of the returns of one session.  specific_N is a variance, NaN for a stock of which nothing is known; X_NK is finite."""

    factors: tuple[str, ...]
    X_NK: Floats
    F_KK: Floats
    specific_N: Floats

    def variance(self, weights_N: Floats) -> float:
        """Variance of the return of a book.  Raises nothing: an unknown stock that is held gives NaN, one that isn't counts for nothing."""
        exposure_K = self.X_NK.T @ weights_N
        own_N = np.where(weights_N == 0, 0.0, self.specific_N)
        return float(exposure_K @ self.F_KK @ exposure_K + own_N @ weights_N**2)

    def times(self, weights_N: Floats) -> Floats:
        """Covariance of each stock with a book, [N]."""
        own_N = np.where(weights_N == 0, 0.0, self.specific_N)
        return np.asarray(self.X_NK @ (self.F_KK @ (self.X_NK.T @ weights_N)) + own_N * weights_N)

    def root_NK(self) -> Floats:
        """Exposures to independent factors of variance 1: root_NK @ root_NK.T = X F X'."""
        values_K, vectors_KK = np.linalg.eigh(self.F_KK)
        return np.asarray(self.X_NK @ (vectors_KK * np.sqrt(np.maximum(values_K, 0.0))))


class RiskModel(Protocol):
    """Anything that can say the risk at the close of a session, knowing nothing later.  remarks: what a reader must know, as sentences."""

    remarks: tuple[str, ...]

    def at(self, session: int) -> Risk:
        """The covariance of the next session's returns."""
        ...
