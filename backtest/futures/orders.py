"""What the evening decides for the next session, and how those orders are filled."""

from typing import NamedTuple

from backtest.costs import RATE_UNIT
from backtest.futures.account import CUT, FILLED, HEDGE, OPENING_CAP, ROLL, Account
from backtest.futures.choice import chosen
from backtest.futures.settings import Neutral
from backtest.futures.terms import reserve


class Plan(NamedTuple):
    """Orders for the next session.  transfer: cents that the long book is told to raise (+) or given (-) at the next close."""

    contract: int | None
    contracts: int  # short
    called: bool  # contracts are cut because cash doesn't cover their margin
    transfer: int


def planned(account: Account, d: int, stocks: int, arriving: int, hedged: float, neutral: Neutral) -> Plan:
    """The plan of evening d.

    stocks: the long book's value, arriving: cash on its way from it, both cents.  hedged: the part of that value that the short
    should offset (invested share x beta).
    Rule of a call: the short is cut on the next session to what the cash at hand can margin, and the long book is told to raise what
    restores the split.  More contracts are opened only while cash covers their margin with the buffer.
    """
    curve, terms = account.curve, account.terms
    cash, short = account.cash + arriving, sum(account.shorts_C)
    contract = chosen(curve, d, account.shorts_C, neutral)
    if contract is None:
        return Plan(None, 0, False, 0)
    wanted = round(stocks * hedged / account.worth.index_D[d])
    unit = reserve(account.worth.settle_DC[d][contract], terms.margin[d])
    carried, opened = max(cash // unit, 0), max(int(cash / (unit * (1 + neutral.buffer))), 0)
    target = short if abs(wanted - short) <= neutral.band * wanted else wanted
    target = max(short, min(target, opened)) if target > short else target
    called = carried < min(target, short)
    target = min(target, carried)
    rate = hedged * curve.settle_DC[d, contract] / curve.index_D[d] * terms.margin[d] / RATE_UNIT * (1 + neutral.buffer)
    share, equity = min(neutral.stocks, 1 / (1 + rate)), stocks + cash
    off = stocks - int(share * equity)
    starved = off > 0 and target < wanted * (1 - neutral.band)  # a short that cash keeps below its size
    return Plan(contract, target, called, off if called or starved or abs(off) > neutral.split_band * equity else 0)


def fill(account: Account, d: int, plan: Plan) -> None:
    """Trade a plan on session d: cuts and reductions, then rolls, then what is opened; each refusal leaves a row.

    A roll closes no more than it can open, so that the cap on openings doesn't leave the book without its hedge; what is left of an
    expiring contract is settled by the exchange.
    """
    if account.curve.rolls.rolled_D[d]:  # a dominant series changed its contract: the whole position had to
        for c, short in enumerate(account.shorts_C):
            if short:
                account.trade(d, c, short, ROLL)
                account.trade(d, c, -short, ROLL)
    surplus = sum(account.shorts_C) - plan.contracts
    for c in _leaving(account, plan):
        quantity = min(account.shorts_C[c], surplus)
        if quantity > 0 and _allowed(account, d, c, quantity, CUT if plan.called else HEDGE):
            account.trade(d, c, quantity, CUT if plan.called else HEDGE)
            surplus -= quantity
    if plan.contract is None:
        return
    room = account.terms.opening_cap[d]
    for c in _leaving(account, plan)[:-1]:
        room -= _roll(account, d, c, plan.contract, room)
    missing = plan.contracts - sum(account.shorts_C)
    if missing > 0 and _allowed(account, d, plan.contract, -missing, HEDGE):
        quantity = min(missing, room)
        account.trade(d, plan.contract, -quantity, HEDGE, ordered=-missing, reason=FILLED if quantity == missing else OPENING_CAP)


def _roll(account: Account, d: int, old: int, new: int, room: int) -> int:
    """Move the short from one contract to another; return how many contracts were opened."""
    short = account.shorts_C[old]
    if not short or not _allowed(account, d, old, short, ROLL) or not _allowed(account, d, new, -short, ROLL):
        return 0
    quantity = min(short, room)
    reason = FILLED if quantity == short else OPENING_CAP
    account.trade(d, old, quantity, ROLL, ordered=short, reason=reason)
    account.trade(d, new, -quantity, ROLL, ordered=-short, reason=reason)
    return quantity


def _leaving(account: Account, plan: Plan) -> list[int]:
    """Contracts in the order in which they are closed: those to be left by expiry, the wanted one last."""
    held = [c for c, position in enumerate(account.position_C) if position and c != plan.contract]
    return sorted(held, key=lambda c: int(account.curve.left_DC[0, c])) + ([plan.contract] if plan.contract is not None else [])


def _allowed(account: Account, d: int, c: int, quantity: int, why: str) -> bool:
    """Whether the market takes the order; a refusal is written down."""
    reason = account.refusal(d, c, quantity)
    if reason != FILLED:
        account.trade(d, c, 0, why, ordered=quantity, reason=reason)
    return reason == FILLED
