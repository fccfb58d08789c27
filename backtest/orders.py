"""The orders of the next session, by the same decisions that the simulation makes, in shares and prices as traded."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.choices import QUEUES, Plan, blank_plan, decide
from backtest.costs import BUY, SELL, CostSettings, rates
from backtest.fills import REASONS, Book
from backtest.market import Market
from backtest.quotes import Tape
from backtest.simulation import largest_DB, lots_DB
from backtest.strategies import Targets, TopkBuffer, TopkDropout, due, policy
from backtest.targets import refuse_weights
from data.errors import KestrelError
from data.limits import limit_cents, limit_ratios
from data.panel import Floats
from data.rules import Rules, exchange_rules
from data.symbols import BOARDS

# N stocks
ORDERS = {
    "priority": pl.Int64,  # order of placement: sells first, then buys, best name first
    "symbol": pl.String,
    "side": pl.String,
    "shares": pl.Int64,  # 0: left out, see reason
    "reference_price": pl.Float64,
    "limit_up": pl.Float64,
    "limit_down": pl.Float64,
    "pieces": pl.Int64,  # orders that the exchange's largest order size makes of it
    "reason": pl.String,
}


def next_orders(
    score_N: Floats,
    positions: Mapping[str, int],
    cash: float,
    market: Market,
    *,
    session: date,
    strategy: TopkDropout | TopkBuffer | Targets,
    costs: CostSettings,
    session_number: int | None = None,
    dividends: pl.DataFrame | None = None,
    leaving: Sequence[str] = (),
    worth: float = 1.0,
    buys: Literal["score", "symbol", "largest", "pro_rata"] = "score",
    rules: Rules | None = None,
) -> pl.DataFrame:
    """Orders for `session`, the one after the market's last: columns ORDERS, sorted by priority.

    score_N [N]: scores of the market's last session, or with a strategy of targets the weights of equity that are wanted, NaN to leave
    the book alone.  positions: shares held by symbol at its close; cash: CNY.  Rights whose ex-date is `session` are credited first, as
    the exchange does before the open, and stocks that are `leaving` it by then are cash at `worth` of their last close.
    session_number (of the calendar) tells a strategy that rebalances every n sessions whether it is due; without it, it is.
    buys: as in SimulationSettings, who gets the cash first.
    reason: null for a plain order; 'suspended' beside shares: it was suspended at the last close, send it if trading resumes;
    with 0 shares, why a name the strategy wants is left out.  Limits are estimates: the exchange publishes its own in the morning.
    Raises KestrelError for positions that aren't on the market's axes, negative shares or cash, or a session not after the last.
    """
    rules = rules or exchange_rules()
    _check(score_N, positions, cash, market, session)
    price_N, book = opening(positions, cash, market, session, dividends, leaving, worth)
    plan = blank_plan(len(price_N))
    days = np.array([session], dtype="datetime64[D]")
    if isinstance(strategy, Targets):
        looked = not bool(np.isnan(score_N).all())
        if looked:
            refuse_weights(score_N[None], [market.axes.dates[-1]])
    else:
        looked = session_number is None or not book.shares_N.any() or bool(due(strategy, np.array([session_number]))[0])
    if looked:
        score = np.ascontiguousarray(score_N, dtype=np.float64)
        tape = _evening(market, price_N, days, rules)
        decide(policy(strategy), score, book, price_N, plan, tape, rates(costs, days, rules), QUEUES.index(buys))
    return _frame(plan, price_N, market, session, rules)


def opening(
    positions: Mapping[str, int],
    cash: float,
    market: Market,
    session: date,
    dividends: pl.DataFrame | None = None,
    leaving: Sequence[str] = (),
    worth: float = 1.0,
) -> tuple[Floats, Book]:
    """(reference prices [N], the book) before the open of `session`, the one after the market's last: rights credited, what leaves is cash.

    Raises KestrelError for a holding without a price.
    """
    rights = _rights(market, dividends, session)
    price_N, shares_N = reference_prices(market, *rights), _shares(positions, market)
    unpriced = [name for name, price in zip(market.axes.symbols, price_N, strict=True) if positions.get(name, 0) and not price > 0]
    if unpriced:
        raise KestrelError(f"{unpriced[0]} is held but has no price up to {market.axes.dates[-1]}. Start the market earlier.")
    amount = round(cash * 100) + int(np.floor(shares_N * rights[0] * 100 + 0.5).sum())
    shares_N = shares_N + np.floor(shares_N * rights[1] + 1e-9).astype(np.int64)
    gone_N = np.isin(market.axes.symbols, list(leaving)) & (shares_N > 0)
    amount += int(np.floor(shares_N[gone_N] * price_N[gone_N] * worth * 100 + 0.5).sum())
    shares_N[gone_N] = 0
    return price_N, Book(np.array([amount]), shares_N, np.zeros_like(shares_N))


def reference_prices(market: Market, cash_N: Floats, ratio_N: Floats) -> Floats:
    """The price as traded that tomorrow's limits are measured from, CNY [N]: the last close less the rights, half-up to the cent."""
    traded = market.last_DN[-1] * market.scale_DN[-1]
    return np.asarray(np.floor((traded - cash_N) / (1 + ratio_N) * 100 + 0.5 + 1e-6) / 100)


def estimated_limits(market: Market, price_N: Floats, session: date, rules: Rules) -> tuple[Floats, Floats]:
    """(limit_up, limit_down) of `session` in CNY, [N] each; NaN where there is none or no price."""
    count = len(market.axes.symbols)
    today = pl.DataFrame({"date": [session] * count, "symbol": market.axes.symbols, "is_st": market.st_DN[-1]})
    age = pl.Series([len(market.axes.dates) - int(listed) if listed >= 0 else None for listed in market.listed_N], dtype=pl.Int64)
    up_ratio, down_ratio = limit_ratios(today, age, rules)
    known = np.isfinite(price_N) & np.isfinite(up_ratio) & np.isfinite(down_ratio)
    cents = np.rint(np.where(known, price_N, 1.0) * 100).astype(np.int64)
    up, _ = limit_cents(cents, np.where(known, up_ratio, 0.0))
    _, down = limit_cents(cents, np.where(known, down_ratio, 0.0))
    return np.where(known, up / 100, np.nan), np.where(known, down / 100, np.nan)


def _check(score_N: Floats, positions: Mapping[str, int], cash: float, market: Market, session: date) -> None:
    if score_N.shape != (market.axes.shape[1],):
        raise KestrelError(f"scores have the shape {score_N.shape}, the market {market.axes.shape[1]} stocks. Give one score a stock of its axes.")
    strange = sorted(set(positions) - set(market.axes.symbols))
    if strange:
        found = f"positions name {len(strange)} stocks the market doesn't have (first: {strange[0]})"
        raise KestrelError(f"{found}. Spell them 600000.SH, and take the held stocks into the market.")
    short = sorted(name for name, shares in positions.items() if shares < 0)
    if short or cash < 0:
        found = f"{short[0]} is held short" if short else f"cash is {cash}"
        raise KestrelError(f"{found}: an account without credit can't be there. Mend the positions.")
    if session <= market.axes.dates[-1]:
        raise KestrelError(f"The next session is {session}, but the market already knows {market.axes.dates[-1]}. Give the session after it.")


def _rights(market: Market, dividends: pl.DataFrame | None, session: date) -> tuple[Floats, Floats]:
    """(cash_N, ratio_N) a share with ex-date after the last close, up to `session`."""
    cash_N, ratio_N = np.zeros(market.axes.shape[1]), np.zeros(market.axes.shape[1])
    if dividends is None:
        return cash_N, ratio_N
    place = {name: n for n, name in enumerate(market.axes.symbols)}
    due_now = dividends.filter((pl.col("ex_date") > market.axes.dates[-1]) & (pl.col("ex_date") <= session))
    for row in due_now.sort("symbol", "ex_date").iter_rows(named=True):
        if row["symbol"] in place:
            cash_N[place[row["symbol"]]] += row["cash"] or 0.0
            ratio_N[place[row["symbol"]]] += (row["bonus"] or 0.0) + (row["transfer"] or 0.0)
    return cash_N, ratio_N


def _shares(positions: Mapping[str, int], market: Market) -> NDArray[np.int64]:
    return np.array([positions.get(name, 0) for name in market.axes.symbols], dtype=np.int64)


def _evening(market: Market, price_N: Floats, days: NDArray[np.datetime64], rules: Rules) -> Tape:
    """A tape of the one session to come: nothing of it is known but its reference prices and lots."""
    price, unknown, zero = price_N[None], np.full((1, len(price_N)), np.nan), np.zeros((1, len(price_N)))
    return Tape(
        deal_DN=price,
        reference_DN=price,
        last_DN=price,
        limit_up_DN=unknown,
        limit_down_DN=unknown,
        scale_DN=zero + 1,
        cash_DN=zero,
        ratio_DN=zero,
        volume_DN=unknown,
        depth_DN=unknown,
        trading_DN=np.isfinite(price),
        was_trading_DN=np.ascontiguousarray(market.trading_DN[-1:]),
        lot_minimum_DB=lots_DB("lot_minimum", days, rules, True),
        lot_step_DB=lots_DB("lot_step", days, rules, True),
        largest_DB=largest_DB(days, rules, True),
        board_N=market.board_N,
        exchange_N=market.exchange_N,
        delisted_N=market.delisted_N,
        rights_D=np.zeros(2, np.int64),
        rights_R=np.zeros(0, np.int64),
        impact=0.0,
        participation=0.0,
    )


def _frame(plan: Plan, price_N: Floats, market: Market, session: date, rules: Rules) -> pl.DataFrame:
    """The plan as a table."""
    sells, buys = int(plan.count_2[SELL]), int(plan.count_2[BUY])
    stocks = np.concatenate([plan.sells_N[:sells], plan.buys_N[:buys]])
    shares = np.concatenate([plan.sell_shares_N[:sells], plan.buy_shares_N[:buys]])
    below = [None if left else "below_lot" for left in plan.sell_shares_N[:sells]]
    reasons = below + [REASONS[code] if code else None for code in plan.buy_reason_N[:buys]]
    halted = ~market.trading_DN[-1][stocks]
    up, down = estimated_limits(market, price_N, session, rules)
    largest = np.array([rules.at("order_maximum", board, session) for board in BOARDS])[market.board_N[stocks]]
    columns = {
        "priority": np.arange(1, len(stocks) + 1),
        "symbol": [market.axes.symbols[n] for n in stocks],
        "side": ["sell"] * sells + ["buy"] * buys,
        "shares": shares,
        "reference_price": price_N[stocks],
        "limit_up": up[stocks],
        "limit_down": down[stocks],
        "pieces": np.ceil(shares / np.nan_to_num(largest, nan=np.inf)).astype(np.int64),
        "reason": [reason or ("suspended" if stopped else None) for reason, stopped in zip(reasons, halted, strict=True)],
    }
    return pl.DataFrame(columns, schema=ORDERS, strict=False).with_columns(pl.col("limit_up", "limit_down", "reference_price").fill_nan(None))
