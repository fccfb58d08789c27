"""Variances and covariances of series whose recent past counts most, and that lean on what their like do where they know little."""

import numpy as np
from numba import njit

from data.panel import Floats

# T sessions, N stocks, K factors
LEAST = 0.25  # of the variance without lags: a correction for autocorrelation takes away no more


def fading(count: int, halflife: float) -> Floats:
    """Weights that halve every `halflife` sessions, the last 1, [count]."""
    return np.asarray(0.5 ** (np.arange(count - 1, -1, -1) / halflife))


def covariance(series_TK: Floats, *, halflife: float, correlation_halflife: float, lags: int) -> Floats:
    """Covariance [K, K] of series around zero: variances fade by one half-life, correlations by a longer one, shrunk as far as they are noise.

    Both are corrected for autocorrelation up to `lags` with Bartlett's weights (Newey and West 1987), on series times the root of their
    weights, so that the result has no negative variance.
    """
    variance_K = np.diag(_lagged(series_TK, halflife, lags))
    wide_KK = _lagged(series_TK, correlation_halflife, lags)
    spread_K = np.sqrt(np.maximum(np.diag(wide_KK), 1e-30))
    weights_T = fading(len(series_TK), correlation_halflife)
    correlation_KK = shrunk(wide_KK / np.outer(spread_K, spread_K), float(weights_T.sum() ** 2 / (weights_T**2).sum()))
    deviation_K = np.sqrt(variance_K)
    return np.asarray(correlation_KK * np.outer(deviation_K, deviation_K))


def shrunk(correlation_KK: Floats, observations: float) -> Floats:
    """Correlations times 1 - intensity; the intensity is the part of their sum of squares that chance makes of so many observations.

    (Schaefer and Strimmer 2005, with (1 - r^2)^2 / observations as the variance of a correlation.)
    """
    off_KK = ~np.eye(len(correlation_KK), dtype=bool)
    squares = float((correlation_KK[off_KK] ** 2).sum())
    noise = float(((1 - correlation_KK[off_KK] ** 2) ** 2).sum()) / observations
    intensity = min(1.0, noise / squares) if squares > 0 else 0.0
    return np.asarray(np.where(off_KK, (1 - intensity) * correlation_KK, correlation_KK))


def _lagged(series_TK: Floats, halflife: float, lags: int) -> Floats:
    weights_T = fading(len(series_TK), halflife)
    rooted_TK = series_TK * np.sqrt(weights_T / weights_T.sum())[:, None]
    total_KK = rooted_TK.T @ rooted_TK
    for lag in range(1, min(lags, len(series_TK) - 1) + 1):
        cross_KK = rooted_TK[lag:].T @ rooted_TK[:-lag]
        total_KK += (1 - lag / (lags + 1)) * (cross_KK + cross_KK.T)
    return np.asarray(total_KK)


@njit(cache=True, nogil=True)
def variances(series_TN: Floats, halflife: float, lags: int) -> tuple[Floats, Floats]:
    """(variance around zero, observations it rests on) of each series at each session, both [T, N], from that session and those before.

    Weights halve every `halflife` sessions, whether a value is there or not; observations are the weights' sum, at most
    halflife / ln 2.  Corrected for autocorrelation up to `lags` (Bartlett).  NaN before the first value.
    """
    sessions, stocks = series_TN.shape
    keep = 0.5 ** (1 / halflife)
    variance_TN, observed_TN = np.full((sessions, stocks), np.nan), np.zeros((sessions, stocks))
    sums_NL, count_N = np.zeros((stocks, lags + 1)), np.zeros(stocks)
    for t in range(sessions):
        for n in range(stocks):
            value = series_TN[t, n]
            known = np.isfinite(value)
            count_N[n] = keep * count_N[n] + (1.0 if known else 0.0)
            for lag in range(lags + 1):
                before = series_TN[t - lag, n] if t >= lag else np.nan
                sums_NL[n, lag] = keep * sums_NL[n, lag] + (value * before if known and np.isfinite(before) else 0.0)
            if count_N[n] > 0:
                total = sums_NL[n, 0]
                for lag in range(1, lags + 1):
                    total += 2 * (1 - lag / (lags + 1)) * sums_NL[n, lag]
                variance_TN[t, n] = max(total, LEAST * sums_NL[n, 0]) / count_N[n]
                observed_TN[t, n] = count_N[n]
    return variance_TN, observed_TN


def leaning(variance_N: Floats, observed_N: Floats, prior_N: Floats, strength: float) -> Floats:
    """Variances drawn towards what is thought of them without looking, as if that were `strength` observations more, [N]."""
    known_N = np.where(np.isfinite(variance_N), variance_N, 0.0)
    return np.asarray((observed_N * known_N + strength * prior_N) / (observed_N + strength))
