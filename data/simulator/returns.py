"""What moves prices besides alpha: a market, industries, styles and each stock's own shocks, none of them predictable.

Every part is a martingale difference in simple returns (no part's mean depends on a stock), so that with the planted alpha
switched off nothing predicts the cross-section; volatility clusters, tails are Student's t.
"""

import numpy as np
from numpy.typing import NDArray

from data.simulator.streams import Streams
from data.simulator.universe import USUAL, Universe
from data.simulator.vocabulary import INDUSTRIES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DRIFT = 0.0004  # of the market, a session
MARKET = 0.0135  # long-run daily volatility
ARCH, ASYMMETRY, GARCH = 0.05, 0.06, 0.90  # Glosten, Jagannathan and Runkle (1993)
INDUSTRY = 0.0065
STYLES = {"size": 0.0035, "value": 0.0022, "momentum": 0.0022, "volatility": 0.0025}
OWN_ARCH, OWN_GARCH = 0.07, 0.88
JUMPS, JUMP = 0.02, 0.08  # chance of a jump and its size (1 sd) for a stock of usual volatility
REACTION = 0.013  # to a piece of news of tone 1, on the session it becomes known
REFRESH = 20  # sessions between two updates of the style exposures


class Returns:
    """The running state of the volatilities and exposures.  N stocks, I industries, S styles."""

    def __init__(self, stocks: Universe, streams: Streams) -> None:
        self.stocks = stocks
        self.streams = streams
        self.market_variance = MARKET**2
        self.variance = stocks.volatility**2
        self.exposures = np.zeros((len(STYLES), len(stocks)))

    def draw(self, industries: Ints) -> tuple[Floats, float, Floats]:
        """One session: (simple returns [N] without alpha and news, the market's return, each stock's own volatility [N])."""
        shock = _student(self.streams["market"], 6, 1)[0]
        market = float(np.clip(np.sqrt(self.market_variance) * shock, -0.09, 0.09))
        stress = np.sqrt(self.market_variance) / MARKET
        leverage = ARCH + ASYMMETRY * (market < 0)
        self.market_variance = MARKET**2 * (1 - ARCH - ASYMMETRY / 2 - GARCH) + leverage * market**2 + GARCH * self.market_variance
        of_industries = INDUSTRY * np.sqrt(stress) * _student(self.streams["industries"], 8, len(INDUSTRIES))
        of_styles = np.array(list(STYLES.values())) * np.sqrt(stress) * _student(self.streams["styles"], 8, len(STYLES))
        volatility = np.sqrt(self.variance) * stress**0.35
        own = np.clip(_student(self.streams["idiosyncratic"], 4, len(self.stocks)), -12, 12)
        jumps = self.streams["jumps"]
        jump = np.where(jumps.random(len(own)) < JUMPS, JUMP, 0.0) * jumps.standard_normal(len(own)) * self.stocks.volatility / USUAL
        unit = self.stocks.volatility**2
        self.variance = unit * (1 - OWN_ARCH - OWN_GARCH) + (OWN_ARCH * np.minimum(own**2, 20.0) + OWN_GARCH) * self.variance
        total = DRIFT + self.stocks.beta * market + of_industries[industries] + of_styles @ self.exposures + volatility * own + jump
        return total, market, volatility

    def expose(self, size: Floats, momentum: Floats) -> None:
        """Renew the style exposures from standardised log caps and past returns, [N] each."""
        calm = -np.log(self.stocks.volatility)
        self.exposures = np.stack([-size, self.stocks.cheapness, momentum, (calm - calm.mean()) / calm.std()])


def _student(rng: np.random.Generator, freedom: int, count: int) -> Floats:
    """Student's t scaled to unit variance, [count]."""
    return rng.standard_t(freedom, count) * np.sqrt((freedom - 2) / freedom)
