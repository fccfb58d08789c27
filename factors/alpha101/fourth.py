"""Alphas 76 to 101.  (Kakushadze 2016)"""

from factors.alpha101.words import (
    adv,
    alpha,
    blend,
    correlation,
    day_of_max,
    day_of_min,
    decay_linear,
    delay,
    delta,
    indneutralize,
    mean,
    product,
    rank,
    scale,
    total,
    ts_max,
    ts_min,
    ts_rank,
)
from factors.expressions import Expr
from factors.operators import absolute, amount, close, high, log, low, maximum, minimum, open_, power, sign, signed_power, volume, vwap


@alpha
def alpha076() -> Expr:
    """Minus the larger of the rank of the average price's decaying change and the place of the low's correlation, against its sector, with trade."""
    together = ts_rank(correlation(indneutralize(low), adv(81), 8.14941), 19.569)
    return -maximum(rank(decay_linear(delta(vwap, 1.24383), 11.8259)), ts_rank(decay_linear(together, 17.1543), 19.383))


@alpha
def alpha077() -> Expr:
    """The smaller rank of the decaying gap of middle and average price and of the correlation of middle price and trade."""
    gap = decay_linear((high + low) / 2 + high - (vwap + high), 20.0451)
    return minimum(rank(gap), rank(decay_linear(correlation((high + low) / 2, adv(40), 3.1614), 5.64125)))


@alpha
def alpha078() -> Expr:
    """Rank of the correlation of price and trade, to that of the correlation of the ranks of price and volume."""
    together = correlation(total(blend(low, 0.352233, vwap), 19.7428), total(adv(40), 19.7428), 6.83313)
    return power(rank(together), rank(correlation(rank(vwap), rank(volume), 5.77492)))


@alpha
def alpha079() -> Expr:
    """1 where the rank of the change against the sector is below that of the correlation of the places of price and trade."""
    together = correlation(ts_rank(vwap, 3.60973), ts_rank(adv(150), 9.18637), 14.6644)
    return rank(delta(indneutralize(blend(close, 0.60733, open_)), 1.23438)) < rank(together)


@alpha
def alpha080() -> Expr:
    """Minus the rank of the direction against the industry, to the place of the correlation of high and trade."""
    direction = rank(sign(delta(indneutralize(blend(open_, 0.868128, high)), 4.04545)))
    return -power(direction, ts_rank(correlation(high, adv(10), 5.11456), 5.53756))


@alpha
def alpha081() -> Expr:
    """-1 where the rank of the product of 14 ranks of the correlation of price and trade is below that of the ranks of price and volume."""
    steps = rank(power(rank(correlation(vwap, total(adv(10), 49.6054), 8.47743)), 4))
    return -(rank(log(product(steps, 14.9655))) < rank(correlation(rank(vwap), rank(volume), 5.07914)))


@alpha
def alpha082() -> Expr:
    """Minus the smaller of the rank of the open's decaying change and the place of its correlation with volume against the sector."""
    together = correlation(indneutralize(volume), blend(open_, 0.634196, open_), 17.4842)
    return -minimum(rank(decay_linear(delta(open_, 1.46063), 14.8717)), ts_rank(decay_linear(together, 6.92131), 13.4283))


@alpha
def alpha083() -> Expr:
    """Rank of the range of 2 sessions ago times that of volume, over today's range, times the average price less the close."""
    spread = (high - low) / mean(close, 5)
    return rank(delay(spread, 2)) * rank(rank(volume)) / (spread / (vwap - close))


@alpha
def alpha084() -> Expr:
    """The place of the average price's gap below its high, to the change of the close in 4 sessions."""
    return signed_power(ts_rank(vwap - ts_max(vwap, 15.3217), 20.7127), delta(close, 4.96796))


@alpha
def alpha085() -> Expr:
    """Rank of the correlation of price and trade, to that of the places of middle price and volume."""
    together = correlation(blend(high, 0.876703, close), adv(30), 9.61331)
    return power(rank(together), rank(correlation(ts_rank((high + low) / 2, 3.70596), ts_rank(volume, 10.1595), 7.11408)))


@alpha
def alpha086() -> Expr:
    """-1 where the place of the correlation of close and trade is below the rank of the close over the average price."""
    together = ts_rank(correlation(close, total(adv(20), 14.7444), 6.00049), 20.4195)
    return -(together < rank((open_ + close) - (vwap + open_)))


@alpha
def alpha087() -> Expr:
    """Minus the larger of the rank of the price's decaying change and the place of its correlation with trade against the industry."""
    change = decay_linear(delta(blend(close, 0.369701, vwap), 1.91233), 2.65461)
    together = decay_linear(absolute(correlation(indneutralize(adv(81)), close, 13.4132)), 4.89768)
    return -maximum(rank(change), ts_rank(together, 14.4535))


@alpha
def alpha088() -> Expr:
    """The smaller of the rank of the candle's decaying ranks and the place of the correlation of the places of close and trade."""
    candle = decay_linear((rank(open_) + rank(low)) - (rank(high) + rank(close)), 8.06882)
    together = decay_linear(correlation(ts_rank(close, 8.44728), ts_rank(adv(60), 20.6966), 8.01266), 6.65053)
    return minimum(rank(candle), ts_rank(together, 2.61957))


@alpha
def alpha089() -> Expr:
    """The place of the correlation of low and trade less that of the average price's change against its industry."""
    together = decay_linear(correlation(blend(low, 0.967285, low), adv(10), 6.94279), 5.51607)
    return ts_rank(together, 3.79744) - ts_rank(decay_linear(delta(indneutralize(vwap), 3.48158), 10.1466), 15.3012)


@alpha
def alpha090() -> Expr:
    """Minus the rank of the close's gap below its high, to the place of the low's correlation with trade against the industry."""
    together = ts_rank(correlation(indneutralize(adv(40)), low, 5.38375), 3.21856)
    return -power(rank(close - ts_max(close, 4.66719)), together)


@alpha
def alpha091() -> Expr:
    """Minus the place of the twice decaying correlation of close, against its industry, and volume, plus the rank of that of price and trade."""
    own = decay_linear(decay_linear(correlation(indneutralize(close), volume, 9.74928), 16.398), 3.83219)
    return -(ts_rank(own, 4.8667) - rank(decay_linear(correlation(vwap, adv(30), 4.01303), 2.6809)))


@alpha
def alpha092() -> Expr:
    """The smaller place of weak closes, decaying, and of the correlation of the ranks of low and trade."""
    weak = decay_linear((high + low) / 2 + close < low + open_, 14.7221)
    together = decay_linear(correlation(rank(low), rank(adv(30)), 7.58555), 6.94024)
    return minimum(ts_rank(weak, 18.8683), ts_rank(together, 6.80584))


@alpha
def alpha093() -> Expr:
    """The place of the correlation of average price, against its industry, and trade, over the rank of the price's decaying change."""
    together = decay_linear(correlation(indneutralize(vwap), adv(81), 17.4193), 19.848)
    return ts_rank(together, 7.54455) / rank(decay_linear(delta(blend(close, 0.524434, vwap), 2.77377), 16.2664))


@alpha
def alpha094() -> Expr:
    """Minus the rank of the rise from the 11-session low, to the place of the correlation of the places of price and trade."""
    together = correlation(ts_rank(vwap, 19.6462), ts_rank(adv(60), 4.02992), 18.0926)
    return -power(rank(vwap - ts_min(vwap, 11.5783)), ts_rank(together, 2.70756))


@alpha
def alpha095() -> Expr:
    """1 where the rank of the open's rise from its low is below the place of the correlation of middle price and trade."""
    together = correlation(total((high + low) / 2, 19.1351), total(adv(40), 19.1351), 12.8742)
    return rank(open_ - ts_min(open_, 12.4105)) < ts_rank(power(rank(together), 5), 11.7584)


@alpha
def alpha096() -> Expr:
    """Minus the larger place of the correlation of the ranks of price and volume, and of when that of close and trade was highest."""
    ranks = decay_linear(correlation(rank(vwap), rank(volume), 3.83878), 4.16783)
    together = correlation(ts_rank(close, 7.45404), ts_rank(adv(60), 4.13242), 3.65459)
    return -maximum(ts_rank(ranks, 8.38151), ts_rank(decay_linear(day_of_max(together, 12.6556), 14.0365), 13.4143))


@alpha
def alpha097() -> Expr:
    """Minus the rank of the decaying change against the industry, plus the place of the correlation of the places of low and trade."""
    change = decay_linear(delta(indneutralize(blend(low, 0.721001, vwap)), 3.3705), 20.4523)
    together = ts_rank(correlation(ts_rank(low, 7.87871), ts_rank(adv(60), 17.255), 4.97547), 18.5925)
    return -(rank(change) - ts_rank(decay_linear(together, 15.7152), 6.71659))


@alpha
def alpha098() -> Expr:
    """Rank of the decaying correlation of price and trade less that of when the ranks of open and trade parted."""
    together = decay_linear(correlation(vwap, total(adv(5), 26.4719), 4.58418), 7.18088)
    parted = ts_rank(day_of_min(correlation(rank(open_), rank(adv(15)), 20.8187), 8.62571), 6.95668)
    return rank(together) - rank(decay_linear(parted, 8.07206))


@alpha
def alpha099() -> Expr:
    """-1 where the rank of the correlation of middle price and trade is below that of low and volume."""
    together = correlation(total((high + low) / 2, 19.8975), total(adv(60), 19.8975), 8.8136)
    return -(rank(together) < rank(correlation(low, volume, 6.28259)))


@alpha
def alpha100() -> Expr:
    """Minus accumulation against the industry, twice neutral, less the correlation of close and trade, times the trade of the day."""
    accumulation = scale(indneutralize(indneutralize(rank(((close - low) - (high - close)) / (high - low) * volume))))
    together = scale(indneutralize(correlation(close, rank(adv(20)), 5) - rank(day_of_min(close, 30))))
    return -((1.5 * accumulation - together) * (amount / adv(20)))


@alpha
def alpha101() -> Expr:
    """The candle's body over its range, with 0.001 CNY added lest that be 0."""
    return (close - open_) / ((high - low) + 0.001)
