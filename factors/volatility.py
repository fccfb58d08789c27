"""Technical, of risk: volatility by closes and by ranges, its sides, its shape, and what the market explains of it."""

from math import log as number_log

from factors.compounds import beta, market, residual
from factors.expressions import Expr
from factors.operators import (
    close,
    delay,
    high,
    last,
    log,
    low,
    minimum,
    open_,
    root,
    sign,
    traded_returns,
    ts_beta,
    ts_corr,
    ts_kurt,
    ts_mean,
    ts_skew,
    ts_std,
    where,
)
from factors.registry import factor


@factor("technical")
def volatility_20() -> Expr:
    """Deviation of the returns of 20 sessions: lottery tickets are dear, in China the calm earn more.  High earns less.  (Ang et al. 2006)"""
    return ts_std(traded_returns(), 20)


@factor("technical")
def volatility_60() -> Expr:
    """Deviation of the returns of 60 sessions: the slow part of it.  High earns less.  (Blitz and van Vliet 2007)"""
    return ts_std(traded_returns(), 60)


@factor("technical")
def volatility_change() -> Expr:
    """Deviation of 20 sessions over that of 60: risk that has just come.  High earns less.  (after Ang et al. 2006)"""
    return ts_std(traded_returns(), 20) / ts_std(traded_returns(), 60)


@factor("technical")
def idiosyncratic_volatility_60() -> Expr:
    """Deviation of what the market's mean return doesn't explain, 60 sessions: what can't be arbitraged away.  High earns less.  (Ang et al. 2006)"""
    return ts_std(residual(), 60)


@factor("technical")
def range_20() -> Expr:
    """Mean of log high over low, 20 sessions: volatility within the session.  High earns less.  (Parkinson 1980)"""
    return ts_mean(log(high / low), 20)


@factor("technical")
def garman_klass_20() -> Expr:
    """Volatility of 20 sessions out of open, high, low and close: seven times as efficient as closes alone.  High earns less.

    Nights are left out of it.  (Garman and Klass 1980)
    """
    spread, body = log(high / low), log(close / open_)
    return root(ts_mean(0.5 * spread * spread - (2 * number_log(2) - 1) * body * body, 20))


@factor("technical")
def yang_zhang_20() -> Expr:
    """Volatility of 20 sessions out of nights, days and ranges: free of drift and of opening jumps.  High earns less.  (Yang and Zhang 2000)"""
    n = 20
    night, day = log(open_ / delay(last, 1)), log(close / open_)
    within = log(high / close) * log(high / open_) + log(low / close) * log(low / open_)
    share = 0.34 / (1.34 + (n + 1) / (n - 1))
    night, day = (ts_std(part, n) for part in (night, day))
    return root(night * night + share * day * day + (1 - share) * ts_mean(within, n))


@factor("technical")
def downside_volatility_60() -> Expr:
    """Root mean square of the losses of 60 sessions, gains as 0: the risk that holders mean.  High earns less.  (Sortino and van der Meer 1991)"""
    loss = minimum(traded_returns(), traded_returns() * 0)
    return root(ts_mean(loss * loss, 60))


@factor("technical")
def signed_variation_60() -> Expr:
    """Squared gains less squared losses over all squared returns of 60 sessions: good less bad volatility.

    Stocks that jump upwards are lottery tickets.  High earns less.  (Bollerslev, Li and Zhao 2020)
    """
    square = traded_returns() * traded_returns()
    return ts_mean(sign(traded_returns()) * square, 60) / ts_mean(square, 60)


@factor("technical")
def beta_120() -> Expr:
    """Slope of the stock's return on the market's mean return, 120 sessions.

    Who may not borrow buys beta instead, and pays for it.  High earns less.  (Frazzini and Pedersen 2014)
    """
    return beta(120)


@factor("technical")
def downside_beta_120() -> Expr:
    """Beta over the falling sessions of 120 less beta over all of them: who falls with the market more than rises.

    Fearing that is paid.  High earns more.  (Ang, Chen and Xing 2006)
    """
    return ts_beta(where(market() < 0, traded_returns()), market(), 120, least=30) - beta(120)


@factor("technical")
def volatility_of_volatility_60() -> Expr:
    """Deviation over mean of the log ranges of 60 sessions: how uncertain risk itself is.  High earns less.  (Baltussen et al. 2018)"""
    return ts_std(log(high / low), 60) / ts_mean(log(high / low), 60)


@factor("technical")
def skewness_60() -> Expr:
    """Skewness of the returns of 60 sessions: a small chance of a large gain is dear.  High earns less.  (Amaya et al. 2015)"""
    return ts_skew(traded_returns(), 60)


@factor("technical")
def kurtosis_60() -> Expr:
    """Excess kurtosis of the returns of 60 sessions: extremes on either side are feared.  High earns more.  (Amaya et al. 2015)"""
    return ts_kurt(traded_returns(), 60)


@factor("technical")
def coskewness_60() -> Expr:
    """Correlation of what the market left of the return with the square of the market's, 60 sessions.

    Who holds up when the market is wild insures, and is dear.  High earns less.  (Harvey and Siddique 2000)
    """
    return ts_corr(residual(), market() * market(), 60)
