"""Alpha158 as expressions: what each name means, for the registry, the proof and the reader.  (Qlib, Yang et al. 2020)

The values come from the fused kernel (slabs.py); tests hold both against Qlib's own.  Where Qlib adds 1e-12 to a divisor, lest it be 0,
`ratio` says 0; where it adds 1 to a volume before the logarithm, nothing is added, so that no feature depends on how shares are counted.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from factors.alpha158.names import NAMES, WINDOWS
from factors.alpha158.slabs import blocks
from factors.alpha158.tiles import Columns
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
    minimum,
    open_,
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
    vwap,
    where,
)
from factors.registry import register

Floats = NDArray[np.float64]


def fused(columns: Mapping[str, Floats], names: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """{name: [D, N]} of these features out of the kernel, block by block."""
    shape = columns["close"].shape
    given = (columns.get(name, np.full(shape, np.nan)) for name in Columns._fields)
    found = {name: np.empty(shape, np.float32) for name in names}
    for lo, x_BFN in blocks(Columns(*(np.ascontiguousarray(values, dtype=np.float64) for values in given))):
        for name in names:
            found[name][lo : lo + len(x_BFN)] = x_BFN[:, NAMES.index(name)]
    return found


def feature(define: Callable[[], Expr]) -> Callable[[], Expr]:
    """Register a feature of the session, its name in capitals."""
    register(define.__name__.upper(), "alpha158", define.__doc__ or "", define(), fused=fused)
    return define


def rolling(define: Callable[[int], Expr]) -> Callable[[int], Expr]:
    """Register a feature at each window, its name in capitals with the window behind; the paragraph's "n" becomes the window."""
    name = define.__name__.strip("_").upper()  # `max` and `min` are words of Python
    for n in WINDOWS:
        about = (define.__doc__ or "").replace(" n ", f" {n} ")
        register(f"{name}{n}", "alpha158", about, define(n), fused=fused)
    return define


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


# -- the session's candle


@feature
def kmid() -> Expr:
    """Close less open, over the open."""
    return (close - open_) / open_


@feature
def klen() -> Expr:
    """High less low, over the open."""
    return (high - low) / open_


@feature
def kmid2() -> Expr:
    """Close less open, over high less low."""
    return ratio(close - open_, high - low)


@feature
def kup() -> Expr:
    """Upper shadow over the open."""
    return (high - maximum(open_, close)) / open_


@feature
def kup2() -> Expr:
    """Upper shadow over high less low."""
    return ratio(high - maximum(open_, close), high - low)


@feature
def klow() -> Expr:
    """Lower shadow over the open."""
    return (minimum(open_, close) - low) / open_


@feature
def klow2() -> Expr:
    """Lower shadow over high less low."""
    return ratio(minimum(open_, close) - low, high - low)


@feature
def ksft() -> Expr:
    """Twice the close less high and low, over the open: where the session ended within its range."""
    return (2 * close - high - low) / open_


@feature
def ksft2() -> Expr:
    """Twice the close less high and low, over high less low."""
    return ratio(2 * close - high - low, high - low)


@feature
def open0() -> Expr:
    """Open over close."""
    return open_ / close


@feature
def high0() -> Expr:
    """High over close."""
    return high / close


@feature
def low0() -> Expr:
    """Low over close."""
    return low / close


@feature
def vwap0() -> Expr:
    """Average price over close."""
    return vwap / close


# -- windows of n sessions; one value is enough, two for a spread or a line


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
