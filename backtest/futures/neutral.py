"""The long book's account beside a short in index futures, session by session."""

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl

from backtest.costs import RATE_UNIT
from backtest.futures.account import Account, Settled
from backtest.futures.beta import betas, invested
from backtest.futures.curve import Curve, curve
from backtest.futures.orders import Plan, fill, planned
from backtest.futures.remarks import remarks
from backtest.futures.result import PARTS, Cents, NeutralResult
from backtest.futures.settings import Neutral
from backtest.futures.terms import charge, terms
from backtest.result import Result
from data.errors import KestrelError
from data.panel import Floats
from data.rules import Rules, exchange_rules

# D sessions
BOOKS = ("stocks", "cash", "arriving", "margin", "call", "asked", "transferred", "exposed", "excluded", "bound")


def neutralise(
    long: Result,
    futures_bars: pl.DataFrame,
    index_bars: pl.DataFrame,
    *,
    neutral: Neutral | None = None,
    calendar: Sequence[date] | None = None,
    sellable_D: Floats | None = None,
    rules: Rules | None = None,
) -> NeutralResult:
    """Hedge a long account and account for every cent.

    long: any strategy's Result; the hedged account holds its starting capital of it, and cash beside it as `neutral.stocks` says.
    Transfers buy and sell it at its closing value for a stated cost, as one does a fund; lots and limits of what a transfer trades
    are not simulated, but sellable_D [D] bounds what a session can sell (stress.sellable).
    calendar: every known session, later ones than the account's too, for the sessions left to an expiry.
    In a session: sale proceeds arrive, yesterday's plan trades at the deal price, positions are marked to the settlement, what expires
    is delivered, the transfer moves at the close, and the evening calls margin and plans.
    Raises KestrelError where futures or index lack one of the account's sessions.
    """
    neutral, rules = neutral or Neutral(), rules or exchange_rules()
    known = np.array(calendar if calendar is not None else long.dates, dtype="datetime64[D]")
    bound_D = _sellable(sellable_D, long)
    found = curve(futures_bars, index_bars, long.dates, known, neutral, rules)
    held_D, beta_D = invested(long), betas(long, found.index_D / found.index_before_D, neutral.window)
    account = Account(found, terms(neutral, long.dates, rules), round(long.capital * (1 - neutral.stocks) / neutral.stocks))
    capital = long.capital + account.cash
    books: dict[str, Cents] = {name: np.zeros(len(long.dates), np.int64) for name in (*BOOKS, *PARTS)}
    position_DC = np.zeros((len(long.dates), len(found.contracts)), np.int64)
    hedged_D = held_D * (beta_D if neutral.hedge == "beta" else 1.0)
    row, plan = {"stocks": long.capital, "arriving": 0, "margin": 0}, Plan(None, 0, False, 0)
    for d in range(len(long.dates)):
        before, night = list(account.position_C), _interest(account, row["margin"], found, d, neutral)
        account.cash += row["arriving"]
        fill(account, d, plan)
        settled = account.settle(d, before, night)
        grown = _grown(row["stocks"], long, d)
        split = _parts(row["stocks"], grown, settled, found, hedged_D, d)
        margin = account.margin(d)
        row = {"margin": margin, **_moved(account, row["stocks"] + grown, margin, plan.transfer, float(bound_D[d]), neutral)}
        split["fees"] -= row.pop("cost")
        row["call"] = max(0, row["margin"] - account.cash - row["arriving"])
        plan = planned(account, d, row["stocks"], row["arriving"], float(hedged_D[d]), neutral)
        row |= {"cash": account.cash, "asked": max(plan.transfer, 0), **_exposure(account, found, before, d)}
        for name, value in (row | split).items():
            books[name][d] = value
        position_DC[d] = account.position_C
    return NeutralResult(
        dates=long.dates,
        contracts=found.contracts,
        capital=capital,
        **{f"{name}_cents_D": books[name] for name in BOOKS},
        position_DC=position_DC,
        parts_D={name: books[name] for name in PARTS},
        beta_D=beta_D,
        ledger=tuple(account.trades),
        plan=plan,
        expiry=found.expiry,
        remarks=remarks(found, neutral, books, sellable_D is not None),
        long=long,
        settings=neutral,
    )


def _sellable(sellable_D: Floats | None, long: Result) -> Floats:
    """The part of the long book that each session can sell, all of it where nobody says; raises KestrelError for another length."""
    if sellable_D is None:
        return np.ones(len(long.dates))
    if sellable_D.shape != (len(long.dates),):
        raise KestrelError(f"sellable_D has the shape {sellable_D.shape}, the account {len(long.dates)} sessions. Give one value a session.")
    return sellable_D


def _exposure(account: Account, found: Curve, before: Sequence[int], d: int) -> dict[str, int]:
    """Cents of the index that the contracts are short at the close, and of what inferred rolls leave out and may lie off."""
    point = -sum(before) * account.terms.multiplier * 100  # what a point of the futures costs the short
    exposed = -sum(account.position_C) * account.worth.index_D[d]
    return {"exposed": exposed, "excluded": round(-point * found.rolls.jump_D[d]), "bound": round(point * found.rolls.bound_D[d])}


def _grown(stocks: int, long: Result, d: int) -> int:
    """What the long book earned in session d, half-up to the cent."""
    last = int(long.nav_cents_D[d - 1]) if d else long.capital
    return (2 * stocks * int(long.nav_cents_D[d]) + last) // (2 * last) - stocks


def _interest(account: Account, margin: int, found: Curve, d: int, neutral: Neutral) -> int:
    """Interest since the session before on what lay in the margin account, rounded down; a debt of one night pays none."""
    nights = (found.dates[d] - found.dates[d - 1]).days if d else 0
    held = min(margin, max(account.cash, 0))
    free = max(account.cash - margin, 0)
    return int((held * neutral.interest_margin + free * neutral.interest_cash) * nights / 365)


def _parts(stocks: int, grown: int, settled: Settled, found: Curve, hedged_D: Floats, d: int) -> dict[str, int]:
    """The session's change of equity by part, in cents.

    What was invested the evening before carries the index from close to close; what was bought in the session from the deal on.
    """
    held = float(hedged_D[d - 1]) if d else 0.0
    overnight = found.index_D[d] / found.index_before_D[d] - 1
    market = round(stocks * (held * overnight + (float(hedged_D[d]) - held) * (found.index_D[d] / found.index_deal_D[d] - 1)))
    dividends = round(stocks * held * (found.index_tr_growth_D[d] - 1 - overnight)) if d else 0
    return {
        "alpha": grown - market - dividends,
        "residual_beta": market + settled.exposed,
        "basis": settled.pnl - settled.exposed - settled.roll,
        "dividends": dividends,
        "roll": settled.roll,
        "fees": -settled.fees,
        "financing": settled.interest,
    }


def _moved(account: Account, stocks: int, margin: int, asked: int, sellable: float, neutral: Neutral) -> dict[str, int]:
    """Carry out a transfer at the close: proceeds of a sale arrive the next session, a purchase is paid at once out of free cash."""
    units = round(neutral.transfer_cost * RATE_UNIT)
    moved = min(asked, int(stocks * sellable)) if asked > 0 else -min(-asked, max(account.cash - margin, 0))
    cost = charge(abs(moved), units)
    account.cash += min(moved, 0)
    given = -min(moved, 0) - (cost if moved < 0 else 0)
    return {"stocks": stocks - max(moved, 0) + given, "arriving": max(moved, 0) - (cost if moved > 0 else 0), "transferred": moved, "cost": cost}
