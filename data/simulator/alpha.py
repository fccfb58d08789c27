"""Planted alpha: expected returns of the next session as functions of what the tables show at the close.

Each kind is a cross-sectional score of about unit variance times STRENGTH.  Forms and strengths were fixed before any model
was fitted: together the oracle's 5-day IC lies between .05 and .10, and linear alone above .05.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from data.simulator.settings import KINDS, Kind
from data.simulator.vocabulary import INDUSTRIES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

STRENGTH: dict[Kind, float] = {"linear": 8.0e-4, "nonlinear": 4.5e-4, "leadlag": 4.5e-4, "regime": 4.5e-4, "news": 4.5e-4}
LINEAR = {"reversal": 0.55, "calm_turnover": 0.6, "earnings_yield": 0.4, "calm_returns": 0.4}
SEASONED = 20  # sessions after listing from which alpha is planted
NEWS_MEMORY = 0.6  # of the tone, from session to session
LEADERS = 0.2  # the largest of an industry, whose returns the others follow
WARM, YEAR = 60, 244


@dataclass(frozen=True)
class Close:
    """What the tables show at the close of session t.  The first two are [t + 1, N] histories, the rest [N]."""

    prices: Floats  # log of close x adj; NaN before listing
    turnover: Floats  # volume / float shares
    market: Floats  # [t + 1] mean simple return of all stocks
    earnings_yield: Floats  # trailing profit / total cap
    caps: Floats
    industries: Ints
    tone: Floats  # sum of the tones of the news that became known this session
    eligible: Flags  # listed for SEASONED sessions


@njit(cache=True, nogil=True)
def standard(values: Floats, among: Flags) -> Floats:
    """Scores of mean 0 and variance 1 among the marked and known, cut at 3 robust deviations; 0 elsewhere.  [N] -> [N]"""
    scores = np.zeros(len(values))
    known = among & np.isfinite(values)
    found = values[known]
    if len(found) < 10:
        return scores
    middle = np.median(found)
    reach = 3 * 1.4826 * np.median(np.abs(found - middle))
    cut = np.minimum(np.maximum(found, middle - reach), middle + reach)
    spread = cut.std()
    if spread > 0:
        scores[known] = (cut - cut.mean()) / spread
    return scores


class Alpha:
    """The running state of planted alpha: the kinds that are on, and the news that still echoes."""

    def __init__(self, kinds: Sequence[Kind], stocks: int) -> None:
        self.kinds = tuple(kinds)
        self.echo = np.zeros(stocks)

    def expect(self, close: Close) -> Floats:
        """Expected simple returns of the next session by kind, [K, N] in the order of KINDS; rows of kinds that are off are 0."""
        self.echo = NEWS_MEMORY * self.echo + close.tone
        scores = {"linear": linear, "nonlinear": nonlinear, "leadlag": leadlag, "regime": regime}
        found = np.zeros((len(KINDS), len(close.caps)))
        for place, kind in enumerate(KINDS):
            if kind in self.kinds:
                score = self._news(close) if kind == "news" else scores[kind](close)
                found[place] = STRENGTH[kind] * np.where(close.eligible, score, 0.0)
        return found

    def _news(self, close: Close) -> Floats:
        """Drift after news: tone, fading by NEWS_MEMORY a session; most stocks have none."""
        among = self.echo[close.eligible]
        spread = among.std() if len(among) else 0.0
        return np.clip((self.echo - among.mean()) / spread, -6, 6) if spread > 0 else np.zeros_like(self.echo)


def _past(prices: Floats, first: int, last: int) -> Floats:
    """Log return from `first` to `last` sessions ago, [N]; NaN where the history is shorter."""
    return prices[-1 - last] - prices[-1 - first] if len(prices) > first else np.full(prices.shape[1], np.nan)


def _volatility(prices: Floats) -> Floats:
    """Standard deviation of the last 20 log returns, [N]."""
    return np.diff(prices[-21:], axis=0).std(axis=0) if len(prices) > 20 else np.full(prices.shape[1], np.nan)


def linear(close: Close) -> Floats:
    """5-day reversal, low 20-day turnover, earnings yield, low 20-day volatility: a weighted sum."""
    calm = -np.log(np.maximum(close.turnover[-20:].mean(axis=0), 1e-6))
    parts = {
        "reversal": -_past(close.prices, 5, 0),
        "calm_turnover": calm,
        "earnings_yield": close.earnings_yield,
        "calm_returns": -_volatility(close.prices),
    }
    total = np.sum([weight * standard(parts[name], close.eligible) for name, weight in LINEAR.items()], axis=0)
    return total / np.sqrt(sum(weight**2 for weight in LINEAR.values()))


def nonlinear(close: Close) -> Floats:
    """Momentum of 60 sessions less the last 5 pays in calm stocks and costs in wild ones; volume pays neither way at its extremes."""
    momentum = standard(_past(close.prices, 60, 5), close.eligible)
    wildness = standard(_volatility(close.prices), close.eligible)
    recent, usual = close.turnover[-5:].mean(axis=0), close.turnover[-60:].mean(axis=0)
    unusual = standard(np.log(np.maximum(recent, 1e-6) / np.maximum(usual, 1e-6)), close.eligible)
    return standard(-momentum * wildness, close.eligible) * 0.75 + standard(-(unusual**2), close.eligible) * 0.66


def leadlag(close: Close) -> Floats:
    """Within an industry the small follow the large: the leaders' mean return over 5 sessions, for all but the leaders."""
    week = _past(close.prices, 5, 0)
    known = close.eligible & np.isfinite(week)
    order = np.lexsort((-close.caps, close.industries, ~known))[: known.sum()]
    industries = close.industries[order]
    sizes = np.bincount(industries, minlength=len(INDUSTRIES))
    place = np.arange(len(order)) - (np.cumsum(sizes) - sizes)[industries]
    leads = place < np.ceil(LEADERS * sizes[industries])
    count = np.maximum(np.bincount(industries[leads], minlength=len(INDUSTRIES)), 1)
    pulls = np.bincount(industries[leads], weights=week[order[leads]], minlength=len(INDUSTRIES)) / count
    follows = known.copy()
    follows[order[leads]] = False
    return standard(pulls[close.industries], follows)


def regime(close: Close) -> Floats:
    """20-day momentum less the last 5 sessions in a calm market, its opposite in a stormy one: 20-day market volatility against its year's median."""
    month = standard(_past(close.prices, 25, 5), close.eligible)
    return month if calm(close.market) else -month


def calm(market: Floats) -> bool:
    """Is the market's volatility of 20 sessions below the median it had over the last year?  True before WARM sessions."""
    if len(market) < WARM:
        return True
    windows = np.lib.stride_tricks.sliding_window_view(market[-YEAR - 19 :], 20).std(axis=1)
    return bool(windows[-1] <= np.median(windows))
