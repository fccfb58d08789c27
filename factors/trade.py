"""Technical, of what is traded: volume, amount and turnover, by themselves and against the price."""

from factors.compounds import typical
from factors.expressions import Expr
from factors.operators import (
    amount,
    close,
    delay,
    delta,
    high,
    log,
    low,
    ratio,
    sign,
    traded_returns,
    ts_corr,
    ts_mean,
    ts_std,
    ts_sum,
    turnover,
    volume,
    vwap,
)
from factors.registry import factor


@factor("technical")
def turnover_20() -> Expr:
    """Mean turnover of 20 sessions: what trades easily needs to pay less, and what is traded much is disputed.

    High earns less.  (Datar, Naik and Radcliffe 1998)
    """
    return ts_mean(turnover(), 20)


@factor("technical")
def turnover_variation_20() -> Expr:
    """Deviation of turnover over its mean, 20 sessions: liquidity that comes and goes.  High earns less.  (Chordia et al. 2001)"""
    return ts_std(turnover(), 20) / ts_mean(turnover(), 20)


@factor("technical")
def log_amount_20() -> Expr:
    """Logarithm of the mean amount traded, CNY, 20 sessions: liquidity is paid for.  High earns less.  (Brennan, Chordia and Subrahmanyam 1998)"""
    return log(ts_mean(amount, 20))


@factor("technical")
def volume_ratio_5() -> Expr:
    """Volume of the session over the mean of the 5 before: a burst of interest.  High earns less.  (Barber and Odean 2008)"""
    return volume / delay(ts_mean(volume, 5), 1)


@factor("technical")
def volume_trend_20() -> Expr:
    """Volume of 5 sessions over that of 20: interest that grows.  High earns less.  (Barber and Odean 2008)"""
    return ts_mean(volume, 5) / ts_mean(volume, 20)


@factor("technical")
def price_volume_corr_10() -> Expr:
    """Correlation of close and volume, 10 sessions: rising on volume is not a good sign here.  High earns less.  (after Kakushadze 2016)"""
    return ts_corr(close, volume, 10)


@factor("technical")
def return_volume_corr_20() -> Expr:
    """Correlation of the return with the change of log turnover, 20 sessions: rising on trade.  High earns less.  (after Kakushadze 2016)"""
    return ts_corr(traded_returns(), delta(log(turnover()), 1), 20)


@factor("technical")
def vwap_gap() -> Expr:
    """Close over the session's average price, less 1, mean of 5 sessions: pressure into the close.  High earns less.  (after Kakushadze 2016)"""
    return ts_mean(close / vwap - 1, 5)


@factor("technical")
def money_flow_14() -> Expr:
    """Share of the amount of 14 sessions that traded at a rising typical price, in [0, 1]: the money flow index.

    An oscillator of amount: overbought near 1.  High earns less.  (Quong and Soudack 1989)
    """
    return ts_sum(amount * (typical() > delay(typical(), 1)), 14) / ts_sum(amount, 14)


@factor("technical")
def on_balance_20() -> Expr:
    """Volume of rising less that of falling sessions over all of 20: on-balance volume as a share.  High earns more.  (Granville 1963)"""
    return ts_sum(sign(traded_returns()) * volume, 20) / ts_sum(volume, 20)


@factor("technical")
def chaikin_flow_20() -> Expr:
    """Where closes stand in their session's range, -1 to 1, weighted by volume over 20 sessions: accumulation or distribution.

    0 for a session without a range.  High earns more.  (Achelis 2000, after Chaikin)
    """
    return ts_sum(ratio(2 * close - high - low, high - low) * volume, 20) / ts_sum(volume, 20)


@factor("technical")
def disagreement_60() -> Expr:
    """Correlation of the size of the return with turnover, 60 sessions: moves that needed much trade were disputed.

    High earns less.  (Karpoff 1987; Hong and Stein 2007)
    """
    return ts_corr(log(high / low), turnover(), 60)
