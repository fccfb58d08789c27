"""vectorbt as an oracle that knows nothing of our accounting: the same fills, and the same targets, reach the same equity."""

import numpy as np
import pytest

from backtest.bridge import fills, from_weights, portfolio, weights
from backtest.costs import FREE, CostSettings
from backtest.simulation import SimulationSettings, simulate
from backtest.strategies import Targets, TopkBuffer
from backtest.targets import simulate_weights
from data.errors import KestrelError

FLAT = CostSettings(commission=0.001, minimum=0.0, slippage=0.0005, levies="none")
# A price of a thousandth of a cent and a capital of 1e12 leave shares and cents 1e-14 of the equity: rounding is as good as off.
UNBOUND = SimulationSettings(deal="open", size_at="deal", cash=1e12, limits=False, lots=False)
SPLIT = 1e-6


def names(count):
    return tuple(f"{600001 + i}.SH" for i in range(count))


@pytest.fixture(scope="module")
def closes():
    rng = np.random.default_rng(3)
    return np.round(10 * np.cumprod(1 + rng.normal(0, 0.01, (60, 8)), axis=0), 2)


@pytest.fixture(scope="module")
def wishes(closes):
    """Weights that are looked at every other session, some stocks at nothing, all of the equity invested."""
    rng = np.random.default_rng(4)
    found = rng.random(closes.shape) * (rng.random(closes.shape) < 0.6)
    found /= found.sum(axis=1, keepdims=True)
    found[1::2] = np.nan
    return found


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
    filled = result.trades.filter(result.trades["shares"] > 0)
    assert fills(replayed).sort("date", "symbol").select("date", "symbol", "side", "shares", "price").rows() == (
        filled.sort("date", "symbol").select("date", "symbol", "side", "shares", "price").rows()
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("costs", [FREE, FLAT])
def test_vectorbt_reaches_the_same_equity_from_the_same_targets(market_of, closes, wishes, costs):
    rng = np.random.default_rng(5)
    opens = closes * np.exp(rng.normal(0, 0.01, closes.shape))
    market = market_of(closes * SPLIT, open_=opens * SPLIT, symbols=names(8))
    result = simulate_weights(wishes, market, costs=costs, settings=UNBOUND, targets=Targets(band=0.0))
    theirs = from_weights(wishes, market, result)
    assert len(result.trades) > 150
    np.testing.assert_allclose(theirs.value().to_numpy(), result.nav_D, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_weights_of_a_vectorbt_portfolio_are_traded_under_the_rules(market_of, closes, wishes):
    market = market_of(closes * SPLIT, symbols=names(8))
    first = simulate_weights(wishes * 0.9, market, costs=FREE, settings=UNBOUND.model_copy(update={"deal": "close"}), targets=Targets(band=0.0))
    found = weights(from_weights(wishes * 0.9, market, first), market)
    asked = np.isfinite(wishes[:-1, 0])
    np.testing.assert_allclose(found[:-1][asked], wishes[:-1][asked] * 0.9, atol=1e-9)
    assert np.isnan(found[:-1][~asked]).all()


def test_costs_that_vectorbt_has_no_word_for_are_refused(market_of, closes, wishes):
    market = market_of(closes, symbols=names(8))
    with pytest.raises(KestrelError, match="no levies"):
        from_weights(wishes, market, simulate_weights(wishes, market, costs=CostSettings()))


def test_an_account_with_dividends_is_refused(market_of, closes):
    symbols = names(8)
    paid = [{"symbol": symbol, "ex_date": None, "cash": 0.1, "bonus": 0.0, "transfer": 0.0} for symbol in symbols]
    first = market_of(closes, symbols=symbols)
    market = market_of(closes, symbols=symbols, dividends=[row | {"ex_date": first.axes.dates[20]} for row in paid])
    scores = np.random.default_rng(4).normal(size=closes.shape)
    result = simulate(scores, market, strategy=TopkBuffer(k=3, buffer=4, every=2), costs=CostSettings())
    with pytest.raises(KestrelError, match="dividends"):
        portfolio(result)
