"""What every vendor looks like from inside: the functions it may offer, the errors it may raise, and how its answers are read."""

import contextlib
import io
import math
import warnings
from collections.abc import Callable, Iterator
from datetime import date, datetime
from importlib import import_module
from typing import Any, ClassVar, Literal, NamedTuple

import polars as pl

from data.errors import KestrelError
from data.symbols import symbol

Kind = Literal["number", "day", "text", "symbol"]
Columns = dict[str, tuple[str, Kind]]  # ours: (the vendor's, how it is read)


class VendorError(KestrelError):
    """A source can't answer this question; another may."""


class Absent(VendorError):
    """Who was asked has no rows of what was asked for, at least not yet."""


class Busy(VendorError):
    """A source doesn't answer now but may later: overloaded, unreachable, or with an answer cut short.  after: seconds it asks for."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class Span(NamedTuple):
    """Days asked for, both included."""

    start: date
    end: date


class Source:
    """A vendor.  It overrides the functions it has; each answers in Kestrel's columns and units, whatever the vendor's are.

    Raises VendorError where there is no answer, Busy where there may be one later.  Prices are CNY as traded, volumes shares,
    amounts CNY, ratios fractions.  `bars` may bring the columns of `caps` along; a suspended row may leave its prices null.
    """

    name: ClassVar[str]
    pause: ClassVar[float] = 0.0  # seconds between two requests

    def offers(self, function: str) -> bool:
        """Whether the vendor has this function."""
        return getattr(type(self), function) is not getattr(Source, function)

    def close(self) -> None:
        """Let go of what a connection holds."""

    def calendar(self, span: Span) -> pl.DataFrame:
        """Sessions: date."""
        raise NotImplementedError

    def securities(self) -> pl.DataFrame:
        """Every stock that was ever listed: symbol, name, list_date, delist_date."""
        raise NotImplementedError

    def bars(self, stock: str, span: Span) -> pl.DataFrame:
        """One stock's bars: date, symbol, open, high, low, close, pre_close, volume, amount, is_st, is_trading."""
        raise NotImplementedError

    def market(self, day: date) -> pl.DataFrame:
        """The bars of every stock on one session."""
        raise NotImplementedError

    def suspensions(self, day: date) -> pl.DataFrame:
        """Stocks suspended on a session: date, symbol."""
        raise NotImplementedError

    def members(self, index: str, span: Span) -> pl.DataFrame:
        """Lists of an index's members that took effect in a span: date, index, symbol, weight."""
        raise NotImplementedError

    def index_bars(self, index: str, span: Span) -> pl.DataFrame:
        """A price index: date, index, open, high, low, close."""
        raise NotImplementedError

    def total_returns(self, index: str, span: Span) -> pl.DataFrame:
        """The same index with dividends, under the price index's own name: date, index, close_tr."""
        raise NotImplementedError

    def dividends(self, stock: str, span: Span) -> pl.DataFrame:
        """Payouts with an ex-date in the span, in the columns of the table."""
        raise NotImplementedError

    def reports(self, stock: str, span: Span) -> pl.DataFrame:
        """Reports announced in the span, in the columns of the table."""
        raise NotImplementedError

    def industries(self, span: Span) -> pl.DataFrame:
        """Industries by the day from which they hold, in the columns of the table."""
        raise NotImplementedError

    def news(self, stock: str, span: Span) -> pl.DataFrame:
        """News about a stock: published_at, symbols, title, body, source."""
        raise NotImplementedError


def package(name: str) -> Any:
    """The vendor's package.  Raises VendorError that names the extra where it isn't installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what vendors' packages warn of at import, no user of Kestrel can mend
            return import_module(name)
    except ImportError as error:
        raise VendorError(f"The source {name.partition('.')[0]} needs its package ({error}). Install it: pip install 'kestrel[sources]'") from None


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """What a vendor's package prints goes nowhere: stdout is for answers."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read(answer: Any, columns: Columns, who: str) -> pl.DataFrame:
    """A vendor's answer (a pandas frame) in our columns and types; empty text and NaN are null.

    Raises VendorError where a column is gone or a cell isn't what it was: the vendor's interface changed.
    """
    names = [str(name) for name in answer.columns]
    missing = [vendors for vendors, _ in columns.values() if vendors not in names]
    if missing and len(answer):
        raise VendorError(f"{who} has no column {', '.join(missing)} (it has: {', '.join(names)}): its interface changed. Upgrade Kestrel.")
    series = []
    for ours, (vendors, kind) in columns.items():
        cells = [] if missing else answer[vendors].tolist()
        try:
            series.append(pl.Series(ours, [_READERS[kind](cell) for cell in cells], dtype=_TYPES[kind]))
        except (ValueError, TypeError, KestrelError) as error:
            raise VendorError(f"{who}: column {vendors} can't be read as {kind}: {error}. Its interface changed; upgrade Kestrel.") from None
    return pl.DataFrame(series)


def within(frame: pl.DataFrame, span: Span, who: str, column: str = "date") -> pl.DataFrame:
    """The rows of a span.  Raises Absent where rows came but none of it: a stale cache answered."""
    kept = frame.filter(pl.col(column).is_between(span.start, span.end))
    if frame.height and not kept.height:
        days = frame[column].sort()
        raise Absent(f"{who} answered with {days[0]} to {days[-1]} for {span.start} to {span.end}: a stale cache.")
    return kept


def no_repeats(frame: pl.DataFrame, key: list[str], who: str) -> pl.DataFrame:
    """The frame itself.  Raises Busy where a key comes twice: a page was sent twice, so another may be missing."""
    twice = frame.filter(pl.struct(key).is_duplicated())
    if twice.height:
        raise Busy(f"{who} sent {twice.height} rows twice (first: {' '.join(str(cell) for cell in twice.select(key).row(0))}).")
    return frame


def spelled(stock: str, pattern: Literal["sh.600000", "sh600000", "600000"]) -> str:
    """'600000.SH' as vendors write it."""
    digits, exchange = stock.split(".")
    return {"sh.600000": f"{exchange.lower()}.{digits}", "sh600000": f"{exchange.lower()}{digits}", "600000": digits}[pattern]


def _empty(cell: Any) -> bool:
    return cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell)) or repr(cell) in ("NaT", "<NA>")


def _number(cell: Any) -> float | None:
    return None if _empty(cell) else float(cell)


def _day(cell: Any) -> date | None:
    """A date out of a date, an instant, 20210304 or 2021-03-04."""
    if _empty(cell):
        return None
    if isinstance(cell, datetime):  # pandas' Timestamp is one
        return cell.date()
    if isinstance(cell, date):
        return cell
    return date.fromisoformat(str(cell)[:10] if "-" in str(cell) else str(cell)[:8])


def _text(cell: Any) -> str | None:
    """Text, mended where a vendor's GBK was taken for Latin-1 or left as bytes."""
    if _empty(cell):
        return None
    if isinstance(cell, bytes):
        return cell.decode("gb18030")
    text = f"{cell!s}"
    if any("\x80" <= letter <= "\xff" for letter in text) and all(letter <= "\xff" for letter in text):
        with contextlib.suppress(UnicodeDecodeError):
            return text.encode("latin-1").decode("gb18030")
    return text


def _symbol(cell: Any) -> str | None:
    return None if _empty(cell) else symbol(str(cell))


_READERS: dict[Kind, Callable[[Any], Any]] = {"number": _number, "day": _day, "text": _text, "symbol": _symbol}
_TYPES: dict[Kind, Any] = {"number": pl.Float64, "day": pl.Date, "text": pl.String, "symbol": pl.String}
