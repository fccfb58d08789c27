"""What users give by hand or bring from elsewhere: files of rows, names that become folders, numbers of a config.  Each is doubted once, here."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl

from data.errors import KestrelError

MOST_ROWS = 200_000_000  # of a file; a page of repeated values is a few bytes that become any number of rows
COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"x\x01", b"x\x9c", b"x\xda", b"PK\x03\x04", b"BZh", b"\xfd7zXZ")
NAME = re.compile(r"[^\W_][\w .:+()-]{0,59}")  # in UTF-8 it and what is added to it fit into a file system's 255 bytes
OURS = re.compile(r".*\.(parquet|json|html|csv)|.*\.", re.IGNORECASE)


def read_rows(path: Path, what: str, *, as_text: bool = False) -> pl.DataFrame:
    """The rows of a CSV or Parquet file.  as_text: a CSV's columns stay text.

    Raises KestrelError where the file is absent, empty, broken, or compressed as a whole: nobody knows how large that becomes.
    """
    if not path.is_file():
        raise KestrelError(f"There is no {what} file {path}.")
    parquet = path.suffix == ".parquet"
    with path.open("rb") as opened:
        if not parquet and opened.read(6).startswith(COMPRESSED):
            raise KestrelError(f"{path} is a compressed file. Unpack it, or write Parquet.")
    try:
        if parquet and (rows := int(pl.scan_parquet(path).select(pl.len()).collect().item())) > MOST_ROWS:
            raise KestrelError(f"{path} has {rows:,} rows; at most {MOST_ROWS:,} are read. Split it.")
        return pl.read_parquet(path) if parquet else pl.read_csv(path, try_parse_dates=not as_text, infer_schema=not as_text)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, UnicodeDecodeError) as error:
        found = (str(error).splitlines() or [type(error).__name__])[0]
        raise KestrelError(f"{path} can't be read: {found}. Write it again, as UTF-8 CSV or as Parquet.") from None


def folder_name(name: str, what: str) -> str:
    """The name, where it can be a folder's inside a run: nothing that leads elsewhere, hides, or is a file of the run."""
    if not NAME.fullmatch(name) or OURS.fullmatch(name):
        raise KestrelError(
            f"{what} '{name[:80]}' can't name a folder. Use at most 60 letters, digits and . _ : + - ( ), beginning with a letter or digit."
        )
    return name


def refuse_unsafe(raw: Mapping[str, Any], where: str) -> None:
    """Raise KestrelError for numbers of a config that aren't finite, and for passwords inside its URLs: configs are kept with every run."""
    found = [f"{where}: {path}: {fault}" for path, value in _leaves(raw) for fault in _faults(value)]
    if found:
        raise KestrelError("\n".join(found))


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    pairs: Sequence[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, list | tuple):
        pairs = list(enumerate(value))
    else:
        yield path, value
    for key, part in pairs:
        yield from _leaves(part, f"{path}.{key}" if path else str(key))


def _faults(value: Any) -> Iterator[str]:
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{value} is no number to reckon with. Leave the setting out, or give a finite one."
    if isinstance(value, str) and "://" in value:
        try:
            secret = urlsplit(value).password
        except ValueError:
            secret = None
        if secret:
            yield "a password stands in this URL, and configs are kept with every run. Take it out; docs: SECURITY.md, Secrets."
