"""Sentiment: the mood of the market and each stock's share in it, attention and the taste for lotteries."""

from factors.expressions import Expr, column
from factors.operators import (
    cs_mean,
    cs_std,
    delta,
    ema,
    first_component,
    log,
    returns,
    traded_returns,
    ts_beta,
    ts_max,
    ts_mean,
    ts_sum,
    turnover,
)
from factors.registry import factor


def sentiment_index() -> Expr:
    """Investor sentiment of the market: first principal component of turnover, breadth, the balance of limit hits and dispersion.

    Each is a five-session mean, standardised over the last 250 sessions only; loadings are fitted there too, with the sign that
    makes turnover positive.  (after Baker and Wurgler 2006)
    """
    moods = [
        log(cs_mean(turnover())),
        cs_mean(traded_returns() > 0),
        cs_mean(column("limit_up_hit")) - cs_mean(column("limit_down_hit")),
        cs_std(traded_returns()),
    ]
    return first_component(*(ts_mean(mood, 5) for mood in moods), window=250)


@factor("sentiment")
def sentiment_beta() -> Expr:
    """Slope of the stock's return on the change of the sentiment index over 60 sessions: who moves with the mood.  (Baker and Wurgler 2007)"""
    return ts_beta(traded_returns(), delta(sentiment_index(), 1), 60)


@factor("sentiment")
def sentiment_tilt() -> Expr:
    """Sentiment beta times the level of the index: high mood is said to be paid back by the stocks that moved with it."""
    return -ts_beta(traded_returns(), delta(sentiment_index(), 1), 60) * sentiment_index()


@factor("sentiment")
def turnover_abnormal() -> Expr:
    """Turnover of 20 sessions over that of 240: attention that came lately.  (Barber and Odean 2008)"""
    return ts_mean(turnover(), 20) / ts_mean(turnover(), 240)


@factor("sentiment")
def turnover_shock() -> Expr:
    """Turnover of the session over its 20-session exponential mean."""
    return turnover() / ema(turnover(), 20)


@factor("sentiment")
def limit_up_20() -> Expr:
    """Closes at the upper limit in 20 sessions: the crowd's favourites."""
    return ts_sum(column("limit_up_hit"), 20)


@factor("sentiment")
def max_20() -> Expr:
    """Largest daily return of 20 sessions: a taste for lotteries overprices it.  (Bali, Cakici and Whitelaw 2011)"""
    return ts_max(returns(), 20)
