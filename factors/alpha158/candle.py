"""Alpha158, the session by itself: its candle, and its prices over the close.  (Qlib, Yang et al. 2020)"""

from factors.alpha158.features import feature
from factors.expressions import Expr
from factors.operators import close, high, low, maximum, minimum, open_, ratio, vwap


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
