"""The proof that factors can be trusted: change what must not matter, and nothing may move.

What comes later must not matter, and neither must the order of rows, a constant in an adjusted price history, the currency, or
(to a factor that compares no stocks) the rest of the market.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from data.history import as_of
from data.panel import Axes
from data.progress import Track, silent
from factors.build import session
from factors.changes import Tables, in_another_currency, poisoned, rescaled_prices, shuffled, without
from factors.panel import Panel, build_panel
from factors.registry import Factor

Rows = NDArray[np.float32]  # one session of a factor, a value a stock
Values = Mapping[str, Rows]
# A price history times a constant moves the last bits of logarithms and quotients; a real dependence moves far more.
ROUNDING = 1e-5
TRADED = ("open", "high", "low", "close", "vwap")  # a stock without a last price never had any of these


@dataclass(frozen=True)
class Breach:
    """A factor that moved: under which change, and where first."""

    factor: str
    change: str
    day: date
    symbol: str
    before: float
    after: float


def prove(factors: Sequence[Factor], tables: Tables, days: Sequence[date], *, track: Track = silent) -> list[Breach]:
    """Breaches of the factors on these tables, none where all is well.

    For each day every table but the calendar is cut after it, then poisoned after it; the factors of that day must stay the same to the
    bit.  Once, compared on those days and the last session: rows shuffled and a stock removed (to the bit; the latter for factors that
    compare no stocks), each stock's price history multiplied by its own constant and its share counts divided by it (to rounding; not
    for raw_only factors), all money in another currency (the order of the stocks must stay; not for those that say in_yuan).
    And a factor whose column is null throughout must be null too, unless its definition says `fill`, the one operator that makes numbers of nulls.
    """
    proof = _Proof(factors, tables)
    breaches = []
    for day in track(days, "proof"):
        for change, changed in (("cut", as_of(tables, day)), ("poisoned", poisoned(tables, day))):
            breaches += proof.compare(factors, changed, [day], change, _equal)
    ends = [*days, proof.whole.axes.dates[-1]]
    unmoved = [factor for factor in factors if not factor.raw_only]
    priced = [factor for factor in factors if not factor.in_yuan]
    alone = [factor for factor in factors if not compares_stocks(factor)]
    removed = proof.whole.axes.symbols[0]
    breaches += proof.compare(factors, shuffled(tables), ends, "rows shuffled", _equal)
    breaches += proof.compare(alone, without(tables, removed), ends, f"{removed} removed", _equal)
    breaches += proof.compare(unmoved, rescaled_prices(tables), ends, "price history rescaled", _close)
    breaches += proof.compare(priced, in_another_currency(tables), ends, "another currency", _same_order)
    return breaches + proof.nulls(ends[-1])


def compares_stocks(factor: Factor) -> bool:
    """Whether a stock's value depends on other stocks: some operator works on whole sessions."""
    return any(node.op.startswith("cs_") or node.op == "first_component" for node in factor.expr.walk())


class _Proof:
    """The factors' values on the tables as they are, and what moves when those are changed."""

    def __init__(self, factors: Sequence[Factor], tables: Tables) -> None:
        self.factors, self.whole = factors, build_panel(tables)
        self._expected: dict[date, Values] = {}

    def expected(self, day: date) -> Values:
        """Values of that day."""
        if day not in self._expected:
            self._expected[day] = _fed(self.factors, self.whole, day)
        return self._expected[day]

    def compare(
        self, factors: Sequence[Factor], changed: Tables, days: Sequence[date], change: str, same: Callable[[Rows, Rows], NDArray[np.bool_]]
    ) -> list[Breach]:
        """Breaches on these days: the first a factor and day."""
        panel = build_panel(changed)
        mine, theirs = _shared(self.whole.axes, panel.axes)
        breaches = []
        for day in days:
            expected, found = self.expected(day), _fed(factors, panel, day)
            for factor in factors:
                before, after = expected[factor.name][mine], found[factor.name][theirs]
                moved = np.flatnonzero(~same(before, after))
                if len(moved):
                    symbol = self.whole.axes.symbols[mine[moved[0]]]
                    breaches.append(Breach(factor.name, change, day, symbol, float(before[moved[0]]), float(after[moved[0]])))
        return breaches

    def nulls(self, day: date) -> list[Breach]:
        """Breaches of the rule that null stays null: one a factor and column, at its first value."""
        breaches = []
        strict = [factor for factor in self.factors if not any(node.op == "fill" for node in factor.expr.walk())]
        for column, known in self.whole.columns.items():
            emptied = dict.fromkeys({column, *(TRADED if column == "last" else ())} & self.whole.columns.keys(), np.full_like(known, np.nan))
            panel = Panel(self.whole.axes, {**self.whole.columns, **emptied}, self.whole.trading)
            for name, found in _fed([factor for factor in strict if column in factor.expr.needs], panel, day).items():
                places = np.flatnonzero(np.isfinite(found))
                if len(places):
                    symbol, value = panel.axes.symbols[places[0]], float(found[places[0]])
                    breaches.append(Breach(name, f"{column} null", day, symbol, float("nan"), value))
        return breaches


def _fed(factors: Sequence[Factor], panel: Panel, day: date) -> Values:
    """{name: [N]} of a day; null throughout where the panel has no such column yet, since then nothing may be known of it."""
    nothing = np.full(len(panel.axes.symbols), np.nan, dtype=np.float32)
    feedable = [factor for factor in factors if factor.expr.needs <= set(panel.columns)]
    return dict.fromkeys((factor.name for factor in factors), nothing) | session(feedable, panel, panel.axes.index(day))


def _shared(a: Axes, b: Axes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions on both axes of the stocks that both have."""
    places = {symbol: place for place, symbol in enumerate(b.symbols)}
    pairs = [(place, places[symbol]) for place, symbol in enumerate(a.symbols) if symbol in places]
    found = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _equal(a: Rows, b: Rows) -> NDArray[np.bool_]:
    return (a == b) | (np.isnan(a) & np.isnan(b))


def _close(a: Rows, b: Rows) -> NDArray[np.bool_]:
    return np.isclose(a, b, rtol=ROUNDING, atol=ROUNDING * np.nanmax(np.abs(a), initial=1e-12), equal_nan=True)


def _same_order(a: Rows, b: Rows) -> NDArray[np.bool_]:
    """False where a value of b falls behind one that a has below it, by more than rounding, or is null in one of them."""
    same = np.isnan(a) == np.isnan(b)
    places = np.flatnonzero(np.isfinite(a) & np.isfinite(b))
    if len(places):
        rising = places[np.argsort(a[places], kind="stable")]
        highest = np.maximum.accumulate(b[rising])
        same[rising[b[rising] < highest - ROUNDING * (highest[-1] - b[rising].min())]] = False
    return same
