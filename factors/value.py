"""Value: what a share earns, owns and pays for its price."""

from factors.expressions import Expr, column
from factors.operators import delay, ts_mean, ts_sum
from factors.registry import factor

YEAR = 243  # sessions


@factor("value")
def earnings_yield() -> Expr:
    """Earnings of the last four quarters over price, 1 / PE; losses are negative.  (Basu 1977)"""
    return 1 / column("pe_ttm")


@factor("value")
def book_to_price() -> Expr:
    """Book equity of the latest report over price, 1 / PB.  (Fama and French 1992)"""
    return 1 / column("pb")


@factor("value")
def sales_yield() -> Expr:
    """Revenue of the last four quarters over price, 1 / PS.  (Barbee, Mukherji and Raines 1996)"""
    return 1 / column("ps_ttm")


@factor("value")
def cash_flow_yield() -> Expr:
    """Operating or net cash flow of the last four quarters over price, 1 / PCF, as the vendor defines it.  (Lakonishok et al. 1994)"""
    return 1 / column("pcf_ttm")


@factor("value")
def dividend_yield() -> Expr:
    """Cash dividends whose ex-date fell into the last year, each over the price before it, summed.  (Litzenberger and Ramaswamy 1979)

    Cash and price are both as traded on the day, so no later split enters.  0 where nothing was paid.
    """
    return ts_sum(column("cash_dividend") / delay(column("raw_close"), 1), YEAR)


@factor("value")
def earnings_yield_own_history() -> Expr:
    """Earnings yield less its own mean of a year: cheap against itself rather than against others.  (Asness et al. 2000)"""
    earnings = 1 / column("pe_ttm")
    return earnings - ts_mean(earnings, YEAR)
