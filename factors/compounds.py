"""What many factors are made of: the market and what it doesn't explain, a stock against its industry, bases to divide by."""

from factors.expressions import Expr, column
from factors.operators import (
    close,
    cs_group_mean,
    cs_mean,
    high,
    low,
    traded_returns,
    ts_beta,
    where,
)

YEAR = 243  # sessions


def market() -> Expr:
    """The market's return: the mean over the stocks that traded."""
    return cs_mean(traded_returns())


def beta(n: int) -> Expr:
    """Slope of a stock's return on the market's over n sessions."""
    return ts_beta(traded_returns(), market(), n)


def residual() -> Expr:
    """What the market leaves of a session's return, by the beta of the 60 sessions that end with it."""
    return traded_returns() - beta(60) * market()


def in_industry(x: Expr) -> Expr:
    """X less its mean over the stock's industry as known at the date."""
    return x - cs_group_mean(x, column("industry"))


def typical() -> Expr:
    """Mean of high, low and close."""
    return (high + low + close) / 3


def positive(x: Expr) -> Expr:
    """X where it is above 0, null elsewhere: a base to divide by."""
    return where(x > 0, x)


def over_assets(x: Expr) -> Expr:
    """X over total assets."""
    return x / positive(column("total_assets"))
