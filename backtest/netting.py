"""The account's P&L split among the sleeves that share it, to the cent.

Sleeves own whole shares that add up to the account's.  What one wants to sell and another to buy crosses inside, at the session's
deal price and without cost; what the account filled goes to the sleeves on that side by what they still wanted; costs are shared by
traded value.  Whole numbers are divided by the rounded running sum, so that parts always add up.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backtest.costs import BUY
from backtest.fills import BONUS, DELISTED, DIVIDEND
from backtest.market import Deal, Market
from backtest.result import COSTS, Result
from data.panel import Floats

# D sessions, N stocks, S sleeves
Cents = NDArray[np.int64]


@dataclass(frozen=True)
class Netted:
    """pnl_SD sums over the sleeves to the account's daily P&L; costs are inside it.  crossed_D is the value that met inside (one side)."""

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
    worth_S = np.zeros(count, np.int64)
    first = market.axes.index(result.dates[0])
    deal_DN = market.deal_DN(deal)
    starts = np.searchsorted(result.ledger["session"], np.arange(days + 1))
    for s in range(days):
        rows, d = result.ledger[starts[s] : starts[s + 1]], first + s
        flow_S = _rights(rows, own_SN)
        equity = int(result.nav_cents_D[s - 1]) if s else result.capital
        price_N = np.where(market.trading_DN[d] & (deal_DN[d] > 0), deal_DN[d], np.nan)
        want_SN = _wanted(targets.get(d - 1), equity, market.last_DN[d - 1])
        for n, row in _orders(rows, want_SN, own_SN, price_N):
            moved_S, paid_S, cost_S, crossed = _order(row, own_SN[:, n], None if want_SN is None else want_SN[:, n], float(price_N[n]))
            own_SN[:, n] += moved_S
            flow_S -= paid_S + cost_S
            costs_SD[:, s] += cost_S
            crossed_D[s] += crossed
        now_S = _worth(own_SN, result.price_DN[s])
        pnl_SD[:, s] = now_S - worth_S + flow_S
        worth_S = now_S
    return Netted(names, pnl_SD, costs_SD, crossed_D, own_SN)


def divided(total: int, weight_S: Cents) -> Cents:
    """A whole number divided by whole weights: differences of the running sum, rounded down; all zero where the weights are."""
    running = [int(weight) for weight in np.cumsum(weight_S)]
    if not running[-1]:
        return np.zeros(len(weight_S), np.int64)
    rounded = np.array([total * part // running[-1] for part in running], dtype=np.int64)
    return rounded - np.concatenate([np.zeros(1, np.int64), rounded[:-1]])


def _orders(rows: NDArray[np.void], want_SN: Cents | None, own_SN: Cents, price_N: Floats) -> list[tuple[int, np.void | None]]:
    """(stock, its ledger row) of each order, and (stock, None) where sleeves cross without one."""
    traded = {int(row["stock"]): row for row in rows if row["side"] <= BUY and row["shares"] > 0}
    if want_SN is None:
        return list(traded.items())
    gap_SN = want_SN - own_SN
    meets_N = (gap_SN > 0).any(axis=0) & (gap_SN < 0).any(axis=0) & np.isfinite(price_N)
    return [*traded.items(), *((int(n), None) for n in np.flatnonzero(meets_N) if int(n) not in traded)]


def _order(row: np.void | None, own_S: Cents, want_S: Cents | None, price: float) -> tuple[Cents, Cents, Cents, int]:
    """(shares moved [S], cents paid less received [S], costs [S], cents crossed) of one stock in one session."""
    gap_S = np.zeros_like(own_S) if want_S is None else want_S - own_S
    side = 0 if row is None else (1 if row["side"] == BUY else -1)
    filled = 0 if row is None else int(row["shares"])
    buys_S, sells_S = np.maximum(gap_S, 0), np.maximum(-gap_S, 0)
    crossed = int(min(buys_S.sum(), sells_S.sum()))
    more_S = buys_S if side > 0 else sells_S
    from_gap = min(filled, max(int(more_S.sum()) - crossed, 0))
    bought_S = divided(crossed + (from_gap if side > 0 else 0), buys_S)
    sold_S = divided(crossed + (from_gap if side < 0 else 0), sells_S)
    beyond = filled - from_gap  # lots, and positions that the account's band left alone, fill more than was wanted
    left_S = own_S + bought_S - sold_S
    extra_S = divided(beyond, left_S if left_S.any() else np.ones_like(left_S)) if beyond else np.zeros_like(left_S)
    ours_S = (bought_S if side > 0 else sold_S) + extra_S
    inside = int(np.floor(crossed * price * 100 + 0.5)) if crossed else 0
    amount = 0 if row is None else int(row["amount"])
    paid_S = divided(inside + (amount if side > 0 else 0), bought_S + (extra_S if side > 0 else 0))
    got_S = divided(inside + (amount if side < 0 else 0), sold_S + (extra_S if side < 0 else 0))
    cost_S = divided(0 if row is None else sum(int(row[name]) for name in COSTS), ours_S)
    return bought_S - sold_S + side * extra_S, paid_S - got_S, cost_S, inside


def _wanted(target_SN: Floats | None, equity: int, price_N: Floats) -> Cents | None:
    """Whole shares that each sleeve wanted; none of a stock without a price."""
    if target_SN is None:
        return None
    shares_SN = target_SN * equity / np.where(price_N > 0, price_N * 100, np.inf)
    return np.asarray(np.floor(np.nan_to_num(shares_SN) + 1e-9).astype(np.int64))


def _rights(rows: NDArray[np.void], own_SN: Cents) -> Cents:
    """Credit dividends, new shares and delistings to their owners; return the cents received [S]."""
    flow_S = np.zeros(len(own_SN), np.int64)
    for row in rows[rows["side"] > BUY]:
        n = int(row["stock"])
        if row["side"] in (DIVIDEND, DELISTED):
            flow_S += divided(int(row["amount"]), own_SN[:, n])
        if row["side"] == BONUS:
            own_SN[:, n] += divided(int(row["shares"]), own_SN[:, n])
        elif row["side"] == DELISTED:
            own_SN[:, n] = 0
    return flow_S


def _worth(own_SN: Cents, price_N: Floats) -> Cents:
    """The value of each sleeve's shares [S], in cents that add up to the account's."""
    running_SN = np.cumsum(own_SN, axis=0)
    value_SN = np.where(running_SN > 0, np.floor(running_SN * np.nan_to_num(price_N) * 100 + 0.5), 0.0).astype(np.int64)
    value_S: Cents = value_SN.sum(axis=1)
    return value_S - np.concatenate([np.zeros(1, np.int64), value_S[:-1]])
