"""The futures orders of the next session, as the evening's plan will trade them."""

from datetime import date

import polars as pl

from backtest.futures.account import CUT, HEDGE, ROLL
from backtest.futures.result import NeutralResult
from backtest.futures.terms import terms
from data.rules import Rules, exchange_rules

TICKETS = {
    "priority": pl.Int64,  # order of placement: what is closed first, then rolls, then what is opened
    "contract": pl.String,
    "side": pl.String,
    "contracts": pl.Int64,
    "why": pl.String,  # hedge, roll, or cut where cash doesn't cover the margin
    "reason": pl.String,  # why fewer are opened than wanted
}


def tickets(hedge: NeutralResult, session: date, rules: Rules | None = None) -> pl.DataFrame:
    """What the account's last evening wants traded in `session`: columns TICKETS, sorted by priority.

    A roll is two orders: buy what is left, sell what is entered; openings stop at the cap of the date for accounts that don't hedge.
    """
    plan, shorts = hedge.plan, {c: -int(n) for c, n in enumerate(hedge.position_DC[-1]) if n}
    rows: list[tuple[int, str, int, str, str | None]] = []
    surplus = sum(shorts.values()) - plan.contracts
    leaving = sorted((c for c in shorts if c != plan.contract), key=lambda c: hedge.expiry[c] or date.max)
    for c in [*leaving, *([plan.contract] if plan.contract is not None else [])]:
        quantity = min(shorts.get(c, 0), surplus)
        if quantity > 0:
            rows.append((c, "buy", quantity, CUT if plan.called else HEDGE, None))
            shorts[c] -= quantity
            surplus -= quantity
    if plan.contract is not None:
        room = terms(hedge.settings, [session], rules or exchange_rules()).opening_cap[0]
        for c in leaving:
            quantity = min(shorts[c], room)
            capped = "opening_cap" if quantity < shorts[c] else None
            if shorts[c]:
                rows += [(c, "buy", quantity, ROLL, capped), (plan.contract, "sell", quantity, ROLL, capped)]
                room -= quantity
                shorts[c] -= quantity
                shorts[plan.contract] = shorts.get(plan.contract, 0) + quantity
        missing = plan.contracts - sum(shorts.values())
        if missing > 0:
            quantity = min(missing, room)
            rows.append((plan.contract, "sell", quantity, HEDGE, "opening_cap" if quantity < missing else None))
    found = [(place, hedge.contracts[row[0]], *row[1:]) for place, row in enumerate(rows, start=1)]
    return pl.DataFrame(found, schema=TICKETS, orient="row")
