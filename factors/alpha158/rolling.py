"""Alpha158 over windows of 5, 10, 20, 30 and 60 sessions.  One value is enough, two for a spread or a line.  (Qlib, Yang et al. 2020)

Where Qlib adds 1e-12 to a divisor, lest it be 0, `ratio` says 0; where it adds 1 to a volume before the logarithm, nothing is added, so that
no feature depends on how shares are counted.
"""

from factors.alpha158.features import rolling
from factors.expressions import Expr
from factors.operators import (
    absolute,
    close,
    delay,
    delta,
    fill,
    high,
    last,
    log,
    low,
    maximum,
    ratio,
    ts_argmax,
    ts_argmin,
    ts_corr,
    ts_max,
    ts_mean,
    ts_min,
    ts_quantile,
    ts_rank,
    ts_residual,
    ts_rsquare,
    ts_slope,
    ts_std,
    ts_sum,
    volume,
    where,
)


def rise(x: Expr) -> Expr:
    """What x gained since the session before; 0 where it lost."""
    return maximum(delta(x, 1), delta(x, 1) * 0)


def fall(x: Expr) -> Expr:
    """What x lost since the session before; 0 where it gained."""
    return maximum(-delta(x, 1), delta(x, 1) * 0)


def share_of_way(part: Expr, x: Expr, n: int) -> Expr:
    """A part of the steps of x over all of their lengths, n sessions."""
    return ratio(ts_sum(part, n, least=1), ts_sum(absolute(delta(x, 1)), n, least=1))


def share_of_sessions(condition: Expr, n: int) -> Expr:
    """Share of the sessions since the listing, n at most, in which a condition held; a suspended session counts as one in which it didn't."""
    return ts_mean(where(last > 0, fill(condition, 0)), n, least=1)


def churn() -> Expr:
    """Absolute return times volume."""
    return absolute(close / delay(close, 1) - 1) * volume


@rolling
def roc(n: int) -> Expr:
    """Close of n sessions ago over the close."""
    return delay(close, n) / close


@rolling
def ma(n: int) -> Expr:
    """Mean close of n sessions over the close."""
    return ts_mean(close, n, least=1) / close


@rolling
def std(n: int) -> Expr:
    """Deviation of the close of n sessions over the close."""
    return ts_std(close, n, least=2) / close


@rolling
def beta(n: int) -> Expr:
    """Slope per session of a line through the closes of n sessions, over the close."""
    return ts_slope(close, n, least=2) / close


@rolling
def rsqr(n: int) -> Expr:
    """Share of the closes' variance over n sessions that a line explains."""
    return ts_rsquare(close, n, least=2)


@rolling
def resi(n: int) -> Expr:
    """Close less the line through the closes of n sessions, over the close."""
    return ts_residual(close, n, least=2) / close


@rolling
def max_(n: int) -> Expr:
    """Highest high of n sessions over the close."""
    return ts_max(high, n, least=1) / close


@rolling
def min_(n: int) -> Expr:
    """Lowest low of n sessions over the close."""
    return ts_min(low, n, least=1) / close


@rolling
def qtlu(n: int) -> Expr:
    """Upper quantile, 0.8, of the closes of n sessions, over the close."""
    return ts_quantile(close, n, 0.8, least=1) / close


@rolling
def qtld(n: int) -> Expr:
    """Lower quantile, 0.2, of the closes of n sessions, over the close."""
    return ts_quantile(close, n, 0.2, least=1) / close


@rolling
def rank(n: int) -> Expr:
    """Rank of the close among those of n sessions, in (0, 1]."""
    return ts_rank(close, n, least=1)


@rolling
def rsv(n: int) -> Expr:
    """Place of the close between the lowest low and the highest high of n sessions."""
    return ratio(close - ts_min(low, n, least=1), ts_max(high, n, least=1) - ts_min(low, n, least=1))


@rolling
def imax(n: int) -> Expr:
    """Place of the highest high among n sessions, 1 the last of them: the Aroon indicator's rise."""
    return (ts_sum(last > 0, n, least=1) - ts_argmax(high, n, earliest=True, least=1)) / n


@rolling
def imin(n: int) -> Expr:
    """Place of the lowest low among n sessions, 1 the last of them: the Aroon indicator's fall."""
    return (ts_sum(last > 0, n, least=1) - ts_argmin(low, n, earliest=True, least=1)) / n


@rolling
def imxd(n: int) -> Expr:
    """Sessions from the lowest low to the highest high, over n of them: positive where the high came later."""
    return (ts_argmin(low, n, earliest=True, least=1) - ts_argmax(high, n, earliest=True, least=1)) / n


@rolling
def corr(n: int) -> Expr:
    """Correlation of the close with log volume, over n sessions."""
    return ts_corr(close, log(volume), n, least=2)


@rolling
def cord(n: int) -> Expr:
    """Correlation of the close's change with log of 1 plus the volume's, over n sessions."""
    return ts_corr(close / delay(close, 1), log(volume / delay(volume, 1) + 1), n, least=2)


@rolling
def cntp(n: int) -> Expr:
    """Share of n sessions in which the close rose."""
    return share_of_sessions(close > delay(close, 1), n)


@rolling
def cntn(n: int) -> Expr:
    """Share of n sessions in which the close fell."""
    return share_of_sessions(close < delay(close, 1), n)


@rolling
def cntd(n: int) -> Expr:
    """Share of n sessions in which the close rose, less that in which it fell."""
    return cntp(n) - cntn(n)


@rolling
def sump(n: int) -> Expr:
    """Rises of the close over its rises and falls, n sessions: the relative strength index."""
    return share_of_way(rise(close), close, n)


@rolling
def sumn(n: int) -> Expr:
    """Falls of the close over its rises and falls, n sessions."""
    return share_of_way(fall(close), close, n)


@rolling
def sumd(n: int) -> Expr:
    """Rises less falls of the close over both, n sessions."""
    return sump(n) - sumn(n)


@rolling
def vma(n: int) -> Expr:
    """Mean volume of n sessions over the volume."""
    return ts_mean(volume, n, least=1) / volume


@rolling
def vstd(n: int) -> Expr:
    """Deviation of the volume of n sessions over the volume."""
    return ts_std(volume, n, least=2) / volume


@rolling
def wvma(n: int) -> Expr:
    """Deviation of absolute return times volume over its mean, n sessions."""
    return ratio(ts_std(churn(), n, least=2), ts_mean(churn(), n, least=1))


@rolling
def vsump(n: int) -> Expr:
    """Rises of the volume over its rises and falls, n sessions."""
    return share_of_way(rise(volume), volume, n)


@rolling
def vsumn(n: int) -> Expr:
    """Falls of the volume over its rises and falls, n sessions."""
    return share_of_way(fall(volume), volume, n)


@rolling
def vsumd(n: int) -> Expr:
    """Rises less falls of the volume over both, n sessions."""
    return vsump(n) - vsumn(n)
