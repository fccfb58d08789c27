"""The words that the 101 formulas are written in, as the paper's appendix defines them, on Kestrel's operators.

A window may be a fraction, as in the paper; it is floored.  Windows skip nulls by the operators' rule: half of the sessions, and three for a
correlation or covariance (two of two).
"""

from collections.abc import Callable
from math import floor

from factors import operators
from factors.alpha101 import IN_YUAN
from factors.expressions import Expr, column
from factors.operators import amount, cs_group_mean, cs_rank, cs_scale, traded_returns, ts_argmax, ts_argmin
from factors.registry import register

rank = cs_rank  # in (0, 1], ties averaged
scale = cs_scale  # magnitudes add up to 1
returns = traded_returns()  # close to close; null while suspended, and over the whole suspension at its end
cap = operators.total_cap()


def alpha(define: Callable[[], Expr]) -> Callable[[], Expr]:
    """Register a formula under its function's name; one that holds prices of different stocks against each other needs raw prices."""
    expr = define()
    moves = expr.scale is None or not expr.scale.invariant
    in_yuan = int(define.__name__.removeprefix("alpha")) in IN_YUAN
    register(define.__name__, "alpha101", define.__doc__ or "", expr, raw_only=moves, in_yuan=in_yuan)
    return define


def adv(d: int) -> Expr:
    """Mean daily amount traded over d sessions, CNY."""
    return operators.ts_mean(amount, d)


def delay(x: Expr, d: float) -> Expr:
    """X of d sessions ago."""
    return operators.delay(x, floor(d))


def delta(x: Expr, d: float) -> Expr:
    """X less that of d sessions ago."""
    return operators.delta(x, floor(d))


def total(x: Expr, d: float) -> Expr:
    """The paper's sum."""
    return operators.ts_sum(x, floor(d))


def mean(x: Expr, d: float) -> Expr:
    """The paper's sum(x, d) / d."""
    return operators.ts_mean(x, floor(d))


def product(x: Expr, d: float) -> Expr:
    """Product over d sessions."""
    return operators.ts_product(x, floor(d))


def stddev(x: Expr, d: float) -> Expr:
    """Sample deviation over d sessions."""
    return operators.ts_std(x, floor(d))


def correlation(x: Expr, y: Expr, d: float) -> Expr:
    """Correlation over d sessions."""
    return operators.ts_corr(x, y, floor(d), least=2 if floor(d) == 2 else None)


def covariance(x: Expr, y: Expr, d: float) -> Expr:
    """Covariance over d sessions."""
    return operators.ts_cov(x, y, floor(d))


def ts_rank(x: Expr, d: float) -> Expr:
    """Rank of the current value among those of d sessions, in (0, 1]."""
    return operators.ts_rank(x, floor(d))


def ts_min(x: Expr, d: float) -> Expr:
    """Smallest of d sessions."""
    return operators.ts_min(x, floor(d))


def ts_max(x: Expr, d: float) -> Expr:
    """Largest of d sessions."""
    return operators.ts_max(x, floor(d))


def day_of_max(x: Expr, d: float) -> Expr:
    """The paper's ts_argmax: which of the d sessions, numbered 1 … d, had the largest; the first of equals."""
    return floor(d) - ts_argmax(x, floor(d), earliest=True)


def day_of_min(x: Expr, d: float) -> Expr:
    """The paper's ts_argmin: which of the d sessions, numbered 1 … d, had the smallest; the first of equals."""
    return floor(d) - ts_argmin(x, floor(d), earliest=True)


def decay_linear(x: Expr, d: float) -> Expr:
    """Mean of d sessions under weights d … 1, the latest weighing d."""
    return operators.decay(x, floor(d))


def indneutralize(x: Expr) -> Expr:
    """X less the mean of its industry; sector, industry and subindustry are the one classification that a lake has."""
    return x - cs_group_mean(x, column("industry"))


def blend(x: Expr, share: float, y: Expr) -> Expr:
    """A share of x and the rest of y."""
    return x * share + y * (1 - share)
