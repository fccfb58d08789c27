"""What moves prices besides alpha: a market, industries, styles and each stock's own shocks, none of them predictable.

Every part is a martingale difference in simple returns (no part's mean depends on a stock), so that with the planted alpha
switched off nothing foretells a mean; volatility clusters, tails are Student's t, longer downwards for the market and upwards for
single stocks.  Ranks see a trace, a RankIC of volatility with 5 sessions of about -.012, as gains that compound lower the median of
volatile stocks.  Symmetric log returns would move the trace into the means.
"""

from math import gamma, pi, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from data.simulator.streams import Streams
from data.simulator.universe import USUAL, Universe
from data.simulator.vocabulary import INDUSTRIES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DRIFT = 0.0004  # of the market, a session
MARKET = 0.0165  # long-run daily volatility
ARCH, ASYMMETRY, GARCH = 0.02, 0.12, 0.90  # Glosten, Jagannathan and Runkle (1993)
TIDE, EBB = 0.55, 0.995  # the log variance to which the market returns swings by so much, with that memory: quiet years and wild ones
DEEPEST, HIGHEST = -1.2, 1.6  # log fall of the market from its high, log rise from its start; a path beyond is drawn again
INDUSTRY = 0.0065
STYLES = {"size": 0.0035, "value": 0.0022, "momentum": 0.0022, "volatility": 0.0025}
OWN_ARCH, OWN_GARCH = 0.07, 0.92
SHARED = 0.45  # power of the market's volatility, against its usual, to which the stocks' own rises
JUMPS, JUMP = 0.035, 0.08  # chance of a jump and its size (1 sd) for a stock of usual volatility
# Below 1 the tail of falls is the longer one, above 1 that of rises.  Only rare jumps are skewed among a stock's own shocks: were all
# of them, the median of volatile stocks would lie below that of calm ones, and ranks could foretell returns whose means nobody can.
MARKET_SKEW, JUMP_SKEW = 0.85, 2.0
REACTION = 0.013  # to a piece of news of tone 1, on the session it becomes known
REFRESH = 20  # sessions between two updates of the style exposures


class Returns:
    """The running state of the volatilities and exposures.  N stocks, I industries, S styles."""

    def __init__(self, stocks: Universe, sessions: int, streams: Streams) -> None:
        self.stocks = stocks
        self.streams = streams
        self.market, self.market_variance = market_path(sessions, streams["market"])
        self.variance = stocks.volatility**2
        self.exposures = np.zeros((len(STYLES), len(stocks)))

    def draw(self, session: int, industries: Ints) -> tuple[Floats, Floats]:
        """One session: simple returns without alpha and news, and the volatility each was expected to have, [N] each."""
        stress = np.sqrt(self.market_variance[session]) / MARKET
        of_industries = INDUSTRY * np.sqrt(stress) * skewed(self.streams["industries"], 8, 1.0, len(INDUSTRIES))
        sizes = np.array(list(STYLES.values())) * np.sqrt(stress)
        of_styles = sizes * skewed(self.streams["styles"], 8, 1.0, len(STYLES))
        storm = stress**SHARED
        volatility = np.sqrt(self.variance) * storm
        own = np.clip(skewed(self.streams["idiosyncratic"], 4, 1.0, len(self.stocks)), -12, 12)
        jumps = self.streams["jumps"]
        sudden = jumps.random(len(own)) < JUMPS
        size = JUMP * self.stocks.volatility / USUAL * storm
        jump = np.where(sudden, size, 0.0) * skewed(jumps, 5, JUMP_SKEW, len(own))
        total = DRIFT + self.stocks.beta * self.market[session] + of_industries[industries] + of_styles @ self.exposures + volatility * own + jump
        common = self.market_variance[session] * self.stocks.beta**2 + INDUSTRY**2 * stress + sizes**2 @ self.exposures**2
        fresh = OWN_ARCH * np.minimum(own**2, 20.0) + OWN_GARCH
        self.variance = self.stocks.volatility**2 * (1 - OWN_ARCH - OWN_GARCH) + fresh * self.variance
        return total, np.sqrt(common + volatility**2 + JUMPS * size**2)

    def expose(self, size: Floats, momentum: Floats) -> None:
        """Renew the style exposures from standardised log caps and past returns, [N] each."""
        calm = -np.log(self.stocks.volatility)
        self.exposures = np.stack([-size, self.stocks.cheapness, momentum, (calm - calm.mean()) / calm.std()])


def market_path(sessions: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The market's returns less DRIFT, and the variance each was expected to have, [D] each; its volatility clusters, more so after falls.

    Drawn ahead of everything else, because a market that loses three quarters of its value pushes a third of all stocks below par.
    """
    while True:
        shocks = skewed(rng, 6, MARKET_SKEW, sessions)
        usual = MARKET**2 * np.exp(tide(rng, sessions) - TIDE**2 / 2)
        moves, variances = np.empty(sessions), np.empty(sessions)
        variance = usual[0]
        for place, shock in enumerate(shocks):
            move = min(max(sqrt(variance) * shock, -0.09), 0.09)
            moves[place], variances[place] = move, variance
            leverage = ARCH + ASYMMETRY * (move < 0)
            variance = usual[place] * (1 - ARCH - ASYMMETRY / 2 - GARCH) + leverage * move**2 + GARCH * variance
        level = np.concatenate([[0.0], np.log1p(moves + DRIFT).cumsum()])
        if (level - np.maximum.accumulate(level)).min() > DEEPEST and level.max() < HIGHEST:
            return moves, variances


def tide(rng: np.random.Generator, sessions: int) -> Floats:
    """The slow part of the market's log variance, mean 0 and deviation TIDE, [D]."""
    steps = TIDE * rng.standard_normal(sessions) * np.append(1.0, np.full(sessions - 1, sqrt(1 - EBB**2)))
    return np.asarray(lfilter([1.0], [1.0, -EBB], steps))


def skewed(rng: np.random.Generator, freedom: int, skew: float, count: int) -> Floats:
    """Student's t with unlike halves, mean 0 and variance 1, [count].

    The upper half is stretched by `skew`, the lower one shrunk by it, and as much likelier or rarer.  (Fernandez and Steel 1998)
    """
    size = np.abs(rng.standard_t(freedom, count))
    up = rng.random(count) < skew**2 / (1 + skew**2)
    first = 2 * sqrt(freedom) * gamma((freedom + 1) / 2) / ((freedom - 1) * sqrt(pi) * gamma(freedom / 2))
    mean = first * (skew - 1 / skew)
    variance = freedom / (freedom - 2) * (skew**2 + skew**-2 - 1) - mean**2
    return np.asarray((np.where(up, skew, -1 / skew) * size - mean) / np.sqrt(variance))
