"""Alphas 51 to 75.  (Kakushadze 2016)"""

from factors.alpha101.second import _bend
from factors.alpha101.words import (
    adv,
    alpha,
    blend,
    cap,
    correlation,
    day_of_max,
    decay_linear,
    delay,
    delta,
    indneutralize,
    rank,
    returns,
    scale,
    total,
    ts_max,
    ts_min,
    ts_rank,
)
from factors.expressions import Expr
from factors.operators import close, high, low, maximum, open_, power, select, volume, vwap


@alpha
def alpha051() -> Expr:
    """1 where the trend bends down by more than 0.05 CNY a session, else minus the day's change."""
    return select(_bend() < -0.05, 1, -delta(close, 1))


@alpha
def alpha052() -> Expr:
    """The fall of the 5-session low, times the rank of the return of 11 months and the volume's place among 5."""
    floor = ts_min(low, 5)
    return (-floor + delay(floor, 5)) * rank((total(returns, 240) - total(returns, 20)) / 220) * ts_rank(volume, 5)


@alpha
def alpha053() -> Expr:
    """Minus the change in 9 sessions of where the close stands in the day's range."""
    return -delta(((close - low) - (high - close)) / (close - low), 9)


@alpha
def alpha054() -> Expr:
    """Minus the close's rise from the low over the range, times open over close to the fifth."""
    return -((low - close) * power(open_, 5)) / ((low - high) * power(close, 5))


@alpha
def alpha055() -> Expr:
    """Minus the correlation of the ranks of volume and of the close's place in the range of 12 sessions."""
    return -correlation(rank((close - ts_min(low, 12)) / (ts_max(high, 12) - ts_min(low, 12))), rank(volume), 6)


@alpha
def alpha056() -> Expr:
    """Minus the rank of the return of 10 sessions over that of the last few, times that of return times market value."""
    return -(rank(total(returns, 10) / total(total(returns, 2), 3)) * rank(returns * cap))


@alpha
def alpha057() -> Expr:
    """Minus the close over the average price, by how lately the close was highest in 30 sessions."""
    return -((close - vwap) / decay_linear(rank(day_of_max(close, 30)), 2))


@alpha
def alpha058() -> Expr:
    """Minus the place of the decaying correlation of average price, against its sector, and volume."""
    return -ts_rank(decay_linear(correlation(indneutralize(vwap), volume, 3.92795), 7.89291), 5.50322)


@alpha
def alpha059() -> Expr:
    """Minus the place of the slowly decaying correlation of average price, against its industry, and volume."""
    price = blend(vwap, 0.728317, vwap)
    return -ts_rank(decay_linear(correlation(indneutralize(price), volume, 4.25197), 16.2289), 8.19648)


@alpha
def alpha060() -> Expr:
    """Minus twice the scaled rank of accumulation, plus that of how lately the close was highest in 10 sessions."""
    return -(2 * scale(rank(((close - low) - (high - close)) / (high - low) * volume)) - scale(rank(day_of_max(close, 10))))


@alpha
def alpha061() -> Expr:
    """1 where the rank of the rise from the 16-session low is below that of the correlation of price and trade."""
    return rank(vwap - ts_min(vwap, 16.1219)) < rank(correlation(vwap, adv(180), 17.9282))


@alpha
def alpha062() -> Expr:
    """-1 where the rank of the correlation of price and trade is below that of an open low in the day's range."""
    early = rank(open_) + rank(open_) < rank((high + low) / 2) + rank(high)
    return -(rank(correlation(vwap, total(adv(20), 22.4101), 9.91009)) < rank(early))


@alpha
def alpha063() -> Expr:
    """Minus the rank of the decaying change against the industry, plus that of the correlation of price and trade."""
    change = decay_linear(delta(indneutralize(close), 2.25164), 8.22237)
    together = decay_linear(correlation(blend(vwap, 0.318108, open_), total(adv(180), 37.2467), 13.557), 12.2883)
    return -(rank(change) - rank(together))


@alpha
def alpha064() -> Expr:
    """-1 where the rank of the correlation of price and trade is below that of the middle price's change."""
    together = correlation(total(blend(open_, 0.178404, low), 12.7054), total(adv(120), 12.7054), 16.6208)
    return -(rank(together) < rank(delta(blend((high + low) / 2, 0.178404, vwap), 3.69741)))


@alpha
def alpha065() -> Expr:
    """-1 where the rank of the correlation of price and trade is below that of the open's rise from its low of 13."""
    together = correlation(blend(open_, 0.00817205, vwap), total(adv(60), 8.6911), 6.40374)
    return -(rank(together) < rank(open_ - ts_min(open_, 13.635)))


@alpha
def alpha066() -> Expr:
    """Minus the rank of the average price's decaying change, and the place of the low under it over the open's distance from the middle."""
    gap = (blend(low, 0.96633, low) - vwap) / (open_ - (high + low) / 2)
    return -(rank(decay_linear(delta(vwap, 3.51013), 7.23052)) + ts_rank(decay_linear(gap, 11.4157), 6.72611))


@alpha
def alpha067() -> Expr:
    """Minus the rank of the high's rise from its low of 2, to the rank of the correlation of price and trade against the industry."""
    together = correlation(indneutralize(vwap), indneutralize(adv(20)), 6.02936)
    return -power(rank(high - ts_min(high, 2.14593)), rank(together))


@alpha
def alpha068() -> Expr:
    """-1 where the place of the correlation of the ranks of high and trade is below the rank of the day's change."""
    together = ts_rank(correlation(rank(high), rank(adv(15)), 8.91644), 13.9333)
    return -(together < rank(delta(blend(close, 0.518371, low), 1.06157)))


@alpha
def alpha069() -> Expr:
    """Minus the rank of the largest change against the industry, to the place of the correlation of price and trade."""
    change = rank(ts_max(delta(indneutralize(vwap), 2.72412), 4.79344))
    return -power(change, ts_rank(correlation(blend(close, 0.490655, vwap), adv(20), 4.92416), 9.0615))


@alpha
def alpha070() -> Expr:
    """Minus the rank of the average price's change, to the place of the correlation of close, against its industry, and trade."""
    return -power(rank(delta(vwap, 1.29456)), ts_rank(correlation(indneutralize(close), adv(50), 17.8256), 17.9171))


@alpha
def alpha071() -> Expr:
    """The larger of two places: of the decaying correlation of the places of close and trade, and of the open and low under the average."""
    together = decay_linear(correlation(ts_rank(close, 3.43976), ts_rank(adv(180), 12.0647), 18.0175), 4.20501)
    below = decay_linear(power(rank((low + open_) - (vwap + vwap)), 2), 16.4662)
    return maximum(ts_rank(together, 15.6948), ts_rank(below, 4.4388))


@alpha
def alpha072() -> Expr:
    """Rank of the decaying correlation of middle price and trade over that of the places of average price and volume."""
    slow = decay_linear(correlation((high + low) / 2, adv(40), 8.93345), 10.1519)
    fast = decay_linear(correlation(ts_rank(vwap, 3.72469), ts_rank(volume, 18.5188), 6.86671), 2.95011)
    return rank(slow) / rank(fast)


@alpha
def alpha073() -> Expr:
    """Minus the larger of the rank of the average price's decaying change and the place of the fall of open and low."""
    price = blend(open_, 0.147155, low)
    fall = decay_linear(-(delta(price, 2.03608) / price), 3.33829)
    return -maximum(rank(decay_linear(delta(vwap, 4.72775), 2.91864)), ts_rank(fall, 16.7411))


@alpha
def alpha074() -> Expr:
    """-1 where the rank of the correlation of close and trade is below that of the ranks of price and volume."""
    ranks = correlation(rank(blend(high, 0.0261661, vwap)), rank(volume), 11.4791)
    return -(rank(correlation(close, total(adv(30), 37.4843), 15.1365)) < rank(ranks))


@alpha
def alpha075() -> Expr:
    """1 where the rank of the correlation of average price and volume is below that of the ranks of low and trade."""
    return rank(correlation(vwap, volume, 4.24304)) < rank(correlation(rank(low), rank(adv(50)), 12.4413))
