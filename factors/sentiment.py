"""Sentiment: the mood of the market and each stock's share in it, attention and the taste for lotteries."""

from factors.compounds import residual
from factors.expressions import Expr, column
from factors.operators import (
    absolute,
    amount,
    cs_mean,
    cs_rank,
    cs_residual,
    cs_std,
    delta,
    ema,
    fill,
    first_component,
    float_cap,
    log,
    maximum,
    returns,
    traded_returns,
    ts_argmax,
    ts_beta,
    ts_max,
    ts_mean,
    ts_min,
    ts_rank,
    ts_skew,
    ts_std,
    ts_sum,
    turnover,
    volume,
    where,
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
    """Slope of the stock's return on the change of the sentiment index over 60 sessions: who moves with the mood.

    The stocks that are hard to value and to sell short.  High earns less.  (Baker and Wurgler 2007)
    """
    return ts_beta(traded_returns(), delta(sentiment_index(), 1), 60)


@factor("sentiment")
def sentiment_tilt() -> Expr:
    """Minus the sentiment beta times the level of the index.

    What moved with a high mood pays it back, what moved with a low one is paid.  High earns more.  (Baker and Wurgler 2006)
    """
    return -ts_beta(traded_returns(), delta(sentiment_index(), 1), 60) * sentiment_index()


@factor("sentiment")
def crowd_beta() -> Expr:
    """Slope of the stock's return on the change of the market's log turnover over 60 sessions: who rises when the crowd comes.

    High earns less.  (Kumar and Lee 2006)
    """
    return ts_beta(traded_returns(), delta(log(cs_mean(turnover())), 1), 60)


@factor("sentiment")
def turnover_abnormal() -> Expr:
    """Turnover of 20 sessions over that of 240: attention that came lately, and with it buyers.  High earns less.  (Barber and Odean 2008)"""
    return ts_mean(turnover(), 20) / ts_mean(turnover(), 240)


@factor("sentiment")
def turnover_shock() -> Expr:
    """Turnover of the session over its 20-session exponential mean: attention today.  High earns less.  (Barber and Odean 2008)"""
    return turnover() / ema(turnover(), 20)


@factor("sentiment")
def turnover_given_size() -> Expr:
    """What log float cap doesn't explain of the log turnover of 20 sessions, across the stocks of the session.

    Trade beyond what size calls for is disagreement, which without short sales overprices.  High earns less.  (Hong and Stein 2007)
    """
    return cs_residual(log(ts_mean(turnover(), 20)), log(float_cap()))


@factor("sentiment")
def attention_share() -> Expr:
    """The stock's share of the market's amount, 5 sessions over 60: attention taken from others.  High earns less.  (Da, Engelberg and Gao 2011)"""
    share = amount / cs_mean(amount)
    return ts_mean(share, 5) / ts_mean(share, 60)


@factor("sentiment")
def high_volume_50() -> Expr:
    """Rank of the session's volume among its last 50.

    A day of unusual volume makes a stock visible, and visibility lowers what holders ask for.  High earns more.
    (Gervais, Kaniel and Mingelgrin 2001)
    """
    return ts_rank(volume, 50)


@factor("sentiment")
def extreme_days_60() -> Expr:
    """Share of 60 sessions that moved more than 5 %: what individuals notice and buy.  High earns less.  (Barber and Odean 2008)"""
    return ts_mean(absolute(traded_returns()) > 0.05, 60)


@factor("sentiment")
def limit_up_20() -> Expr:
    """Closes at the upper limit in 20 sessions: the crowd's favourites, sold to it the day after.  High earns less.  (Chen et al. 2019)"""
    return ts_sum(column("limit_up_hit"), 20)


@factor("sentiment")
def limit_up_age_60() -> Expr:
    """Sessions since the last close at the upper limit, 60 where there was none in 60.

    The attention that a limit brings fades within days, and the price with it.  High earns more.  (Seasholes and Wu 2007)
    """
    hit = column("limit_up_hit")
    return where(ts_mean(hit, 60, least=1) > -1, fill(ts_argmax(where(hit > 0, hit), 60, least=1), 60))  # null where nothing is known of hits


@factor("sentiment")
def limit_days_60() -> Expr:
    """Share of 60 sessions that closed at either limit: moves that a limit cuts spill over.  High earns less.  (Kim and Rhee 1997)"""
    return ts_mean(maximum(column("limit_up_hit"), column("limit_down_hit")), 60)


@factor("sentiment")
def max_20() -> Expr:
    """Largest daily return of 20 sessions: a taste for lotteries overprices it.  High earns less.  (Bali, Cakici and Whitelaw 2011)"""
    return ts_max(returns(), 20)


@factor("sentiment")
def min_20() -> Expr:
    """Minus the smallest daily return of 20 sessions: bad news is taken in slowly.  High earns less.  (Atilgan, Bali, Demirtas and Gunaydin 2020)"""
    return -ts_min(returns(), 20)


@factor("sentiment")
def idiosyncratic_skewness_120() -> Expr:
    """Skewness of what the market left of 120 sessions' returns: a small chance of a large gain is dear.  High earns less.  (Boyer et al. 2010)"""
    return ts_skew(residual(), 120)


@factor("sentiment")
def lottery_demand() -> Expr:
    """Ranks by idiosyncratic volatility and skewness less the rank by price as traded: cheap tickets with large prizes.

    High earns less.  (Kumar 2009)
    """
    return cs_rank(ts_std(residual(), 60)) + cs_rank(ts_skew(residual(), 120)) - cs_rank(column("raw_close"))
