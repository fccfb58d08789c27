"""Momentum and reversal: what past returns say of the next."""

from factors.expressions import Expr
from factors.operators import close, delay, delta, last, maximum, minimum, open_, returns, ts_max, ts_mean, ts_rank, ts_std, ts_sum
from factors.registry import factor


@factor("momentum")
def momentum_12_1() -> Expr:
    """Return of the last 240 sessions without the last 20.  (Jegadeesh and Titman 1993)"""
    return delay(last, 20) / delay(last, 240) - 1


@factor("momentum")
def momentum_6_1() -> Expr:
    """Return of the last 120 sessions without the last 20.  (Jegadeesh and Titman 1993)"""
    return delay(last, 20) / delay(last, 120) - 1


@factor("momentum")
def reversal_5() -> Expr:
    """Minus the return of the last 5 sessions: losers of the week recover.  (Lehmann 1990)"""
    return -returns(5)


@factor("momentum")
def reversal_20() -> Expr:
    """Minus the return of the last 20 sessions: the strongest price effect of A-shares.  (Jegadeesh 1990)"""
    return -returns(20)


@factor("momentum")
def rsi_14() -> Expr:
    """Relative strength index of 14 sessions, in [0, 1]: gains over gains and losses, plain means.  (Wilder 1978)"""
    change = delta(last, 1)
    gain = ts_mean(maximum(change, change * 0), 14)
    loss = ts_mean(-minimum(change, change * 0), 14)
    return gain / (gain + loss)


@factor("momentum")
def high_52_week() -> Expr:
    """Close over the highest close of 240 sessions: investors anchor on it.  (George and Hwang 2004)"""
    return last / ts_max(last, 240)


@factor("momentum")
def momentum_per_risk() -> Expr:
    """12-1 momentum over the volatility of its returns.  (Rachev et al. 2007)"""
    return (delay(last, 20) / delay(last, 240) - 1) / delay(ts_std(returns(), 220), 20)


@factor("momentum")
def overnight_20() -> Expr:
    """Sum of the overnight returns of 20 sessions; in China mostly undone by day.  (Lou, Polk and Skouras 2019)"""
    return ts_sum(open_ / delay(last, 1) - 1, 20)


@factor("momentum")
def intraday_20() -> Expr:
    """Sum of the open-to-close returns of 20 sessions.  (Lou, Polk and Skouras 2019)"""
    return ts_sum(close / open_ - 1, 20)


@factor("momentum")
def trend_rank_60() -> Expr:
    """Rank of today's close among the last 60: a momentum that no jump dominates."""
    return ts_rank(last, 60)
