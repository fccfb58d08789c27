"""Growth: what grows, what was expected to, and what the growth was paid with.

Every figure is as known at the close: single quarters and four quarters out of cumulative reports (factors/statements.py).
"""

from factors.compounds import market, over_assets, positive
from factors.expressions import Expr, column
from factors.operators import delay, delta, last, log, total_cap, traded_returns, ts_mean, where
from factors.registry import factor

assets_before = column("total_assets_before")


def _rise(item: str) -> Expr:
    """The newest quarter less the same of a year before."""
    return column(f"{item}_quarter") - column(f"{item}_quarter_before")


def _yearly(item: str) -> Expr:
    """Four quarters less the four a year before."""
    return column(f"{item}_ttm") - column(f"{item}_ttm_before")


def _revenue_growth() -> Expr:
    return _yearly("revenue") / positive(column("revenue_ttm_before"))


def _revenue_growth_quarter() -> Expr:
    return _rise("revenue") / positive(column("revenue_quarter_before"))


def _newly_filed() -> Expr:
    """1 in the session at which a report of a newer period is first known, 0 in others."""
    return delta(column("report_quarter"), 1) > 0


@factor("growth")
def revenue_growth() -> Expr:
    """Revenue of four quarters over that of the four a year before, less 1.

    Past growth is drawn out too far into the future, and paid for.  High earns less.  (Lakonishok, Shleifer and Vishny 1994)
    """
    return _revenue_growth()


@factor("growth")
def revenue_growth_quarter() -> Expr:
    """Revenue of the newest quarter over the same of a year before, less 1: news, unlike growth long known.

    High earns more.  (Jegadeesh and Livnat 2006)
    """
    return _revenue_growth_quarter()


@factor("growth")
def revenue_surprise() -> Expr:
    """Change of quarterly revenue over a year, in deviations of the eight such changes before it.

    A surprise in sales lasts longer than one in costs.  High earns more.  (Jegadeesh and Livnat 2006)
    """
    return _rise("revenue") / positive(column("revenue_deviation"))


@factor("growth")
def profit_growth() -> Expr:
    """Change of the profit of four quarters over a year, over the total assets of a year before.

    Over assets rather than profits, which may be near 0 or below.  High earns more.  (Asness, Frazzini and Pedersen 2019)
    """
    return _yearly("net_profit") / positive(assets_before)


@factor("growth")
def profit_growth_quarter() -> Expr:
    """Change of quarterly profit over a year, over equity: earnings momentum.  High earns more.  (Chan, Jegadeesh and Lakonishok 1996)"""
    return _rise("net_profit") / positive(column("equity"))


@factor("growth")
def profit_acceleration() -> Expr:
    """Change of quarterly profit over a year, times four, less that of four quarters, over total assets.

    Growth that is itself growing is seen last.  High earns more.  (He and Narayanamoorthy 2020)
    """
    return over_assets(4 * _rise("net_profit") - _yearly("net_profit"))


@factor("growth")
def earnings_surprise() -> Expr:
    """Standardised unexpected earnings: change of quarterly profit over a year, in deviations of the eight such changes before it.

    Prices drift for months towards what a report said.  High earns more.  (Foster, Olsen and Shevlin 1984; Bernard and Thomas 1989)
    """
    return _rise("net_profit") / positive(column("net_profit_deviation"))


@factor("growth")
def announcement_return() -> Expr:
    """Mean return over the market's in the sessions of the last 120 in which a newer report was first known.

    What the market made of the news itself, and hasn't finished.  High earns more.  (Chan, Jegadeesh and Lakonishok 1996)
    """
    return ts_mean(where(_newly_filed(), traded_returns() - market()), 120, least=1)


@factor("growth")
def report_age() -> Expr:
    """Days since the newest report was announced: before the next one attention and the price rise.  High earns more.  (Frazzini and Lamont 2007)"""
    return column("report_age")


@factor("growth")
def profit_streak() -> Expr:
    """Quarters in a row, up to 8, that earned more than a year before: a pattern that is paid for while it lasts.

    High earns more.  (Barth, Elliott and Finn 1999)
    """
    return column("net_profit_streak")


@factor("growth")
def cash_flow_growth() -> Expr:
    """Change of the cash from operations of four quarters over a year, over the total assets of a year before: growth that was paid.

    High earns more.  (after Foerster, Tsagarelis and Wang 2017)
    """
    return _yearly("operating_cash_flow") / positive(assets_before)


@factor("growth")
def asset_growth() -> Expr:
    """Total assets over those of a year before, less 1: empires are built with dear money and earn little.  High earns less.  (Cooper et al. 2008)"""
    return column("total_assets") / positive(assets_before) - 1


@factor("growth")
def equity_growth() -> Expr:
    """Equity over that of a year before, less 1: retained or raised, it meets falling returns.  High earns less.  (Lockwood and Prombutr 2010)"""
    return column("equity") / positive(column("equity_before")) - 1


@factor("growth")
def debt_growth() -> Expr:
    """Change of debt over a year, over the total assets of a year before: who borrows grows too dearly.  High earns less.  (Bradshaw et al. 2006)"""
    return (column("debt") - column("debt_before")) / positive(assets_before)


@factor("growth")
def composite_issuance() -> Expr:
    """Growth of total market value over 240 sessions that the return doesn't explain, in logarithms: shares issued less what was paid out.

    Companies sell shares when these are dear.  High earns less.  (Daniel and Titman 2006)
    """
    return log(total_cap() / delay(total_cap(), 240)) - log(last / delay(last, 240))
