"""Which contract the short belongs in on the next session, from what is known in the evening."""

from collections.abc import Sequence

import numpy as np

from backtest.futures.curve import Curve
from backtest.futures.settings import Neutral
from data.contracts import QUARTERS
from data.panel import Floats

# D sessions, C contracts


def chosen(curve: Curve, d: int, shorts_C: Sequence[int], neutral: Neutral) -> int | None:
    """The contract that tomorrow's short should be in; None where none is quoted that lives long enough.

    shorts_C: contracts short by contract.  The contract with most of them is kept until its roll is due.
    """
    held = max(range(len(shorts_C)), key=lambda c: shorts_C[c]) if any(shorts_C) else None
    if held is not None and not due(curve, d, held, neutral):
        return held
    candidates = [c for c in range(len(curve.contracts)) if np.isfinite(curve.settle_DC[d, c]) and curve.left_DC[d, c] - 1 > neutral.roll_days]
    if neutral.contract == "quarter":
        candidates = [c for c in candidates if _quarterly(curve, c)]
    if not candidates:
        return held if held is not None and curve.left_DC[d, held] > 0 else None
    if neutral.contract == "dominant":
        return min(candidates, key=lambda c: (-curve.interest_DC[d, c], curve.left_DC[d, c]))
    if neutral.contract == "cheapest":
        basis_C = annualised_basis(curve, d)
        return min(candidates, key=lambda c: (-basis_C[c], curve.left_DC[d, c]))
    return min(candidates, key=lambda c: int(curve.left_DC[d, c]))


def due(curve: Curve, d: int, held: int, neutral: Neutral) -> bool:
    """Whether the held contract is left on the next session."""
    if curve.left_DC[d, held] - 1 <= neutral.roll_days:
        return True
    later_C = curve.left_DC[d] > curve.left_DC[d, held]
    return neutral.roll == "open_interest" and bool((curve.interest_DC[d, later_C] > curve.interest_DC[d, held]).any())


def annualised_basis(curve: Curve, d: int) -> Floats:
    """(settlement / index) ** (365 / days to expiry) - 1 by contract [C]; NaN on the last day and where the expiry is unknown."""
    ratio_C = curve.settle_DC[d] / curve.index_D[d]
    days_C = curve.days_DC[d]
    known_C = (days_C > 0) & np.array([last is not None for last in curve.expiry])
    return np.where(known_C, ratio_C ** (365 / np.maximum(days_C, 1)) - 1, np.nan)


def _quarterly(curve: Curve, c: int) -> bool:
    """Whether a contract is a quarter's; a dominant series may be any."""
    last = curve.expiry[c]
    return last is None or last.month in QUARTERS
