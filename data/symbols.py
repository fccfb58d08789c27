"""Symbols are `600000.SH`, `000001.SZ`, `430047.BJ`; this file alone reads every vendor's spelling and names boards."""

import re

import polars as pl

from data.errors import KestrelError

BOARDS = ("main", "chinext", "star", "bse")

_CODE = re.compile(r"([A-Za-z]*)[\s._-]?([0-9]{6})[\s._-]?([A-Za-z]*)")
_EXCHANGES = {"SH": "SH", "SSE": "SH", "XSHG": "SH", "SS": "SH", "SZ": "SZ", "SZSE": "SZ", "XSHE": "SZ", "BJ": "BJ", "BSE": "BJ", "XBSE": "BJ"}
_BSE_PREFIXES = ("43", "83", "87", "88", "920")


def symbol(text: str) -> str:
    """Read `sh.600000`, `SH600000`, `600000.XSHG`, `600000.SH` or `600000`: '600000.SH'.

    Bare digits belong to the exchange that lists stocks under that prefix.
    Raises KestrelError where there is anything but six digits and a known exchange on one side of them.
    """
    found = _CODE.fullmatch(text.strip())
    before, digits, after = found.groups() if found else ("", "", "")
    letters = (before + after).upper()
    if not digits or (letters and letters not in _EXCHANGES):
        raise KestrelError(f"'{text}' is not an A-share code. Use 600000.SH, sh.600000, SH600000, 600000.XSHG or 600000.")
    return f"{digits}.{_EXCHANGES[letters] if letters else _exchange(digits)}"


def _exchange(digits: str) -> str:
    if digits.startswith(_BSE_PREFIXES):
        return "BJ"
    return "SH" if digits[0] in "569" else "SZ"


def board(text: str) -> str:
    """The board of a symbol in Kestrel's spelling: one of BOARDS."""
    if text.endswith(".BJ"):
        return "bse"
    if text.startswith(("688", "689")):
        return "star"
    return "chinext" if text.startswith(("300", "301", "302")) else "main"


def board_expr(column: str = "symbol") -> pl.Expr:
    """`board` over a column of symbols."""
    name = pl.col(column)
    return (
        pl.when(name.str.ends_with(".BJ"))
        .then(pl.lit("bse"))
        .when(name.str.contains(r"^68[89]"))
        .then(pl.lit("star"))
        .when(name.str.contains(r"^30[012]"))
        .then(pl.lit("chinext"))
        .otherwise(pl.lit("main"))
    )
