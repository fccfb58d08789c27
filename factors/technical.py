"""Technical: moving averages, bands, oscillators and lines through prices."""

from factors.compounds import typical
from factors.expressions import Expr
from factors.operators import (
    close,
    delay,
    delta,
    ema,
    high,
    last,
    low,
    maximum,
    minimum,
    open_,
    returns,
    ts_max,
    ts_mean,
    ts_min,
    ts_rsquare,
    ts_slope,
    ts_std,
)
from factors.registry import factor


@factor("technical")
def ma_gap_5() -> Expr:
    """Close over its 5-session mean, less 1: this week's haste, which reverses.  High earns less.  (Lehmann 1990)"""
    return last / ts_mean(last, 5) - 1


@factor("technical")
def ma_gap_10() -> Expr:
    """Close over its 10-session mean, less 1.  High earns less.  (Lehmann 1990)"""
    return last / ts_mean(last, 10) - 1


@factor("technical")
def ma_gap_20() -> Expr:
    """Close over its 20-session mean, less 1: the month's deviation.  High earns less.  (Jegadeesh 1990)"""
    return last / ts_mean(last, 20) - 1


@factor("technical")
def ma_gap_60() -> Expr:
    """Close over its 60-session mean, less 1: above it a trend is up.  High earns more.  (Brock, Lakonishok and LeBaron 1992)"""
    return last / ts_mean(last, 60) - 1


@factor("technical")
def ma_cross_20_120() -> Expr:
    """20-session over 120-session mean, less 1: the rule of two averages as a number.  High earns more.  (Brock, Lakonishok and LeBaron 1992)"""
    return ts_mean(last, 20) / ts_mean(last, 120) - 1


def _macd_line() -> Expr:
    return (ema(last, 12) - ema(last, 26)) / last


@factor("technical")
def macd() -> Expr:
    """12- less 26-session exponential mean, over the close: the trend of a month.  High earns more.  (Appel 1979)"""
    return _macd_line()


@factor("technical")
def macd_histogram() -> Expr:
    """MACD less its 9-session exponential mean: whether the trend gains speed.  High earns more.  (Appel 1979)"""
    return _macd_line() - ema(_macd_line(), 9)


@factor("technical")
def bollinger_position() -> Expr:
    """Where the close stands between the bands, %b: 0 at the lower, 1 at the upper, 20 sessions and 2 deviations.

    At a band the move is large for the stock, and reverses.  High earns less.  (Bollinger 1992)
    """
    return (last - ts_mean(last, 20)) / (4 * ts_std(last, 20)) + 0.5


@factor("technical")
def bollinger_width() -> Expr:
    """Distance of the bands over their middle: 4 deviations over the 20-session mean, a volatility with trend in it.

    High earns less.  (Bollinger 1992)
    """
    return 4 * ts_std(last, 20) / ts_mean(last, 20)


def _true_range() -> Expr:
    """Range of a session, the close before it included."""
    before = delay(last, 1)
    return maximum(high, before) - minimum(low, before)


@factor("technical")
def atr_14() -> Expr:
    """Mean true range of 14 sessions over the close: volatility, gaps included.  High earns less.  (Wilder 1978)"""
    return ts_mean(_true_range(), 14) / last


def _k() -> Expr:
    return ema((close - ts_min(low, 9)) / (ts_max(high, 9) - ts_min(low, 9)), 3)


@factor("technical")
def kdj_k() -> Expr:
    """Where the close stands in the range of 9 sessions, smoothed over 3: the fast stochastic, overbought near 1.  High earns less.  (Lane 1984)"""
    return _k()


@factor("technical")
def kdj_j() -> Expr:
    """Three times K less twice its own mean over 3: K ahead of itself, the line that Chinese traders watch.  High earns less.  (Lane 1984)"""
    return 3 * _k() - 2 * ema(_k(), 3)


@factor("technical")
def cci_20() -> Expr:
    """Typical price less its mean over 20 sessions, in deviations: the commodity channel index with a deviation as its scale.

    High earns less.  (Lambert 1980)
    """
    return (typical() - ts_mean(typical(), 20)) / ts_std(typical(), 20)


@factor("technical")
def directional_14() -> Expr:
    """Upward less downward movement of highs and lows over their sum, 14 sessions: the balance of Wilder's DI.

    Only the larger of a session's two excursions beyond yesterday's range counts.  High earns more.  (Wilder 1978)
    """
    up, down = delta(high, 1), -delta(low, 1)
    rise, fall = (ts_mean(move * (move > other) * (move > 0), 14) for move, other in ((up, down), (down, up)))
    return (rise - fall) / (rise + fall)


@factor("technical")
def shadow_balance_20() -> Expr:
    """Upper less lower shadow of the candle over the close, mean of 20 sessions: selling against buying within the day.

    Who sold into a rise may know better than who bought it.  High earns less.  (Nison 1991)
    """
    upper = high - maximum(open_, close)
    lower = minimum(open_, close) - low
    return ts_mean((upper - lower) / close, 20)


@factor("technical")
def trend_slope_20() -> Expr:
    """Slope of a line through the closes of 20 sessions, per session, over the close: the month's move, all sessions heard.

    High earns less.  (Jegadeesh 1990)
    """
    return ts_slope(last, 20) / last


@factor("technical")
def trend_fit_20() -> Expr:
    """Share of the closes' variance over 20 sessions that a line explains: clean trends, up or down, draw followers.

    High earns less.  (after Da, Gurun and Warachka 2014)
    """
    return ts_rsquare(last, 20)


@factor("technical")
def return_range_5() -> Expr:
    """Highest less lowest close of 5 sessions over the close: the week's unrest.  High earns less.  (after Parkinson 1980)"""
    return (ts_max(last, 5) - ts_min(last, 5)) / last


@factor("technical")
def return_5_to_20() -> Expr:
    """Return of 5 sessions less a quarter of the return of 20: has the month's move just happened?  High earns less.  (Lehmann 1990)"""
    return returns(5) - returns(20) / 4
