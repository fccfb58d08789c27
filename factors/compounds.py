"""What many factors are made of: the market and what it doesn't explain, a stock against its industry, ranges, figures of the company."""

from factors.expressions import Expr, column
from factors.operators import (
    close,
    cs_group_mean,
    cs_mean,
    delay,
    delta,
    high,
    last,
    low,
    maximum,
    minimum,
    open_,
    total_cap,
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


def overnight() -> Expr:
    """Return from the last close to the open."""
    return open_ / delay(last, 1) - 1


def intraday() -> Expr:
    """Return from the open to the close."""
    return close / open_ - 1


def typical() -> Expr:
    """Mean of high, low and close."""
    return (high + low + close) / 3


def true_range() -> Expr:
    """Range of a session, the close before it included."""
    before = delay(last, 1)
    return maximum(high, before) - minimum(low, before)


def positive(x: Expr) -> Expr:
    """X where it is above 0, null elsewhere: a base to divide by."""
    return where(x > 0, x)


def newly_filed() -> Expr:
    """1 in the session at which a report of a newer period is first known, 0 in others."""
    return delta(column("report_quarter"), 1) > 0


def return_on_equity() -> Expr:
    """Profit of the last four quarters over mean equity of now and a year before."""
    return column("net_profit_ttm") / positive((column("equity") + column("equity_before")) / 2)


def over_assets(x: Expr) -> Expr:
    """X over total assets."""
    return x / positive(column("total_assets"))


def over_cap(x: Expr) -> Expr:
    """X over the market value of all shares."""
    return x / total_cap()
