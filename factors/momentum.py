"""Momentum and reversal: what past returns say of the next."""

from factors.compounds import in_industry, residual
from factors.expressions import Expr, column
from factors.operators import (
    absolute,
    amount,
    close,
    cs_group_mean,
    cs_rank,
    delay,
    delta,
    float_cap,
    last,
    maximum,
    minimum,
    open_,
    returns,
    sign,
    traded_returns,
    ts_argmax,
    ts_max,
    ts_mean,
    ts_rank,
    ts_std,
    ts_sum,
    turnover,
    volume,
)
from factors.registry import factor


def _twelve_one() -> Expr:
    return delay(last, 20) / delay(last, 240) - 1


def _six_one() -> Expr:
    return delay(last, 20) / delay(last, 120) - 1


def _overnight() -> Expr:
    """Return from the last close to the open."""
    return open_ / delay(last, 1) - 1


def _intraday() -> Expr:
    """Return from the open to the close."""
    return close / open_ - 1


@factor("momentum")
def momentum_12_1() -> Expr:
    """Return of the last 240 sessions without the last 20.

    News is taken in slowly, while the last month reverses.  High earns more; in China least of all markets.  (Jegadeesh and Titman 1993)
    """
    return _twelve_one()


@factor("momentum")
def momentum_6_1() -> Expr:
    """Return of the last 120 sessions without the last 20: the same over half a year.  High earns more.  (Jegadeesh and Titman 1993)"""
    return _six_one()


@factor("momentum")
def momentum_12_7() -> Expr:
    """Return from 240 to 120 sessions ago: an echo.

    What happened 7 to 12 months ago carries more of momentum than the recent past.  High earns more.  (Novy-Marx 2012)
    """
    return delay(last, 120) / delay(last, 240) - 1


@factor("momentum")
def momentum_per_risk() -> Expr:
    """12-1 momentum over the volatility of its returns: equal ranks for equal surprise.  High earns more.  (Rachev et al. 2007)"""
    return _twelve_one() / delay(ts_std(returns(), 220), 20)


@factor("momentum")
def residual_momentum() -> Expr:
    """Mean over deviation of what the market left of the returns from 240 to 20 sessions ago.

    Momentum without the bets on the market that make it crash.  High earns more.  (Blitz, Huij and Martens 2011)
    """
    before = delay(residual(), 20)
    return ts_mean(before, 220) / ts_std(before, 220)


@factor("momentum")
def industry_momentum() -> Expr:
    """Mean 6-1 momentum of the stock's industry.

    Much of momentum is that of industries, which analysts follow one at a time.  High earns more.  (Moskowitz and Grinblatt 1999)
    """
    return cs_group_mean(_six_one(), column("industry"))


@factor("momentum")
def momentum_in_industry() -> Expr:
    """12-1 momentum less the mean of the industry: the stock's own part.  High earns more.  (Asness, Porter and Stevens 2000)"""
    return in_industry(_twelve_one())


@factor("momentum")
def industry_leaders_5() -> Expr:
    """Return of the industry over 5 sessions, weighted by float value.

    Small stocks take in next week what the large ones of their industry took in this week.  High earns more.  (Hou 2007)
    """
    industry = column("industry")
    return cs_group_mean(returns(5) * float_cap(), industry) / cs_group_mean(float_cap(), industry)


@factor("momentum")
def momentum_low_turnover() -> Expr:
    """Rank by 6-1 momentum times the share of stocks that were traded more in 120 sessions.

    Winners without a crowd go on, winners with one turn.  High earns more.  (Lee and Swaminathan 2000)
    """
    return cs_rank(_six_one()) * (1 - cs_rank(ts_mean(turnover(), 120)))


@factor("momentum")
def momentum_acceleration() -> Expr:
    """6-1 momentum less the return of the 120 sessions before it: is the trend gathering?  High earns more.  (Gettleman and Marks 2006)"""
    return _six_one() - (delay(last, 120) / delay(last, 240) - 1)


@factor("momentum")
def same_month_last_year() -> Expr:
    """Return of the 20 sessions that followed this day a year ago.

    Companies and holders have habits by the calendar.  High earns more.  (Heston and Sadka 2008)
    """
    return delay(last, 223) / delay(last, 243) - 1


@factor("momentum")
def reversal_1() -> Expr:
    """Minus the return of the session: who presses for a trade today pays tomorrow.  High earns more.  (Nagel 2012)"""
    return -returns(1)


@factor("momentum")
def reversal_5() -> Expr:
    """Minus the return of the last 5 sessions: losers of the week recover.  High earns more.  (Lehmann 1990)"""
    return -returns(5)


@factor("momentum")
def reversal_20() -> Expr:
    """Minus the return of the last 20 sessions: the strongest price effect of A-shares.  High earns more.  (Jegadeesh 1990)"""
    return -returns(20)


@factor("momentum")
def reversal_20_in_industry() -> Expr:
    """Minus the return of 20 sessions in excess of the industry's mean.

    News moves the industry for good; what a stock does beyond it is pressure that passes.  High earns more.  (Da, Liu and Schaumburg 2014)
    """
    return -in_industry(returns(20))


@factor("momentum")
def residual_reversal_20() -> Expr:
    """Minus the sum of what the market left of 20 sessions' returns: reversal without bets on beta.  High earns more.  (Blitz et al. 2013)"""
    return -ts_sum(residual(), 20)


@factor("momentum")
def rsi_14() -> Expr:
    """Relative strength index of 14 sessions, in [0, 1]: gains over gains and losses, plain means.

    Bought beyond reason when near 1.  High earns less.  (Wilder 1978)
    """
    change = delta(last, 1)
    gain = ts_mean(maximum(change, change * 0), 14)
    loss = ts_mean(-minimum(change, change * 0), 14)
    return gain / (gain + loss)


@factor("momentum")
def high_52_week() -> Expr:
    """Close over the highest close of 240 sessions: investors anchor on it and underreact near it.  High earns more.  (George and Hwang 2004)"""
    return last / ts_max(last, 240)


@factor("momentum")
def high_52_week_age() -> Expr:
    """Minus the sessions since the highest close of 240: a recent high foretells more than an old one.  High earns more.  (Bhootra and Hur 2013)"""
    return -ts_argmax(last, 240)


@factor("momentum")
def overnight_20() -> Expr:
    """Sum of the overnight returns of 20 sessions.

    The individual's mood at the open; in China mostly undone by day.  High earns less.  (Aboody, Even-Tov, Lehavy and Trueman 2018)
    """
    return ts_sum(_overnight(), 20)


@factor("momentum")
def intraday_20() -> Expr:
    """Sum of the open-to-close returns of 20 sessions: the part of a month that reverses.  High earns less.  (Lou, Polk and Skouras 2019)"""
    return ts_sum(_intraday(), 20)


@factor("momentum")
def daytime_reversal_20() -> Expr:
    """Share of 20 sessions that opened up and then fell.

    Daytime investors overcorrect the night's: a tug of war that the night wins in the end.  High earns more.  (Akbas, Boehmer, Jiang and Koch 2022)
    """
    return ts_mean((_overnight() > 0) * (_intraday() < 0), 20)


@factor("momentum")
def trend_rank_60() -> Expr:
    """Rank of today's close among the last 60: a momentum that no jump dominates.  High earns less, as all short trends here.  (Jegadeesh 1990)"""
    return ts_rank(last, 60)


@factor("momentum")
def information_discreteness() -> Expr:
    """Share of falling less share of rising sessions between 240 and 20 ago, times the sign of their return.

    A frog in the pan doesn't feel many small steps: a trend that came in few jumps (high) was noticed and doesn't last.  High earns less.
    (Da, Gurun and Warachka 2014)
    """
    return -sign(_twelve_one()) * ts_mean(delay(sign(traded_returns()), 20), 220)


@factor("momentum")
def path_efficiency_60() -> Expr:
    """Return of 60 sessions over the sum of its steps: 1 for a straight climb, -1 for a straight fall, 0 for noise.

    A clean path is a trend, and beyond a month trends go on.  High earns more.  (Kaufman 1995)
    """
    return returns(60) / ts_sum(absolute(returns()), 60)


@factor("momentum")
def capital_gains_overhang() -> Expr:
    """What holders have gained, by the average price of the shares traded in 120 sessions, over the close.

    Who has gained sells too early and keeps the price below its worth.  High earns more.  (Grinblatt and Han 2005)
    """
    return 1 - ts_sum(amount, 120) / ts_sum(volume, 120) / last
