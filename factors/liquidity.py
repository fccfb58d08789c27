"""Technical, of liquidity: price impact, days without a move, and the spread read out of closes, highs and lows."""

from math import sqrt

from factors.compounds import market
from factors.expressions import Expr
from factors.operators import (
    absolute,
    amount,
    close,
    cs_residual,
    delay,
    float_cap,
    high,
    last,
    log,
    low,
    maximum,
    minimum,
    root,
    sign,
    traded_returns,
    ts_beta,
    ts_mean,
)
from factors.registry import factor


def _impact() -> Expr:
    return ts_mean(absolute(traded_returns()) / (amount / 1e8), 20)


@factor("technical")
def amihud_20() -> Expr:
    """Price impact: mean |return| per CNY 100m traded, 20 sessions; high is illiquid, and illiquidity is paid.  High earns more.  (Amihud 2002)"""
    return _impact()


@factor("technical")
def amihud_given_size() -> Expr:
    """What log float cap doesn't explain of the log price impact of 20 sessions, across the stocks of the session.

    The raw measure is size by another name.  High earns more.  (Lou and Shu 2017)
    """
    return cs_residual(log(_impact()), log(float_cap()))


@factor("technical")
def still_days_60() -> Expr:
    """Share of the traded sessions of 60 without a change of the close: where trading costs more than the news is worth.

    High earns more.  (Lesmond, Ogden and Trzcinka 1999)
    """
    return 1 - ts_mean(sign(absolute(traded_returns())), 60)


@factor("technical")
def roll_spread_60() -> Expr:
    """Twice the root of minus the covariance of successive returns, 60 sessions; 0 where they trend.

    Trades that bounce between bid and ask leave reversals of half a spread.  High earns more.  (Roll 1984)
    """
    today, before = traded_returns(), delay(traded_returns(), 1)
    covariance = ts_mean(today * before, 60) - ts_mean(today, 60) * ts_mean(before, 60)
    return 2 * root(maximum(-covariance, covariance * 0))


@factor("technical")
def high_low_spread_20() -> Expr:
    """Spread out of the ranges of one and of two sessions, mean of 20; negative ones count as 0.

    Volatility grows with time, the spread in a range doesn't.  Nights are taken out by shifting the session to meet the close before it.
    The spread 2 (e^a - 1) / (1 + e^a) is a to a thousandth.  High earns more.  (Corwin and Schultz 2012)
    """
    before = delay(last, 1)
    shift = maximum(before - high, before * 0) - maximum(low - before, before * 0)
    top, bottom = high + shift, low + shift
    one, other = log(top / bottom), log(delay(high, 1) / delay(low, 1))
    two = log(maximum(top, delay(high, 1)) / minimum(bottom, delay(low, 1)))
    singles = one * one + other * other
    narrow = 3 - 2 * sqrt(2)
    spread = (sqrt(2) - 1) / narrow * root(singles) - absolute(two) / sqrt(narrow)
    return ts_mean(maximum(spread, spread * 0), 20)


@factor("technical")
def close_range_spread_20() -> Expr:
    """Spread out of the close against the middle of its own and of the next session's range, 20 sessions; 0 where negative.

    The middle of the range is what the price is worth, the close sits on one side of the spread.  High earns more.  (Abdi and Ranaldo 2017)
    """
    middle = (log(high) + log(low)) / 2
    gap = log(close) - middle
    product = ts_mean(delay(gap, 1) * (delay(log(close), 1) - middle), 20)
    return 2 * root(maximum(product, product * 0))


@factor("technical")
def volume_reversal_60() -> Expr:
    """Slope of the return over the market's on yesterday's amount, signed by yesterday's return over the market's, 60 sessions.

    Order flow that is undone the day after says how much it moved the price: the more negative, the less liquid.  High earns less.
    (Pástor and Stambaugh 2003)
    """
    excess = traded_returns() - market()
    return ts_beta(excess, delay(sign(excess) * amount / 1e8, 1), 60)
