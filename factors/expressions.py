"""What a factor is made of: a tree of operators over the panel's columns.

A tree knows by itself what a hand-written declaration could get wrong: which columns it needs, how many earlier sessions it
reads, and how it moves when a stock's whole price history is multiplied by a constant.  Trees are values: equal ones are
computed once, and the text of a tree is its definition.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from data.errors import KestrelError
from data.events import GROUPS

# How a column moves when a stock's prices are multiplied by c and its share counts divided by it: by c to this power.
# Adjusted prices are only known up to such a constant, which a later dividend or split decides.
PRICE, SHARES, FREE = 1, -1, 0

COLUMNS: dict[str, tuple[str, int]] = {
    # column: (the table it needs, its power)
    "open": ("bars", PRICE),
    "high": ("bars", PRICE),
    "low": ("bars", PRICE),
    "close": ("bars", PRICE),  # null while suspended
    "vwap": ("bars", PRICE),
    "last": ("bars", PRICE),  # the close carried through suspensions
    "volume": ("bars", SHARES),
    "amount": ("bars", FREE),
    "limit_up_hit": ("bars", FREE),  # 1 where the close is at the upper limit
    "limit_down_hit": ("bars", FREE),
    "raw_close": ("bars.raw_close", FREE),  # as traded: knows no later split
    "float_shares": ("caps.float_shares", SHARES),
    "total_shares": ("caps.total_shares", SHARES),
    "pe_ttm": ("caps.pe_ttm", FREE),
    "pb": ("caps.pb", FREE),
    "ps_ttm": ("caps.ps_ttm", FREE),
    "pcf_ttm": ("caps.pcf_ttm", FREE),
    "cash_dividend": ("dividends", FREE),  # CNY a share as traded, on the ex-date; 0 on other sessions
    "news_count": ("news", FREE),  # items known since the last close
    "news_weight": ("news_scores", FREE),  # those of them that are scored, 0 where the stock has none
    "news_sum": ("news_scores", FREE),  # sum of their scores
    "news_squares": ("news_scores", FREE),  # sum of the squares of their scores
    "news_negative": ("news_scores", FREE),  # how many of them are bad
    "news_tone": ("news_scores", FREE),  # their mean score; null where there are none
    # items that report an event of a group (data/events.py), 0 where the stock has none
    **{f"news_{group}": ("news_scores.event", FREE) for group in GROUPS},
    "index_close": ("index_bars", FREE),
    # of the newest report known, CNY: the last four quarters, the newest quarter, and both a year before (factors/statements.py)
    **{
        f"{item}_{what}": (f"reports.{item}", FREE)
        for item in ("revenue", "net_profit", "operating_cash_flow", "gross_profit")
        for what in ("ttm", "ttm_before", "quarter", "quarter_before", "deviation")
    },
    **{item: (f"reports.{item.removesuffix('_before')}", FREE) for item in ("equity", "equity_before", "total_assets", "total_assets_before")},
    "cash": ("reports.cash", FREE),
    "debt": ("reports.debt", FREE),
    "debt_before": ("reports.debt", FREE),
    "net_profit_streak": ("reports.net_profit", FREE),  # quarters in a row that earned more than a year before
    "net_profit_loss_share": ("reports.net_profit", FREE),  # of the last 8 quarters
    "report_age": ("reports", FREE),  # days since it was announced
    "report_quarter": ("reports", FREE),  # 4 x year + quarter: rises in the session at which a newer report is known
    "report_lateness": ("reports", FREE),  # days that it took longer than a year before
    "report_revisions": ("reports", FREE),  # of the last 8 quarters
    "industry": ("industries as of the date", FREE),  # a number per industry, null where unknown; a later snapshot laid over the past is none
}

MARKET = ("index_close",)  # columns that are one number a session


@dataclass(frozen=True)
class Scale:
    """How a value moves under prices x c: multiplied by c**power, then shifted by shift * log c; None where it does neither."""

    power: float = 0
    shift: float = 0

    @property
    def invariant(self) -> bool:
        """Whether the value doesn't move at all."""
        return self.power == 0 and self.shift == 0


@dataclass(frozen=True, eq=False)
class Expr:
    """One operator applied to expressions and plain parameters.

    lookback counts the earlier sessions it reads: a value of session d needs sessions d - lookback … d.
    """

    op: str
    args: "tuple[Expr, ...]" = ()
    params: tuple[float | int | str, ...] = ()
    scale: Scale | None = Scale()
    reach: int = 0  # earlier sessions this operator alone reads

    @cached_property
    def text(self) -> str:
        """The definition, e.g. ts_mean(abs(returns), 20)."""
        if self.op in ("column", "constant"):
            return str(self.params[0])
        inside = [arg.text for arg in self.args] + [str(param) for param in self.params]
        return f"{self.op}({', '.join(inside)})"

    @cached_property
    def lookback(self) -> int:
        """Earlier sessions that the whole tree reads."""
        return self.reach + max((arg.lookback for arg in self.args), default=0)

    @cached_property
    def size(self) -> int:
        """Operators in the whole text; one that stands in it twice counts twice."""
        return 1 + sum(arg.size for arg in self.args)

    @cached_property
    def market(self) -> bool:
        """Whether it is one number a session for all stocks."""
        if self.op == "column":
            return self.params[0] in MARKET
        if self.op.startswith("cs_"):
            return self.op in ("cs_mean", "cs_std")
        return self.op == "first_component" or all(arg.market for arg in self.args)

    @cached_property
    def needs(self) -> frozenset[str]:
        """The panel columns that the tree reads."""
        if self.op == "column":
            return frozenset({str(self.params[0])})
        return frozenset().union(*(arg.needs for arg in self.args))

    def walk(self) -> "Iterator[Expr]":
        """Every node, leaves first."""
        for arg in self.args:
            yield from arg.walk()
        yield self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expr) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return self.text

    def __add__(self, other: "Expr | float") -> "Expr":
        return binary("add", self, other)

    def __radd__(self, other: float) -> "Expr":
        return binary("add", constant(other), self)

    def __sub__(self, other: "Expr | float") -> "Expr":
        return binary("sub", self, other)

    def __rsub__(self, other: float) -> "Expr":
        return binary("sub", constant(other), self)

    def __mul__(self, other: "Expr | float") -> "Expr":
        return binary("mul", self, other)

    def __rmul__(self, other: float) -> "Expr":
        return binary("mul", constant(other), self)

    def __truediv__(self, other: "Expr | float") -> "Expr":
        return binary("div", self, other)

    def __rtruediv__(self, other: float) -> "Expr":
        return binary("div", constant(other), self)

    def __gt__(self, other: "Expr | float") -> "Expr":
        return binary("gt", self, other)

    def __lt__(self, other: "Expr | float") -> "Expr":
        return binary("lt", self, other)

    def __ge__(self, other: "Expr | float") -> "Expr":
        return binary("ge", self, other)

    def __le__(self, other: "Expr | float") -> "Expr":
        return binary("le", self, other)

    def __neg__(self) -> "Expr":
        return Expr("neg", (self,), scale=None if self.scale is None else Scale(self.scale.power, -self.scale.shift))


def column(name: str) -> Expr:
    """A column of the panel; raises KestrelError for one that doesn't exist."""
    if name not in COLUMNS:
        raise KestrelError(f"'{name}' is not a column of the panel. There are: {', '.join(COLUMNS)}.")
    return Expr("column", params=(name,), scale=Scale(power=COLUMNS[name][1]))


def constant(value: float) -> Expr:
    """A number."""
    return Expr("constant", params=(float(value),))


def binary(op: str, left: Expr, right: "Expr | float") -> Expr:
    """An elementwise operator of two operands, with the scale that follows from theirs."""
    other = right if isinstance(right, Expr) else constant(right)
    return Expr(op, (left, other), scale=_binary_scale(op, left, other))


def _binary_scale(op: str, left: Expr, right: Expr) -> Scale | None:
    a, b = left.scale, right.scale
    if a is None or b is None:
        return None
    shifted = a.shift != 0 or b.shift != 0
    if op in ("mul", "div"):
        sign = 1 if op == "mul" else -1
        if shifted:  # a shift times a number is a shift; times anything that varies it isn't
            if right.op == "constant":
                return Scale(shift=a.shift * float(right.params[0]) ** sign)
            return Scale(shift=b.shift * float(left.params[0])) if left.op == "constant" and op == "mul" else None
        return Scale(power=a.power + sign * b.power)
    if op in ("gt", "lt", "ge", "le"):
        return Scale() if a == b or (_is_zero(right) and not shifted) else None
    if shifted:
        return Scale(shift=a.shift + (b.shift if op == "add" else -b.shift)) if a.power == b.power == 0 else None
    return a if a.power == b.power else None


def _is_zero(expr: Expr) -> bool:
    return expr.op == "constant" and expr.params[0] == 0.0
