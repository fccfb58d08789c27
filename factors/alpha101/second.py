"""Alphas 26 to 50.  (Kakushadze 2016)"""

from factors.alpha101.words import (
    adv,
    alpha,
    correlation,
    decay_linear,
    delay,
    delta,
    indneutralize,
    mean,
    product,
    rank,
    returns,
    scale,
    stddev,
    total,
    ts_max,
    ts_min,
    ts_rank,
)
from factors.expressions import Expr
from factors.operators import absolute, amount, close, high, log, low, open_, power, select, sign, volume, vwap


@alpha
def alpha026() -> Expr:
    """Minus the largest of 3 correlations of the places of volume and high, 5 sessions."""
    return -ts_max(correlation(ts_rank(volume, 5), ts_rank(high, 5), 5), 3)


@alpha
def alpha027() -> Expr:
    """-1 for the upper half by the mean of 2 correlations of the ranks of volume and average price, else 1."""
    return select(rank(mean(correlation(rank(volume), rank(vwap), 6), 2)) > 0.5, -1, 1)


@alpha
def alpha028() -> Expr:
    """The correlation of usual trade and low, and the day's middle less its close, scaled."""
    return scale(correlation(adv(20), low, 5) + (high + low) / 2 - close)


@alpha
def alpha029() -> Expr:
    """The smallest of 5 ranks of a nested rank of the close's 5-session change, and the place of minus the return of 6 sessions ago."""
    inner = total(ts_min(rank(rank(-rank(delta(close - 1, 5)))), 2), 1)
    return ts_min(product(rank(rank(scale(log(inner)))), 1), 5) + ts_rank(delay(-returns, 6), 5)


@alpha
def alpha030() -> Expr:
    """1 less the rank of the signs of 3 changes, times the volume of 5 sessions over that of 20."""
    change = delta(close, 1)
    signs = sign(change) + sign(delay(change, 1)) + sign(delay(change, 2))
    return (1 - rank(signs)) * total(volume, 5) / total(volume, 20)


@alpha
def alpha031() -> Expr:
    """Ranks of minus the 10-session change, decaying, and of minus that of 3, and the sign of the correlation of usual trade and low."""
    fading = rank(rank(rank(decay_linear(-rank(rank(delta(close, 10))), 10))))
    return fading + rank(-delta(close, 3)) + sign(scale(correlation(adv(20), low, 12)))


@alpha
def alpha032() -> Expr:
    """The close's gap below its mean of 7, scaled, and 20 times the correlation of average price and close of 5 sessions ago, scaled."""
    return scale(mean(close, 7) - close) + 20 * scale(correlation(vwap, delay(close, 5), 230))


@alpha
def alpha033() -> Expr:
    """Rank of open over close, less 1."""
    return rank(-power(1 - open_ / close, 1))


@alpha
def alpha034() -> Expr:
    """Rank of calm: 1 less the rank of the deviation of 2 sessions over 5, and 1 less that of the change."""
    return rank((1 - rank(stddev(returns, 2) / stddev(returns, 5))) + (1 - rank(delta(close, 1))))


@alpha
def alpha035() -> Expr:
    """The volume's place among 32, where price and return stand low among theirs."""
    return ts_rank(volume, 32) * (1 - ts_rank(close + high - low, 16)) * (1 - ts_rank(returns, 32))


@alpha
def alpha036() -> Expr:
    """Five ranks, weighed: body with volume, body, past return, average price with trade, and distance from the mean of 200."""
    return (
        2.21 * rank(correlation(close - open_, delay(volume, 1), 15))
        + 0.7 * rank(open_ - close)
        + 0.73 * rank(ts_rank(delay(-returns, 6), 5))
        + rank(absolute(correlation(vwap, adv(20), 6)))
        + 0.6 * rank((mean(close, 200) - open_) * (close - open_))
    )


@alpha
def alpha037() -> Expr:
    """Rank of the correlation of yesterday's body and the close, 200 sessions, and rank of today's body, downwards."""
    return rank(correlation(delay(open_ - close, 1), close, 200)) + rank(open_ - close)


@alpha
def alpha038() -> Expr:
    """Minus the rank of the close's place among 10, times that of close over open."""
    return -rank(ts_rank(close, 10)) * rank(close / open_)


@alpha
def alpha039() -> Expr:
    """Minus the rank of the week's change where trade is waning, times 1 plus the rank of the year's return."""
    return -rank(delta(close, 7) * (1 - rank(decay_linear(amount / adv(20), 9)))) * (1 + rank(total(returns, 250)))


@alpha
def alpha040() -> Expr:
    """Minus the rank of the high's deviation, times its correlation with volume, 10 sessions."""
    return -rank(stddev(high, 10)) * correlation(high, volume, 10)


@alpha
def alpha041() -> Expr:
    """The geometric middle of the day less its average price."""
    return power(high * low, 0.5) - vwap


@alpha
def alpha042() -> Expr:
    """Rank of average price less close over that of their sum."""
    return rank(vwap - close) / rank(vwap + close)


@alpha
def alpha043() -> Expr:
    """The trade's place among 20, times that of minus the week's change among 8."""
    return ts_rank(amount / adv(20), 20) * ts_rank(-delta(close, 7), 8)


@alpha
def alpha044() -> Expr:
    """Minus the correlation of the high with the rank of volume, 5 sessions."""
    return -correlation(high, rank(volume), 5)


@alpha
def alpha045() -> Expr:
    """Minus the rank of the mean close of a month ending 5 sessions ago, times two correlations of 2 sessions."""
    return -(rank(mean(delay(close, 5), 20)) * correlation(close, volume, 2) * rank(correlation(total(close, 5), total(close, 20), 2)))


def _bend() -> Expr:
    """The daily slope of the 10 sessions before the last 10 less that of the last, downwards."""
    return (delay(close, 20) - delay(close, 10)) / 10 - (delay(close, 10) - close) / 10


@alpha
def alpha046() -> Expr:
    """-1 where the trend bends up by more than 0.25 CNY a session, 1 where it bends down, else minus the day's change."""
    return select(_bend() > 0.25, -1, select(_bend() < 0, 1, -delta(close, 1)))


@alpha
def alpha047() -> Expr:
    """Cheapness times trade and the fall from the high over its mean, less the rank of the average price's change in 5 sessions."""
    push = rank(1 / close) * amount / adv(20)
    return push * (high * rank(high - close) / mean(high, 5)) - rank(vwap - delay(vwap, 5))


@alpha
def alpha048() -> Expr:
    """The return weighed by its own persistence over 250 sessions, against its industry, over the sum of squared returns."""
    change = delta(close, 1)
    persistence = correlation(change, delta(delay(close, 1), 1), 250)
    return indneutralize(persistence * change / close) / total(power(change / delay(close, 1), 2), 250)


@alpha
def alpha049() -> Expr:
    """1 where the trend bends down by more than 0.1 CNY a session, else minus the day's change."""
    return select(_bend() < -0.1, 1, -delta(close, 1))


@alpha
def alpha050() -> Expr:
    """Minus the largest of 5 ranks of the correlation of the ranks of volume and average price."""
    return -ts_max(rank(correlation(rank(volume), rank(vwap), 5)), 5)
