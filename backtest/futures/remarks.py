"""What a reader of a hedged account must know, as sentences."""

from collections.abc import Mapping

import numpy as np

from backtest.futures.curve import Curve
from backtest.futures.result import Cents
from backtest.futures.rolls import AFTER, BEFORE
from backtest.futures.settings import Neutral


def remarks(curve: Curve, neutral: Neutral, books: Mapping[str, Cents], bounded: bool) -> tuple[str, ...]:
    """Every assumption that moved a figure."""
    found = [
        f"Stocks get at most {neutral.stocks:.0%} of equity; a split off by more than {neutral.split_band:.0%} is mended at a cost of "
        f"{neutral.transfer_cost:.2%} of what is bought or sold.",
        f"Interest: {neutral.interest_cash:.2%} a year on cash, {neutral.interest_margin:.2%} on margin.",
        f"Margin and fees of {'a hedging account' if neutral.account == 'hedging' else 'a non-hedging account'}, by date; "
        f"slippage {neutral.slippage:.2%} of each trade.",
        "A margin call is met by cutting contracts on the next session to what the cash carries; the long book is told to raise the rest.",
        "Transfers count the long book at its closing value" + ("." if not bounded else ", bounded by what could be sold that session."),
    ]
    if not curve.settled:
        found.append("Settlement prices are not given: the close is taken for them, so margin and limits of a day are approximate.")
    if None in curve.expiry:
        found += _dominant(curve, books)
    return tuple(found)


def _dominant(curve: Curve, books: Mapping[str, Cents]) -> list[str]:
    """What a dominant series hides."""
    equity = float(np.mean(books["stocks"] + books["cash"] + books["arriving"]))
    count = int(np.count_nonzero(curve.rolls.rolled_D))
    wide = float(np.sqrt(np.sum(books["bound"].astype(np.float64) ** 2)))
    return [
        "The series is the dominant contract's alone: contract choice and roll schedule don't apply, and it is held whatever its discount.",
        f"{count} roll days are inferred, where the basis falls most within {BEFORE} sessions before to {AFTER} after a third Friday.  On them the "
        "contracts are booked with the index's move alone, and the whole position pays the costs of a roll.",
        f"Excluded so: {books['excluded'].sum() / equity:+.2%} of mean equity.  What a rolled position really made may lie away from what is "
        f"booked by {wide / equity:.2%} if the rolls err independently, {books['bound'].sum() / equity:.2%} if all err the same way.",
    ]
