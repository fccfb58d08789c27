"""Size: what the market says a company, or the part of it that trades, is worth."""

from factors.expressions import Expr
from factors.operators import absolute, cs_z_score, float_cap, log, total_cap
from factors.registry import factor


@factor("size")
def log_total_cap() -> Expr:
    """Logarithm of total market value, CNY.  (Banz 1981)"""
    return log(total_cap())


@factor("size")
def log_float_cap() -> Expr:
    """Logarithm of the market value of the float, CNY: closer to what can be traded.  (Banz 1981)"""
    return log(float_cap())


@factor("size")
def mid_cap() -> Expr:
    """Minus the distance of log float cap from the middle of the market, in deviations: the non-linear part of size.  (Barra CNE5)"""
    return -absolute(cs_z_score(log(float_cap())))
