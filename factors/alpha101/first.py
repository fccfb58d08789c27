"""Alphas 1 to 25.  (Kakushadze 2016)"""

from factors.alpha101.words import (
    adv,
    alpha,
    correlation,
    covariance,
    day_of_max,
    delay,
    delta,
    mean,
    rank,
    returns,
    stddev,
    total,
    ts_max,
    ts_min,
    ts_rank,
)
from factors.expressions import Expr
from factors.operators import absolute, amount, close, high, log, low, open_, select, sign, signed_power, volume, vwap


@alpha
def alpha001() -> Expr:
    """When in 5 sessions the square of the close, or of the deviation after a fall, was largest; its rank."""
    return rank(day_of_max(signed_power(select(returns < 0, stddev(returns, 20), close), 2), 5)) - 0.5


@alpha
def alpha002() -> Expr:
    """Minus the correlation of the ranks of volume growth and of the day's return, 6 sessions."""
    return -correlation(rank(delta(log(volume), 2)), rank((close - open_) / open_), 6)


@alpha
def alpha003() -> Expr:
    """Minus the correlation of the ranks of open and volume, 10 sessions."""
    return -correlation(rank(open_), rank(volume), 10)


@alpha
def alpha004() -> Expr:
    """Minus the place of the low's rank among its last 9."""
    return -ts_rank(rank(low), 9)


@alpha
def alpha005() -> Expr:
    """Rank of the open over its 10-session average price, times minus the rank of the close over today's."""
    return rank(open_ - mean(vwap, 10)) * -absolute(rank(close - vwap))


@alpha
def alpha006() -> Expr:
    """Minus the correlation of open and volume, 10 sessions."""
    return -correlation(open_, volume, 10)


@alpha
def alpha007() -> Expr:
    """On a session of more than usual trade, minus the signed place of the 7-session move among 60; else -1."""
    return select(adv(20) < amount, -ts_rank(absolute(delta(close, 7)), 60) * sign(delta(close, 7)), -1)


@alpha
def alpha008() -> Expr:
    """Minus the rank of what open times return, of 5 sessions each, gained in 10."""
    level = total(open_, 5) * total(returns, 5)
    return -rank(level - delay(level, 10))


def _reversing(d: int) -> Expr:
    """The day's change while all of d sessions went one way, else minus it."""
    change = delta(close, 1)
    return select(ts_min(change, d) > 0, change, select(ts_max(change, d) < 0, change, -change))


@alpha
def alpha009() -> Expr:
    """The day's change while all of 5 sessions went one way, else minus it."""
    return _reversing(5)


@alpha
def alpha010() -> Expr:
    """Rank of the day's change while all of 4 sessions went one way, else of minus it."""
    return rank(_reversing(4))


@alpha
def alpha011() -> Expr:
    """Ranks of the largest and the smallest gap of average price and close in 3 sessions, times that of the volume's change."""
    return (rank(ts_max(vwap - close, 3)) + rank(ts_min(vwap - close, 3))) * rank(delta(volume, 3))


@alpha
def alpha012() -> Expr:
    """Minus the day's change where volume rose, the change where it fell."""
    return sign(delta(volume, 1)) * -delta(close, 1)


@alpha
def alpha013() -> Expr:
    """Minus the rank of the covariance of the ranks of close and volume, 5 sessions."""
    return -rank(covariance(rank(close), rank(volume), 5))


@alpha
def alpha014() -> Expr:
    """Minus the rank of the return's change in 3 sessions, times the correlation of open and volume."""
    return -rank(delta(returns, 3)) * correlation(open_, volume, 10)


@alpha
def alpha015() -> Expr:
    """Minus the sum of 3 ranks of the correlation of the ranks of high and volume, 3 sessions."""
    return -total(rank(correlation(rank(high), rank(volume), 3)), 3)


@alpha
def alpha016() -> Expr:
    """Minus the rank of the covariance of the ranks of high and volume, 5 sessions."""
    return -rank(covariance(rank(high), rank(volume), 5))


@alpha
def alpha017() -> Expr:
    """Minus the ranks of the close's place among 10, of the change of its change, and of the trade's place among 5, multiplied."""
    return -rank(ts_rank(close, 10)) * rank(delta(delta(close, 1), 1)) * rank(ts_rank(amount / adv(20), 5))


@alpha
def alpha018() -> Expr:
    """Minus the rank of the day's body, its 5-session deviation, and the correlation of close and open, added."""
    return -rank(stddev(absolute(close - open_), 5) + (close - open_) + correlation(close, open_, 10))


@alpha
def alpha019() -> Expr:
    """Minus the sign of the week's move, times 1 plus the rank of the year's return."""
    return -sign((close - delay(close, 7)) + delta(close, 7)) * (1 + rank(1 + total(returns, 250)))


@alpha
def alpha020() -> Expr:
    """Minus the ranks of the open over yesterday's high, close and low, multiplied."""
    return -rank(open_ - delay(high, 1)) * rank(open_ - delay(close, 1)) * rank(open_ - delay(low, 1))


@alpha
def alpha021() -> Expr:
    """1 where 2 sessions lie below the band of 8 or trade is above average, -1 where they lie above it or trade is below."""
    middle, spread, recent = mean(close, 8), stddev(close, 8), mean(close, 2)
    return select(middle + spread < recent, -1, select(recent < middle - spread, 1, select(amount / adv(20) >= 1, 1, -1)))


@alpha
def alpha022() -> Expr:
    """Minus the change in 5 sessions of the correlation of high and volume, times the rank of the close's deviation."""
    return -(delta(correlation(high, volume, 5), 5) * rank(stddev(close, 20)))


@alpha
def alpha023() -> Expr:
    """Minus the high's change in 2 sessions where it lies above its mean of 20, else 0."""
    return select(mean(high, 20) < high, -delta(high, 2), 0)


@alpha
def alpha024() -> Expr:
    """Where 100 sessions brought at most 5 %, minus the close's rise from its low of 100; else minus its change in 3."""
    slow = delta(mean(close, 100), 100) / delay(close, 100) <= 0.05
    return select(slow, -(close - ts_min(close, 100)), -delta(close, 3))


@alpha
def alpha025() -> Expr:
    """Rank of minus the return times the usual trade, the average price, and the fall from the high."""
    return rank(-returns * adv(20) * vwap * (high - close))
