"""A risk model of styles and industries: returns of each session explained by what was known at the close before."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from backtest.exposures import standardised
from backtest.risk.model import Risk
from backtest.risk.moments import covariance, leaning, variances
from backtest.risk.sections import explained, settled
from data.errors import KestrelError
from data.panel import Floats

# D sessions, N stocks, G industries, S styles, K factors
MARKET, OTHERS = "market", "others"


class StyleRiskSettings(BaseModel):
    """How far back the model looks, in sessions, and how far it trusts what it sees."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    halflife: int = Field(default=60, ge=5)  # of factors' variances
    correlation_halflife: int = Field(default=240, ge=5)
    lags: int = Field(default=2, ge=0)  # of Newey and West
    window: int = Field(default=960, ge=60)  # sessions that factors' covariance reads
    specific_halflife: int = Field(default=60, ge=5)
    specific_lags: int = Field(default=0, ge=0)
    strength: float = Field(default=20.0, ge=0)  # observations that the specific variance of stocks alike counts for
    fewest: int = Field(default=5, ge=1)  # stocks that make an industry; smaller ones are together 'others'
    thin: float = Field(default=5.0, gt=0)  # average stocks of the market added to each industry


class StyleRisk:
    """The model over a panel; `at` reads sessions up to its own alone.

    styles: raw values [D, N] by name, standardised as exposures are reported (see backtest.exposures); a stock without one counts as
    the mean.  groups_DN numbers the names in `groups`, -1 = unknown; None: no industries.  present_DN: the stocks that make the
    factors, those that styles are standardised on.
    """

    def __init__(
        self,
        returns_DN: Floats,
        styles: Mapping[str, Floats],
        cap_DN: Floats,
        present_DN: NDArray[np.bool_],
        *,
        groups_DN: NDArray[np.int64] | None = None,
        groups: Sequence[str] = (),
        settings: StyleRiskSettings | None = None,
        remarks: Sequence[str] = (),
    ) -> None:
        self.settings = settings or StyleRiskSettings()
        self.remarks = tuple(remarks)
        own = self.settings
        z_SDN = [np.nan_to_num(standardised(values_DN, present_DN)) for values_DN in styles.values()]
        self.z_SDN = np.stack(z_SDN) if z_SDN else np.empty((0, *returns_DN.shape))
        numbers_DN = np.full(returns_DN.shape, -1, dtype=np.int64) if groups_DN is None else groups_DN
        self.group_DN = settled(numbers_DN, present_DN, len(groups), own.fewest)
        self.factors = (MARKET, *groups, OTHERS, *styles)
        self.f_DK, self.own_DN = explained(returns_DN, self.z_SDN, self.group_DN, cap_DN, present_DN, len(groups) + 1, own.thin)
        self.variance_DN, self.observed_DN = variances(self.own_DN, float(own.specific_halflife), own.specific_lags)

    def at(self, session: int) -> Risk:
        """The covariance of the next session's returns.  Raises KestrelError where too few sessions came before."""
        X_NK, used_K = self.exposures(session)
        first = max(0, session + 1 - self.settings.window)
        f_TK = self.f_DK[first : session + 1][:, used_K]
        f_TK = f_TK[np.isfinite(f_TK).all(axis=1)]
        if len(f_TK) <= self.settings.halflife:
            raise KestrelError(
                f"The risk model knows {len(f_TK)} sessions, and needs {self.settings.halflife + 1}. Start later, or load more history."
            )
        F_KK = covariance(f_TK, halflife=self.settings.halflife, correlation_halflife=self.settings.correlation_halflife, lags=self.settings.lags)
        names = tuple(name for name, used in zip(self.factors, used_K, strict=True) if used)
        return Risk(names, X_NK, F_KK, self._specific(session, X_NK))

    def exposures(self, session: int) -> tuple[Floats, NDArray[np.bool_]]:
        """(X_NK at the close of the session, which of `factors` its columns are: those that any stock is exposed to)."""
        groups = len(self.factors) - 1 - len(self.z_SDN)
        industry_NG = self.group_DN[session][:, None] == np.arange(groups)
        X_NK = np.column_stack([np.ones(len(industry_NG)), industry_NG, self.z_SDN[:, session].T])
        used_K = (X_NK != 0).any(axis=0)
        return np.ascontiguousarray(X_NK[:, used_K]), used_K

    def _specific(self, session: int, X_NK: Floats) -> Floats:
        """Specific variances, drawn towards those of stocks with the same exposures: the fit of their logarithm, scaled to their mean."""
        variance_N, observed_N = self.variance_DN[session], self.observed_DN[session]
        known_N = (variance_N > 0) & (observed_N > self.settings.strength)
        if known_N.sum() <= X_NK.shape[1]:
            known_N = variance_N > 0
        log_N = np.log(variance_N[known_N])
        mean = log_N.mean()
        gram_KK = X_NK[known_N].T @ X_NK[known_N] + np.eye(X_NK.shape[1])
        fit_N = np.exp(mean + X_NK @ np.linalg.solve(gram_KK, X_NK[known_N].T @ (log_N - mean)))
        prior_N = fit_N * (variance_N[known_N].mean() / fit_N[known_N].mean())
        return leaning(variance_N, observed_N, prior_N, self.settings.strength)
