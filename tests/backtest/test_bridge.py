"""vectorbt replays an account's fills to the same shares and the same equity: an oracle that knows nothing of our accounting."""

import numpy as np
import pytest

from backtest.bridge import portfolio
from backtest.costs import CostSettings
from backtest.simulation import simulate
from backtest.strategies import TopkBuffer
from data.errors import KestrelError


@pytest.fixture(scope="module")
def closes():
    rng = np.random.default_rng(3)
    return np.round(10 * np.cumprod(1 + rng.normal(0, 0.01, (60, 8)), axis=0), 2)


def names(count):
    return tuple(f"{600001 + i}.SH" for i in range(count))


@pytest.mark.slow  # vectorbt compiles for half a minute
@pytest.mark.filterwarnings("ignore")
def test_vectorbt_reaches_the_same_equity_from_our_fills(market_of, closes):
    market = market_of(closes, symbols=names(8))
    scores = np.random.default_rng(4).normal(size=closes.shape)
    result = simulate(scores, market, strategy=TopkBuffer(k=3, buffer=4, every=2), costs=CostSettings())
    replayed = portfolio(result)
    assert len(result.trades) > 20
    np.testing.assert_array_equal(replayed.assets().to_numpy(), result.shares_DN)
    np.testing.assert_allclose(replayed.value().to_numpy(), result.nav_D, rtol=1e-9)


def test_an_account_with_dividends_is_refused(market_of, closes):
    symbols = names(8)
    paid = [{"symbol": symbol, "ex_date": None, "cash": 0.1, "bonus": 0.0, "transfer": 0.0} for symbol in symbols]
    first = market_of(closes, symbols=symbols)
    market = market_of(closes, symbols=symbols, dividends=[row | {"ex_date": first.axes.dates[20]} for row in paid])
    scores = np.random.default_rng(4).normal(size=closes.shape)
    result = simulate(scores, market, strategy=TopkBuffer(k=3, buffer=4, every=2), costs=CostSettings())
    with pytest.raises(KestrelError, match="dividends"):
        portfolio(result)
