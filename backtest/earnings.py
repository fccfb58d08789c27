"""What a share made in a session, by the market's own prices and rights."""

import numpy as np

from backtest.market import Market
from data.panel import Floats


def earned(market: Market, d: int) -> Floats:
    """What a share held at the close before made in session d, dividends and new shares included, [N]; 0 without a price."""
    worth_N = market.last_DN[d] * (1 + market.ratio_DN[d]) + market.cash_DN[d]
    return_N = worth_N / market.last_DN[d - 1] - 1
    return np.where(np.isfinite(return_N), return_N, 0.0)
