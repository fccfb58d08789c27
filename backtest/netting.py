"""The account's P&L split among the sleeves that share it, to the cent.

Sleeves own whole shares that add up to the account's.  What one wants to sell and another to buy crosses inside, at the session's
deal price and without cost; what the account filled goes to the sleeves on that side by what they still wanted; costs are shared by
traded value.  Tax on dividends, charged or accrued, goes by the dividends that each has had.  Whole numbers are divided by the
rounded running sum, so that parts always add up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtest.costs import BUY, SELL
from backtest.fills import BONUS, DELISTED, DIVIDEND
from backtest.market import Deal, Market
from backtest.result import COSTS, Result
from data.panel import Floats

# D sessions, N stocks, S sleeves
Cents = NDArray[np.int64]


class Order(NamedTuple):
    """What the account filled of one stock in a session; money in cents."""

    side: int
    shares: int
    amount: int
    cost: int


NOTHING = Order(BUY, 0, 0, 0)


@dataclass(frozen=True)
class Netted:
    """pnl sums over the sleeves to the account's daily P&L, costs inside it.  crossed is the value that met inside, counted once."""

    names: tuple[str, ...]
    pnl_cents_SD: Cents
    costs_cents_SD: Cents
    crossed_cents_D: Cents
    shares_SN: Cents  # owned at the last close


def netted(result: Result, names: tuple[str, ...], targets: Mapping[int, Floats], market: Market, *, deal: Deal = "open") -> Netted:
    """Split the account of a stack.  targets: what each sleeve wanted by evening, `Stack.targets_SN`; deal: the account's."""
    days, count = len(result.dates), len(names)
    pnl_SD, costs_SD, crossed_D = np.zeros((count, days), np.int64), np.zeros((count, days), np.int64), np.zeros(days, np.int64)
    own_SN = np.zeros((count, len(result.symbols)), np.int64)
    worth_S, had_S = np.zeros(count, np.int64), np.zeros(count, np.int64)
    owed_D = np.diff(result.owed_cents_D, prepend=0)
    first, deal_DN = market.axes.index(result.dates[0]), market.deal_DN(deal)
    starts = np.searchsorted(result.ledger["session"], np.arange(days + 1))
    for s in range(days):
        rows, d = result.ledger[starts[s] : starts[s + 1]], first + s
        flow_S = _rights(rows, own_SN, had_S)
        wanted = targets.get(d - 1)
        equity = int(result.nav_cents_D[s - 1]) if s else result.capital
        want_SN = own_SN if wanted is None else whole_shares(wanted, equity, market.last_DN[d - 1])
        price_N = np.where(market.trading_DN[d] & (deal_DN[d] > 0), deal_DN[d], np.nan)
        for n, order in _orders(rows, want_SN, own_SN, price_N).items():
            part = share((want_SN[:, n] - own_SN[:, n]).tolist(), own_SN[:, n].tolist(), order, float(price_N[n]))
            own_SN[:, n] += part.moved_S
            flow_S += part.flow_S
            costs_SD[:, s] += part.cost_S
            crossed_D[s] += part.crossed
        tax_S = np.array(divide(int(rows["dividend_tax"].sum() + owed_D[s]), had_S.tolist()), dtype=np.int64)
        costs_SD[:, s] += tax_S
        flow_S -= tax_S
        now_S = _worth(own_SN, result.price_DN[s])
        pnl_SD[:, s] = now_S - worth_S + flow_S
        worth_S = now_S
    return Netted(names, pnl_SD, costs_SD, crossed_D, own_SN)


def whole_shares(target_SN: Floats, equity: int, price_N: Floats) -> Cents:
    """The shares that each sleeve wanted of an equity in cents; none of a stock without a price."""
    shares_SN = target_SN * equity / np.where(price_N > 0, price_N * 100, np.inf)
    return np.asarray(np.floor(np.nan_to_num(shares_SN) + 1e-9).astype(np.int64))


def divide(total: int, weights: Sequence[int]) -> list[int]:
    """A whole number divided by whole weights: differences of the running sum, rounded down; all zero where the weights are.

    No part exceeds its weight where the total doesn't exceed the weights' sum.
    """
    whole, running, before, parts = sum(weights), 0, 0, []
    for weight in weights:
        running += weight
        rounded = total * running // whole if whole else 0
        parts.append(rounded - before)
        before = rounded
    return parts


class Share(NamedTuple):
    """What one stock's session means to each sleeve: shares moved, cents received less paid, costs; and the cents that met inside."""

    moved_S: list[int]
    flow_S: list[int]
    cost_S: list[int]
    crossed: int


def share(gaps: Sequence[int], owned: Sequence[int], order: Order, price: float) -> Share:
    """Give the sleeves their parts of an order, and cross what they wish against each other at the price.

    gaps: shares that each still wishes, negative to sell.  What was filled beyond the wishes (lots, and positions that the account's
    band left alone) is shared by holding.
    """
    buys, sells = [max(gap, 0) for gap in gaps], [max(-gap, 0) for gap in gaps]
    crossed = min(sum(buys), sum(sells))
    buying, selling = order.side == BUY, order.side == SELL
    wished = min(order.shares, sum(buys if buying else sells) - crossed)
    bought = divide(crossed + (wished if buying else 0), buys)
    sold = divide(crossed + (wished if selling else 0), sells)
    after = [own + more - less for own, more, less in zip(owned, bought, sold, strict=True)]
    beyond = divide(order.shares - wished, after if any(after) else [1] * len(after))
    bought = [x + extra for x, extra in zip(bought, beyond, strict=True)] if buying else bought
    sold = [x + extra for x, extra in zip(sold, beyond, strict=True)] if selling else sold
    inside = int(np.floor(crossed * price * 100 + 0.5)) if crossed else 0
    paid, got = divide(inside + (order.amount if buying else 0), bought), divide(inside + (order.amount if selling else 0), sold)
    costs = divide(order.cost, bought if buying else sold)
    moved = [more - less for more, less in zip(bought, sold, strict=True)]
    return Share(moved, [plus - minus - cost for plus, minus, cost in zip(got, paid, costs, strict=True)], costs, inside)


def _orders(rows: NDArray[np.void], want_SN: Cents, own_SN: Cents, price_N: Floats) -> dict[int, Order]:
    """The session's filled orders by stock, and empty ones where sleeves' wishes meet without."""
    names = ("stock", "side", "shares", "amount", *(name for name in COSTS if name != "dividend_tax"))
    filled = zip(*(rows[name][(rows["side"] <= BUY) & (rows["shares"] > 0)].tolist() for name in names), strict=True)
    orders = {stock: Order(side, shares, amount, sum(costs)) for stock, side, shares, amount, *costs in filled}
    gap_SN = want_SN - own_SN
    meets_N = (gap_SN > 0).any(axis=0) & (gap_SN < 0).any(axis=0) & np.isfinite(price_N)
    return dict.fromkeys(np.flatnonzero(meets_N).tolist(), NOTHING) | orders


def _rights(rows: NDArray[np.void], own_SN: Cents, had_S: Cents) -> Cents:
    """Credit dividends, new shares and delistings to their owners, and dividends to had_S; return the cents received [S]."""
    flow_S = np.zeros(len(own_SN), np.int64)
    for row in rows[rows["side"] > BUY]:
        owned = own_SN[:, row["stock"]].tolist()
        flow_S += divide(int(row["amount"]), owned)
        had_S += divide(int(row["amount"]) if row["side"] == DIVIDEND else 0, owned)
        if row["side"] == BONUS:
            own_SN[:, row["stock"]] += divide(int(row["shares"]), owned)
        elif row["side"] == DELISTED:
            own_SN[:, row["stock"]] = 0
    return flow_S


def _worth(own_SN: Cents, price_N: Floats) -> Cents:
    """The value of each sleeve's shares [S], in cents that add up to the account's."""
    running_SN = np.cumsum(own_SN, axis=0)
    value_S: Cents = np.where(running_SN > 0, np.floor(running_SN * np.nan_to_num(price_N) * 100 + 0.5), 0.0).astype(np.int64).sum(axis=1)
    return value_S - np.concatenate([np.zeros(1, np.int64), value_S[:-1]])
