"""The registry: every factor by name, with its family, its paragraph and its expression."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib import import_module
from inspect import cleandoc

from data.errors import KestrelError
from factors.expressions import COLUMNS, Expr

FAMILIES = ("value", "momentum", "size", "sentiment", "technical")


@dataclass(frozen=True)
class Factor:
    """A named expression.  raw_only: it means the price as traded, so it exists on raw prices alone."""

    name: str
    family: str
    about: str
    expr: Expr
    raw_only: bool = False

    def unavailable(self, columns: Collection[str], price_basis: str) -> str | None:
        """Why a panel with these columns can't feed the factor; None where it can."""
        missing = sorted({COLUMNS[column][0] for column in self.expr.needs - set(columns)})
        if missing:
            return f"needs {', '.join(missing)}"
        return "needs raw prices" if self.raw_only and price_basis == "adjusted" else None


_REGISTRY: dict[str, Factor] = {}


def factor(family: str, *, raw_only: bool = False) -> Callable[[Callable[[], Expr]], Callable[[], Expr]]:
    """Register the decorated function's expression under the function's name.

    Raises KestrelError where the name is taken, or where the value depends on the level of an adjusted price: such a price is only
    known up to a constant that later dividends and splits decide, so the factor would look ahead.
    """

    def register(define: Callable[[], Expr]) -> Callable[[], Expr]:
        expr = define()
        name = define.__name__
        if name in _REGISTRY and _REGISTRY[name].expr != expr:
            raise KestrelError(f"A factor named {name} exists already: {_REGISTRY[name].expr}. Rename yours.")
        if not raw_only and (expr.scale is None or not expr.scale.invariant):
            raise KestrelError(
                f"Factor {name} = {expr} moves when a stock's price history is multiplied by a constant: it depends on the price level, or "
                "mixes adjusted columns with raw ones. Divide by a price of the same stock, or declare it raw_only."
            )
        _REGISTRY[name] = Factor(name, family, cleandoc(define.__doc__ or ""), expr, raw_only)
        return define

    return register


def library() -> dict[str, Factor]:
    """Every registered factor: the five families in order, whatever was imported first, then families that users added."""
    for family in FAMILIES:
        import_module(f"factors.{family}")
    place = {family: number for number, family in enumerate(FAMILIES)}
    return {found.name: found for found in sorted(_REGISTRY.values(), key=lambda found: place.get(found.family, len(place)))}


def select(names: Collection[str] | None = None) -> list[Factor]:
    """Factors by name, all of them by default.  Raises KestrelError for a name that isn't registered."""
    known = library()
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise KestrelError(f"There is no factor {', '.join(unknown)}. List them: kestrel factors list")
    return [known[name] for name in known if names is None or name in names]
