"""A blotter: orders that were written the evening before, by whomever, become an account under the rules of the session that trades them."""

from collections.abc import Mapping
from datetime import date

import numpy as np
import polars as pl

from backtest.choices import Plan
from backtest.costs import BUY, SELL, CostSettings
from backtest.fills import FILLED, REASONS
from backtest.market import Market
from backtest.result import Result
from backtest.simulation import Course, SimulationSettings, span
from backtest.strategies import Targets
from data.errors import KestrelError
from data.rules import Rules, exchange_rules

# N stocks


def trade_orders(
    orders: Mapping[date, pl.DataFrame],
    market: Market,
    *,
    costs: CostSettings,
    settings: SimulationSettings | None = None,
    start: date | None = None,
    end: date | None = None,
    rules: Rules | None = None,
) -> Result:
    """Trade the orders of each session in start..end (all of the panel by default) and account for every cent.

    orders: by the session that trades them, the columns symbol, side, shares and reason of `orders.ORDERS`, in the order in which
    they are placed.  A session without orders trades nothing; rights and delistings happen in every one.  What the simulation
    decides by itself and what `next_orders` wrote down the evening before come to the same cent, as long as its orders are sized at
    the reference price.
    Raises KestrelError where prices aren't as traded, for orders of a session outside, and for a stock that the market doesn't have.
    """
    settings, rules = settings or SimulationSettings(), rules or exchange_rules()
    if market.price_basis != "raw":
        raise KestrelError("Orders count shares as traded, and these prices are adjusted: an account of orders needs a lake of raw prices.")
    first, last = span(market.axes.shape, market, start, end)
    days = market.axes.dates[first:last]
    strange = sorted(set(orders) - set(days))
    if strange:
        raise KestrelError(f"There are orders for {strange[0]}, which is no session of the account ({days[0]} to {days[-1]}).")
    unused_DN = np.full((len(days), market.axes.shape[1]), np.nan)
    course = Course.of(unused_DN, np.zeros(len(days), np.bool_), market, first, Targets(), costs, settings, rules)
    place = {name: n for n, name in enumerate(market.axes.symbols)}
    for s, day in enumerate(days):
        _plan(course.plan, orders.get(day), place, day)
        course.follow(s)
    return course.result(market, first, Targets(), costs, settings)


def _plan(plan: Plan, orders: pl.DataFrame | None, place: Mapping[str, int], day: date) -> None:
    """Write the orders of a session into the plan."""
    plan.count_2[:] = 0
    for symbol, side, shares, reason in orders.select("symbol", "side", "shares", "reason").iter_rows() if orders is not None else ():
        if symbol not in place:
            raise KestrelError(f"An order for {day} names {symbol}, which has no bars. Fetch them, or take the order out.")
        if side == "sell":
            i = int(plan.count_2[SELL])
            plan.sells_N[i], plan.sell_shares_N[i] = place[symbol], shares
            plan.count_2[SELL] += 1
        else:
            i = int(plan.count_2[BUY])
            plan.buys_N[i], plan.buy_shares_N[i] = place[symbol], shares
            plan.buy_reason_N[i] = REASONS.index(reason) if reason in REASONS else FILLED
            plan.count_2[BUY] += 1
