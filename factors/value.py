"""Value: what a share earns, owns and pays for its price."""

from factors.compounds import YEAR, in_industry, positive
from factors.expressions import Expr, column
from factors.operators import cs_rank, cs_residual, delay, log, total_cap, ts_mean, ts_sum
from factors.registry import factor


def _earnings() -> Expr:
    return 1 / column("pe_ttm")


def _book() -> Expr:
    return 1 / column("pb")


def _sales() -> Expr:
    return 1 / column("ps_ttm")


def _enterprise() -> Expr:
    """What the whole firm costs: shares and debt less cash; minority interests aren't known."""
    return positive(total_cap() + column("debt") - column("cash"))


def _over_cap(x: Expr) -> Expr:
    """X over the market value of all shares."""
    return x / total_cap()


@factor("value")
def earnings_yield() -> Expr:
    """Earnings of the last four quarters over price, 1 / PE.

    Losses are negative, so that the order of stocks is whole.  Cheap stocks are those whose growth was overrated.  High earns more.  (Basu 1977)
    """
    return _earnings()


@factor("value")
def book_to_price() -> Expr:
    """Book equity of the latest report over price, 1 / PB.

    Distress, or growth paid too dearly on the other side.  High earns more.  (Fama and French 1992)
    """
    return _book()


@factor("value")
def sales_yield() -> Expr:
    """Revenue of the last four quarters over price, 1 / PS.

    Sales are harder to dress than earnings and never negative.  High earns more.  (Barbee, Mukherji and Raines 1996)
    """
    return _sales()


@factor("value")
def cash_flow_yield() -> Expr:
    """Operating or net cash flow of the last four quarters over price, 1 / PCF, as the vendor defines it.

    Cash is no matter of accounting policy.  High earns more.  (Lakonishok, Shleifer and Vishny 1994)
    """
    return 1 / column("pcf_ttm")


@factor("value")
def dividend_yield() -> Expr:
    """Cash dividends whose ex-date fell into the last year, each over the price before it, summed.

    Cash and price are both as traded on the day, so no later split enters.  0 where nothing was paid.  A payout is a promise that
    costs its maker, and is taxed.  High earns more.  (Litzenberger and Ramaswamy 1979)
    """
    return ts_sum(column("cash_dividend") / delay(column("raw_close"), 1), YEAR)


@factor("value")
def earnings_yield_quarter() -> Expr:
    """Earnings of the newest quarter alone, times four, over market value.

    The freshest measure of value, and the one that explains Chinese returns best; seasons stay in it.  High earns more.
    (Liu, Stambaugh and Yuan 2019)
    """
    return _over_cap(4 * column("net_profit_quarter"))


@factor("value")
def operating_cash_yield() -> Expr:
    """Cash from operations of the last four quarters over market value.

    It takes value and low accruals in one: earnings that came as cash.  High earns more.  (Desai, Rajgopal and Venkatachalam 2004)
    """
    return _over_cap(column("operating_cash_flow_ttm"))


@factor("value")
def gross_profit_to_enterprise() -> Expr:
    """Gross profit of the last four quarters over enterprise value: shares at market plus debt less cash.

    The whole firm's price and its profit before anyone's choices of financing and overhead, after the enterprise multiple.  High earns more.
    (Loughran and Wellman 2011)
    """
    return column("gross_profit_ttm") / _enterprise()


@factor("value")
def sales_to_enterprise() -> Expr:
    """Revenue of the last four quarters over enterprise value.

    Unlike the sales yield it doesn't call a firm cheap because it owes much.  High earns more.  (Damodaran 2002)
    """
    return column("revenue_ttm") / _enterprise()


@factor("value")
def cash_flow_to_enterprise() -> Expr:
    """Cash from operations of the last four quarters over enterprise value.

    What a buyer of the whole firm gets in cash for the price.  High earns more.  (Gray and Vogel 2012)
    """
    return column("operating_cash_flow_ttm") / _enterprise()


@factor("value")
def earnings_yield_own_history() -> Expr:
    """Earnings yield less its own mean of a year.

    Cheap against itself rather than against others, whose accounts may differ for good.  High earns more.
    (Asness, Friedman, Krail and Liew 2000)
    """
    return _earnings() - ts_mean(_earnings(), YEAR)


@factor("value")
def book_to_price_own_history() -> Expr:
    """Book to price over its own mean of a year, less 1.

    Changes of book to price split into price and book say more than its level, most by price.  High earns more.  (Fama and French 2008)
    """
    return _book() / ts_mean(_book(), YEAR) - 1


@factor("value")
def earnings_yield_in_industry() -> Expr:
    """Earnings yield less the mean of the industry.

    Industries differ in what a unit of earnings is worth; within them the yield foretells better.  High earns more.
    (Asness, Porter and Stevens 2000)
    """
    return in_industry(_earnings())


@factor("value")
def book_to_price_in_industry() -> Expr:
    """Logarithm of book to price less the mean of the industry.

    The part of book to price that industries explain earns nothing.  High earns more.  (Cohen and Polk 1998)
    """
    return in_industry(log(_book()))


@factor("value")
def book_given_profitability() -> Expr:
    """What return on equity doesn't explain of log book to price, across the stocks of the session.

    A low price for a book that earns much is a bargain, for one that earns nothing it is fair.  High earns more.  (Wilcox 1984)
    """
    return cs_residual(log(_book()), column("pb") / column("pe_ttm"))


@factor("value")
def value_composite() -> Expr:
    """Mean of the session's ranks by earnings, book, sales and cash-flow yield.

    One measure's noise is averaged out by the others.  High earns more.  (Israel and Moskowitz 2013)
    """
    return (cs_rank(_earnings()) + cs_rank(_book()) + cs_rank(_sales()) + cs_rank(1 / column("pcf_ttm"))) / 4


@factor("value")
def cheap_and_good() -> Expr:
    """Rank by earnings yield plus rank by return on equity: good companies at good prices.

    Value alone buys the bad, quality alone the dear.  The magic formula, with equity for capital.  High earns more.  (Greenblatt 2005)
    """
    return cs_rank(_earnings()) + cs_rank(column("pb") / column("pe_ttm"))
