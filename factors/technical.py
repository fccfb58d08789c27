"""Technical: moving averages, bands, range, volatility, liquidity, and price against volume."""

from factors.expressions import Expr
from factors.operators import (
    absolute,
    amount,
    close,
    cs_mean,
    delay,
    delta,
    ema,
    high,
    last,
    log,
    low,
    maximum,
    minimum,
    open_,
    returns,
    traded_returns,
    ts_beta,
    ts_corr,
    ts_max,
    ts_mean,
    ts_min,
    ts_rsquare,
    ts_skew,
    ts_slope,
    ts_std,
    ts_sum,
    turnover,
    volume,
    vwap,
)
from factors.registry import factor


@factor("technical")
def ma_gap_5() -> Expr:
    """Close over its 5-session mean, less 1.  (Brock, Lakonishok and LeBaron 1992)"""
    return last / ts_mean(last, 5) - 1


@factor("technical")
def ma_gap_10() -> Expr:
    """Close over its 10-session mean, less 1."""
    return last / ts_mean(last, 10) - 1


@factor("technical")
def ma_gap_20() -> Expr:
    """Close over its 20-session mean, less 1."""
    return last / ts_mean(last, 20) - 1


@factor("technical")
def ma_gap_60() -> Expr:
    """Close over its 60-session mean, less 1."""
    return last / ts_mean(last, 60) - 1


def _macd_line() -> Expr:
    return (ema(last, 12) - ema(last, 26)) / last


@factor("technical")
def macd() -> Expr:
    """12- less 26-session exponential mean, over the close.  (Appel 1979)"""
    return _macd_line()


@factor("technical")
def macd_histogram() -> Expr:
    """MACD less its 9-session exponential mean: whether the trend gains speed."""
    return _macd_line() - ema(_macd_line(), 9)


@factor("technical")
def bollinger_position() -> Expr:
    """Where the close stands between the bands, %b: 0 at the lower, 1 at the upper, 20 sessions and 2 deviations.  (Bollinger 1992)"""
    return (last - ts_mean(last, 20)) / (4 * ts_std(last, 20)) + 0.5


@factor("technical")
def bollinger_width() -> Expr:
    """Distance of the bands over their middle: 4 deviations over the 20-session mean."""
    return 4 * ts_std(last, 20) / ts_mean(last, 20)


@factor("technical")
def atr_14() -> Expr:
    """Mean true range of 14 sessions over the close.  (Wilder 1978)"""
    before = delay(last, 1)
    true_range = maximum(high, before) - minimum(low, before)
    return ts_mean(true_range, 14) / last


@factor("technical")
def kdj_k() -> Expr:
    """Where the close stands in the range of 9 sessions, smoothed over 3: the fast stochastic.  (Lane 1984)"""
    return ema((close - ts_min(low, 9)) / (ts_max(high, 9) - ts_min(low, 9)), 3)


@factor("technical")
def cci_20() -> Expr:
    """Typical price less its mean over 20 sessions, in deviations: the commodity channel index with a deviation as its scale.  (Lambert 1980)"""
    typical = (high + low + close) / 3
    return (typical - ts_mean(typical, 20)) / ts_std(typical, 20)


@factor("technical")
def volatility_20() -> Expr:
    """Deviation of the returns of 20 sessions: in China the calm earn more.  (Ang et al. 2006)"""
    return ts_std(traded_returns(), 20)


@factor("technical")
def volatility_60() -> Expr:
    """Deviation of the returns of 60 sessions."""
    return ts_std(traded_returns(), 60)


@factor("technical")
def idiosyncratic_volatility_60() -> Expr:
    """Deviation of what the market's mean return doesn't explain, 60 sessions.  (Ang et al. 2006)"""
    market = cs_mean(traded_returns())
    return ts_std(traded_returns() - ts_beta(traded_returns(), market, 60) * market, 60)


@factor("technical")
def beta_120() -> Expr:
    """Slope of the stock's return on the market's mean return, 120 sessions.  (Frazzini and Pedersen 2014)"""
    return ts_beta(traded_returns(), cs_mean(traded_returns()), 120)


@factor("technical")
def range_20() -> Expr:
    """Mean of log high over low, 20 sessions: volatility within the session.  (Parkinson 1980)"""
    return ts_mean(log(high / low), 20)


@factor("technical")
def skewness_60() -> Expr:
    """Skewness of the returns of 60 sessions.  (Amaya et al. 2015)"""
    return ts_skew(traded_returns(), 60)


@factor("technical")
def turnover_20() -> Expr:
    """Mean turnover of 20 sessions: the much-traded earn less.  (Datar, Naik and Radcliffe 1998)"""
    return ts_mean(turnover(), 20)


@factor("technical")
def turnover_variation_20() -> Expr:
    """Deviation of turnover over its mean, 20 sessions.  (Chordia, Subrahmanyam and Anshuman 2001)"""
    return ts_std(turnover(), 20) / ts_mean(turnover(), 20)


@factor("technical")
def amihud_20() -> Expr:
    """Price impact: mean |return| per CNY 100m traded, 20 sessions; high is illiquid.  (Amihud 2002)"""
    return ts_mean(absolute(traded_returns()) / (amount / 1e8), 20)


@factor("technical")
def log_amount_20() -> Expr:
    """Logarithm of the mean amount traded, CNY, 20 sessions.  (Brennan, Chordia and Subrahmanyam 1998)"""
    return log(ts_mean(amount, 20))


@factor("technical")
def volume_ratio_5() -> Expr:
    """Volume of the session over the mean of the 5 before."""
    return volume / delay(ts_mean(volume, 5), 1)


@factor("technical")
def volume_trend_20() -> Expr:
    """Volume of 5 sessions over that of 20."""
    return ts_mean(volume, 5) / ts_mean(volume, 20)


@factor("technical")
def price_volume_corr_10() -> Expr:
    """Correlation of close and volume, 10 sessions: rising on volume is not a good sign here.  (after WorldQuant's alphas, Kakushadze 2016)"""
    return ts_corr(close, volume, 10)


@factor("technical")
def return_volume_corr_20() -> Expr:
    """Correlation of the return with the change of log turnover, 20 sessions."""
    return ts_corr(traded_returns(), delta(log(turnover()), 1), 20)


@factor("technical")
def vwap_gap() -> Expr:
    """Close over the session's average price, less 1, mean of 5 sessions: pressure into the close."""
    return ts_mean(close / vwap - 1, 5)


@factor("technical")
def shadow_balance_20() -> Expr:
    """Upper less lower shadow of the candle over the close, mean of 20 sessions: selling against buying within the day."""
    upper = high - maximum(open_, close)
    lower = minimum(open_, close) - low
    return ts_mean((upper - lower) / close, 20)


@factor("technical")
def trend_slope_20() -> Expr:
    """Slope of a line through the closes of 20 sessions, per session, over the close."""
    return ts_slope(last, 20) / last


@factor("technical")
def trend_fit_20() -> Expr:
    """Share of the closes' variance over 20 sessions that a line explains: clean trends against noise."""
    return ts_rsquare(last, 20)


@factor("technical")
def money_flow_14() -> Expr:
    """Share of the amount of 14 sessions that traded at a rising typical price, in [0, 1]: the money flow index.  (Quong and Soudack 1989)"""
    typical = (high + low + close) / 3
    return ts_sum(amount * (typical > delay(typical, 1)), 14) / ts_sum(amount, 14)


@factor("technical")
def return_range_5() -> Expr:
    """Highest less lowest close of 5 sessions over the close."""
    return (ts_max(last, 5) - ts_min(last, 5)) / last


@factor("technical")
def return_5_to_20() -> Expr:
    """Return of 5 sessions less a quarter of the return of 20: has the month's move just happened?"""
    return returns(5) - returns(20) / 4
