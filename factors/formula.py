"""Factors written as text: 'rank(ts_corr(close, volume, 10))' is parsed to operators, never run as Python.

Words are the panel's columns, the operators of factors/operators.py under their own names, and the SHORT names below; the signs are
+ - * / > < >= <= and brackets.  What an operator takes is read from its signature, so every operator is there and says itself what it wants.
"""

import ast
import inspect
import warnings
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, get_type_hints

from data.errors import KestrelError
from factors import operators
from factors.expressions import COLUMNS, Expr, column, constant

SHORT = {"rank": "cs_rank", "z_score": "cs_z_score", "abs": "absolute", "sqrt": "root", "mean": "ts_mean", "std": "ts_std", "corr": "ts_corr"}
LONGEST = 2000  # characters
LARGEST = 5000  # operators, those counted twice that stand in it twice
HIGHEST = 1e300  # numbers
DEEPEST = 40  # brackets within brackets
FARTHEST = 2500  # sessions of a window, about ten years

SIGNS: dict[type[ast.AST], Callable[[Any, Any], Expr]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Gt: lambda a, b: a > b,
    ast.Lt: lambda a, b: a < b,
    ast.GtE: lambda a, b: a >= b,
    ast.LtE: lambda a, b: a <= b,
}


def parse(text: str) -> Expr:
    """The expression that a text says.

    Raises KestrelError naming the place and the nearest word for anything that is not one.
    """
    if len(text) > LONGEST:
        raise KestrelError(f"The expression has {len(text)} characters, at most {LONGEST} are read. Define a factor in a module: factors.modules.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's remarks on its own syntax, which this isn't
            tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        place = f" at character {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
        raise KestrelError(f"'{text}' is not an expression{place}. One looks like: rank(ts_corr(close, volume, 10))") from None
    found = _Reader(text.strip()).read(tree.body)
    if not isinstance(found, Expr) or not found.needs:
        raise KestrelError(f"'{text}' is a number, not a factor. Name a column: {', '.join(COLUMNS)}.")
    return found


@cache
def functions() -> Mapping[str, Callable[..., Expr]]:
    """Every operator by its name, then by its short name."""
    named = {name: made for name, made in vars(operators).items() if inspect.isfunction(made) and made.__module__ == operators.__name__}
    public = {name: made for name, made in named.items() if not name.startswith("_") and get_type_hints(made).get("return") is Expr}
    return public | {short: public[name] for short, name in SHORT.items()}


class _Reader:
    """Walks a syntax tree; every node that isn't listed here is refused."""

    def __init__(self, text: str) -> None:
        self.text = text

    def read(self, node: ast.AST, depth: int = 0) -> Expr | float:
        """A number or an expression."""
        if depth > DEEPEST:
            raise self.refusal(node, f"is nested deeper than {DEEPEST} brackets")
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
            if not abs(node.value) < HIGHEST:
                raise self.refusal(node, "is too large a number")
            return node.value
        if isinstance(node, ast.Name):
            return self.named(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -self.read(node.operand, depth + 1)
        if isinstance(node, ast.BinOp) and type(node.op) in SIGNS:
            return self.joined(type(node.op), node.left, node.right, depth)
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in SIGNS:
            return self.joined(type(node.ops[0]), node.left, node.comparators[0], depth)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return self.called(node, node.func.id, depth)
        raise self.refusal(node, "is not part of an expression: columns, operators, numbers and + - * / > < >= <= are")

    def named(self, node: ast.Name) -> Expr:
        """A column, or an operator that needs nothing, such as returns."""
        if node.id in COLUMNS:
            return column(node.id)
        made = functions().get(node.id)
        if made is not None and all(one.default is not one.empty for one in inspect.signature(made).parameters.values()):
            return made()
        raise self.unknown(node, node.id)

    def joined(self, sign: type[ast.AST], left: ast.AST, right: ast.AST, depth: int) -> Expr | float:
        """Two operands and a sign; a sign between two numbers gives a number."""
        a, b = self.read(left, depth + 1), self.read(right, depth + 1)
        if sign is ast.Div and not isinstance(b, Expr) and b == 0:
            raise self.refusal(right, "divides by zero")
        if not isinstance(a, Expr) and not isinstance(b, Expr):
            a = constant(a)
        return self.bounded(SIGNS[sign](a, b), left)

    def called(self, node: ast.Call, name: str, depth: int) -> Expr:
        """An operator with its arguments, checked against its signature."""
        made = functions().get(name)
        if made is None:
            raise self.unknown(node, name)
        hints, signature = get_type_hints(made), inspect.signature(made)
        named = {word.arg: word.value for word in node.keywords if word.arg is not None}
        if len(named) < len(node.keywords):
            raise self.refusal(node, "names an argument twice, or none after **")
        try:
            bound = signature.bind(*node.args, **named)
        except TypeError as error:
            raise self.refusal(node, f"can't be read: {error}. It takes {name}{_shown(signature)}") from None
        values: dict[str, Any] = {}
        for key, given in bound.arguments.items():
            several = signature.parameters[key].kind is inspect.Parameter.VAR_POSITIONAL
            read = [self.argument(one, hints[key], f"{name}'s {key}", depth) for one in (given if several else [given])]
            values[key] = tuple(read) if several else read[0]
        bound.arguments.update(values)
        try:
            return self.bounded(made(*bound.args, **bound.kwargs), node)
        except KestrelError as error:
            raise self.refusal(node, f"can't be: {str(error).rstrip('.')}") from None

    def bounded(self, found: Expr, node: ast.AST) -> Expr:
        """The expression, unless it has grown beyond what can be computed; asked before its text, which grows with it."""
        if found.size > LARGEST:
            raise self.refusal(node, f"makes more than {LARGEST} operators")
        if found.lookback > FARTHEST:
            raise self.refusal(node, f"looks back {found.lookback} sessions, more than {FARTHEST}")
        return found

    def argument(self, node: ast.AST, wanted: object, what: str, depth: int) -> Expr | float:
        """One argument of the type that the operator wants: an expression, a whole number of sessions, a number, or True or False."""
        if wanted is bool:
            if isinstance(node, ast.Constant) and isinstance(node.value, bool):
                return node.value
            raise self.refusal(node, f"is not True or False: {what}")
        found = self.read(node, depth + 1)
        if wanted is Expr or (wanted == Expr | float and isinstance(found, Expr)):
            return found if isinstance(found, Expr) else constant(found)
        if isinstance(found, Expr):
            raise self.refusal(node, f"is not a number: {what}")
        if wanted in (int, int | None) and not (isinstance(found, int) and 0 <= found <= FARTHEST):
            raise self.refusal(node, f"is not a whole number from 0 to {FARTHEST}: {what}")
        return found

    def unknown(self, node: ast.AST, word: str) -> KestrelError:
        """The refusal of a word, with the nearest one that exists."""
        near = get_close_matches(word, [*COLUMNS, *functions()], n=1)
        return self.refusal(node, f"is neither a column nor an operator{f'. Did you mean {near[0]}?' if near else ''}")

    def refusal(self, node: ast.AST, why: str) -> KestrelError:
        """A message that shows the part of the text."""
        part = ast.get_source_segment(self.text, node) or self.text
        return KestrelError(f"In '{self.text}': '{part}' {why}.")


def _shown(signature: inspect.Signature) -> str:
    """The parameters as a user writes them."""
    return "(" + ", ".join(str(one).split(":")[0] for one in signature.parameters.values()) + ")"
