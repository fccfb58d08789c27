"""The registry: every factor by name, with its family, its paragraph and its expression."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from inspect import cleandoc

import numpy as np
from numpy.typing import NDArray

from data.errors import KestrelError
from factors.expressions import COLUMNS, Expr

FAMILIES = ("value", "quality", "growth", "momentum", "size", "sentiment", "news", "technical")

# What a lake's factor table may hold, and the modules that define it.
SETS = {
    # and families that users add
    "library": (*(f"factors.{family}" for family in FAMILIES), "factors.trade", "factors.volatility", "factors.liquidity"),
    "alpha158": ("factors.alpha158.candle", "factors.alpha158.rolling"),
    "alpha101": tuple(f"factors.alpha101.{quarter}" for quarter in ("first", "second", "third", "fourth")),
}

# One kernel for many expressions: (first session, {name: [B, N]}) of the factors named, from a session on in blocks of so many.
Fused = Callable[[Mapping[str, NDArray[np.float64]], Sequence[str], int, int], Iterator[tuple[int, dict[str, NDArray[np.float32]]]]]


@dataclass(frozen=True)
class Factor:
    """A named expression.

    raw_only: it means the price as traded, so it exists on raw prices alone.  in_yuan: its definition adds a plain number to CNY, so that it
    orders stocks otherwise in another currency.  fused: the kernel that gives its values together with those
    of its kin; the expression says what they are.
    """

    name: str
    family: str
    about: str
    expr: Expr
    raw_only: bool = False
    in_yuan: bool = False
    fused: Fused | None = field(default=None, compare=False)

    def unavailable(self, columns: Collection[str], price_basis: str) -> str | None:
        """Why a panel with these columns can't feed the factor; None where it can."""
        missing = sorted({COLUMNS[column][0] for column in self.expr.needs - set(columns)})
        if missing:
            return f"needs {', '.join(missing)}"
        return "needs raw prices" if self.raw_only and price_basis == "adjusted" else None


_REGISTRY: dict[str, Factor] = {}


def factor(family: str, *, raw_only: bool = False) -> Callable[[Callable[[], Expr]], Callable[[], Expr]]:
    """Register the decorated function's expression under the function's name; see register."""

    def under_its_name(define: Callable[[], Expr]) -> Callable[[], Expr]:
        register(define.__name__, family, define.__doc__ or "", define(), raw_only=raw_only)
        return define

    return under_its_name


def register(name: str, family: str, about: str, expr: Expr, *, raw_only: bool = False, in_yuan: bool = False, fused: Fused | None = None) -> None:
    """Register an expression under a name.

    Raises KestrelError where the name is taken, or where the value depends on the level of an adjusted price: such a price is only
    known up to a constant that later dividends and splits decide, so the factor would look ahead.
    """
    if name in _REGISTRY and _REGISTRY[name].expr != expr:
        raise KestrelError(f"A factor named {name} exists already: {_REGISTRY[name].expr}. Rename yours.")
    if not raw_only:
        _refuse_level(f"Factor {name} = {expr}", expr)
    _REGISTRY[name] = Factor(name, family, cleandoc(about), expr, raw_only, in_yuan, fused)


def quickly(expr: Expr, price_basis: str) -> Factor:
    """An expression as a factor under its own definition, for a quick look; raises KestrelError as `register` does.

    Where prices are as traded their level is known, so an expression may depend on it there.
    """
    if price_basis == "adjusted":
        _refuse_level(str(expr), expr)
    return Factor(str(expr), "quick", "", expr)


def _refuse_level(what: str, expr: Expr) -> None:
    if expr.scale is None or not expr.scale.invariant:
        raise KestrelError(
            f"{what} moves when a stock's price history is multiplied by a constant: it depends on the price level, or "
            "mixes adjusted columns with raw ones. Divide by a price of the same stock, or declare it raw_only."
        )


def library(sets: Iterable[str] = ("library",)) -> dict[str, Factor]:
    """The factors of these sets, in their order; of the library, the families in order and then those that users added."""
    found: dict[str, Factor] = {}
    place = {family: number for number, family in enumerate(FAMILIES)}
    for name in sets:
        for module in SETS[name]:
            import_module(module)
        mine = [one for one in _REGISTRY.values() if (one.family if one.family in SETS else "library") == name]
        found |= {one.name: one for one in sorted(mine, key=lambda one: place.get(one.family, len(place)))}
    return found


def select(names: Collection[str] | None = None, *, sets: Iterable[str] = ("library",)) -> list[Factor]:
    """Factors of all sets by name, or those of the sets given.  Raises KestrelError for a name that isn't registered."""
    if names is None:
        return list(library(sets).values())
    known = library(SETS)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise KestrelError(f"There is no factor {', '.join(unknown)}. List them: kestrel factors list")
    return [known[name] for name in known if name in names]
