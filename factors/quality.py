"""Quality: how much a company earns on what it has, how much of it is cash, how steady it is, and how honestly and promptly it says so.

Every figure is as known at the close: four quarters out of cumulative reports, at their newest revision that day (factors/statements.py).
"""

from factors.compounds import YEAR, in_industry, over_assets, positive
from factors.expressions import Expr, column
from factors.operators import cs_rank, delay, ts_sum
from factors.registry import factor

revenue, profit, cash_flow, gross = (column(f"{item}_ttm") for item in ("revenue", "net_profit", "operating_cash_flow", "gross_profit"))
assets_before = column("total_assets_before")


def _before(item: str) -> Expr:
    """Four quarters up to a year ago over the total assets of then."""
    return column(f"{item}_ttm_before") / positive(assets_before)


def _accruals() -> Expr:
    return over_assets(profit - cash_flow)


def _return_on_equity() -> Expr:
    """Profit of the last four quarters over mean equity of now and a year before."""
    return column("net_profit_ttm") / positive((column("equity") + column("equity_before")) / 2)


@factor("quality")
def roe() -> Expr:
    """Profit of four quarters over mean equity of now and a year before.

    What a company earns on its owners' money lasts longer than prices believe.  Null without equity.  High earns more.  (Haugen and Baker 1996)
    """
    return _return_on_equity()


@factor("quality")
def roe_quarter() -> Expr:
    """Profit of the newest quarter over equity: profitability as fresh as it gets.  High earns more.  (Hou, Xue and Zhang 2015)"""
    return column("net_profit_quarter") / positive(column("equity"))


@factor("quality")
def roe_change() -> Expr:
    """Return on equity less that of a year before, on the equity of then.

    Improvement is taken in more slowly than level.  High earns more.  (Abarbanell and Bushee 1998)
    """
    return profit / positive(column("equity")) - column("net_profit_ttm_before") / positive(column("equity_before"))


@factor("quality")
def roe_in_industry() -> Expr:
    """Return on equity less the mean of the industry: better than those who sell the same.  High earns more.  (Asness, Porter and Stevens 2000)"""
    return in_industry(_return_on_equity())


@factor("quality")
def return_on_assets() -> Expr:
    """Profit of four quarters over total assets: what a company earns, however it is financed.  High earns more.  (Balakrishnan et al. 2010)"""
    return over_assets(profit)


@factor("quality")
def gross_profitability() -> Expr:
    """Gross profit of four quarters over total assets.

    The cleanest measure of what a business earns, before the costs of growing it.  High earns more.  (Novy-Marx 2013)
    """
    return over_assets(gross)


@factor("quality")
def cash_return_on_assets() -> Expr:
    """Cash from operations of four quarters over total assets: profitability without accruals.  High earns more.  (Ball et al. 2016)"""
    return over_assets(cash_flow)


@factor("quality")
def gross_margin() -> Expr:
    """Gross profit over revenue, four quarters: the power to set a price.  High earns more.  (Asness, Frazzini and Pedersen 2019)"""
    return gross / positive(revenue)


@factor("quality")
def gross_margin_change() -> Expr:
    """Gross margin less that of the four quarters a year before: pricing that firms up.  High earns more.  (Lev and Thiagarajan 1993)"""
    return gross / positive(revenue) - column("gross_profit_ttm_before") / positive(column("revenue_ttm_before"))


@factor("quality")
def net_margin() -> Expr:
    """Profit over revenue, four quarters: half of what makes a return, in the split of DuPont.  High earns more.  (Soliman 2008)"""
    return profit / positive(revenue)


@factor("quality")
def asset_turnover() -> Expr:
    """Revenue of four quarters over total assets: the other half, which rivals copy less easily.  High earns more.  (Soliman 2008)"""
    return over_assets(revenue)


@factor("quality")
def asset_turnover_change() -> Expr:
    """Asset turnover less that of a year before: assets put to better use, which earnings show only later.  High earns more.  (Soliman 2008)"""
    return over_assets(revenue) - _before("revenue")


@factor("quality")
def accruals() -> Expr:
    """Profit less cash from operations over total assets, four quarters.

    Earnings that aren't cash come back as losses, and prices take them for the same.  High earns less.  (Sloan 1996; Hribar and Collins 2002)
    """
    return _accruals()


@factor("quality")
def cash_conversion() -> Expr:
    """Cash from operations over profit, four quarters; null for a loss.

    How much of what is claimed was paid.  High earns more.  (Dechow 1994)
    """
    return cash_flow / positive(profit)


@factor("quality")
def earnings_stability() -> Expr:
    """Minus the deviation of the quarterly profit's changes over a year, over total assets.

    Steady earnings are believed too little, and rarely hide losses.  High earns more.  (Asness, Frazzini and Pedersen 2019)
    """
    return -over_assets(column("net_profit_deviation"))


@factor("quality")
def sales_stability() -> Expr:
    """Minus the deviation of the quarterly revenue's changes over a year, over the revenue of four quarters: demand that can be counted on.

    High earns more.  (after Asness, Frazzini and Pedersen 2019)
    """
    return -column("revenue_deviation") / positive(revenue)


@factor("quality")
def cash_flow_stability() -> Expr:
    """Minus the deviation of the quarterly cash flow's changes over a year, over total assets.  High earns more.  (Huang 2009)"""
    return -over_assets(column("operating_cash_flow_deviation"))


@factor("quality")
def loss_share() -> Expr:
    """Share of the last 8 quarters that lost: losses recur, and two years of them put a stock under special treatment.

    High earns less.  (after Joos and Plesko 2005)
    """
    return column("net_profit_loss_share")


@factor("quality")
def debt_to_assets() -> Expr:
    """Debt that bears interest over total assets: distress isn't paid for.  High earns less.  (Campbell, Hilscher and Szilagyi 2008)"""
    return over_assets(column("debt"))


@factor("quality")
def cash_to_assets() -> Expr:
    """Monetary funds over total assets: who holds cash foresees a need, and risk, for it.  High earns more.  (Palazzo 2012)"""
    return over_assets(column("cash"))


@factor("quality")
def payout() -> Expr:
    """Dividends of the last year over earnings of the last four quarters, both a share of the price.  0 where nothing was paid, null for a loss.

    Who pays has the cash, and little left to waste.  High earns more.  (Arnott and Asness 2003)
    """
    return ts_sum(column("cash_dividend") / delay(column("raw_close"), 1), YEAR) * positive(column("pe_ttm"))


@factor("quality")
def revisions() -> Expr:
    """How many of the last 8 quarters were restated: accounts that couldn't be trusted once.  High earns less.  (Palmrose et al. 2004)"""
    return column("report_revisions")


@factor("quality")
def lateness() -> Expr:
    """Days that the newest report took longer than the same one a year before: bad news is late.  High earns less.  (Chambers and Penman 1984)"""
    return column("report_lateness")


@factor("quality")
def financial_strength() -> Expr:
    """How many of seven signs are good: profit, cash flow, cash above profit; return, margin and turnover up, debt down over a year.

    Simple history tells the winners among the cheap.  Of Piotroski's nine, liquidity and new shares are missing.  High earns more.
    (Piotroski 2000)
    """
    return (
        (profit > 0)
        + (cash_flow > 0)
        + (cash_flow > profit)
        + (over_assets(profit) > _before("net_profit"))
        + (gross / positive(revenue) > column("gross_profit_ttm_before") / positive(column("revenue_ttm_before")))
        + (over_assets(revenue) > _before("revenue"))
        + (over_assets(column("debt")) < column("debt_before") / positive(assets_before))
    )


@factor("quality")
def quality_composite() -> Expr:
    """Mean of the session's ranks by gross profitability, return on equity, cash over accruals, and steadiness of earnings.

    Profitable, safe and honest, one by one, and together more.  High earns more.  (Asness, Frazzini and Pedersen 2019)
    """
    parts = (over_assets(gross), _return_on_equity(), -_accruals(), -over_assets(column("net_profit_deviation")))
    return (cs_rank(parts[0]) + cs_rank(parts[1]) + cs_rank(parts[2]) + cs_rank(parts[3])) / 4
