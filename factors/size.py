"""Size: what the market says a company, or the part of it that trades, is worth."""

from factors.expressions import Expr, column
from factors.operators import absolute, cs_group_rank, cs_mean, cs_z_score, delay, float_cap, log, total_cap
from factors.registry import factor


@factor("size")
def log_total_cap() -> Expr:
    """Logarithm of total market value, CNY.

    The small are riskier, harder to trade, and in China were worth a shell.  High earns less.  (Banz 1981)
    """
    return log(total_cap())


@factor("size")
def log_float_cap() -> Expr:
    """Logarithm of the market value of the float, CNY: closer to what can be traded.  High earns less.  (Banz 1981)"""
    return log(float_cap())


@factor("size")
def mid_cap() -> Expr:
    """Minus the distance of log float cap from the middle of the market, in deviations.

    Mid-sized companies have left the risks of the small and not yet the attention of all.  High earns more.  (Barra USE4, Menchero et al. 2011)
    """
    return -absolute(cs_z_score(log(float_cap())))


@factor("size")
def nonlinear_size() -> Expr:
    """Cube of standardised log total cap, without what is linear in it.

    What the very large and the very small do beyond the straight line of size.  High earns less.  (Barra CNE5, Orr et al. 2012)
    """
    z = cs_z_score(log(total_cap()))
    cube = z * z * z
    # z has mean 0 and variance 1 over the session, so the slope of its cube on it is the mean of its fourth power.
    return cube - cs_mean(cube) - cs_mean(cube * z) * z


@factor("size")
def size_in_industry() -> Expr:
    """Rank by total market value within the industry: leaders and followers.  High earns less.  (Asness, Porter and Stevens 2000)"""
    return cs_group_rank(total_cap(), column("industry"))


@factor("size")
def log_sales() -> Expr:
    """Logarithm of the revenue of the last four quarters: size without a price in it.

    If smallness earned by itself, it would here too; little of it does.  High earns less.  (Berk 1997)
    """
    return log(column("revenue_ttm"))


@factor("size")
def log_price() -> Expr:
    """Logarithm of the close as traded.

    A low price looks as if it had more room to rise, and is bought for it.  High earns more.  (Birru and Wang 2016)
    """
    return log(column("raw_close"))


@factor("size")
def float_share() -> Expr:
    """Shares in float over all shares.

    The smaller the float, the more of the price is speculation that nobody can sell against.  High earns more.  (Mei, Scheinkman and Xiong 2009)
    """
    return column("float_shares") / column("total_shares")


@factor("size")
def float_growth() -> Expr:
    """Log growth of the shares in float over 240 sessions: the end of lock-ups brings sellers.  High earns less.  (Field and Hanka 2001)"""
    return log(column("float_shares")) - delay(log(column("float_shares")), 240)
