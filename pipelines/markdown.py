"""Measured parts of documents: tables in markdown, and the places between markers where a script writes them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data.errors import KestrelError
from pipelines.runs import write_text


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows {title: cell} as a table; a cell that a row lacks is empty."""
    titles = list(dict.fromkeys(title for row in rows for title in row))
    lines = [titles, ["---"] * len(titles), *([str(row.get(title, "")) for title in titles] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def signed(text: str) -> str:
    """The text with real minus signs in front of its numbers."""
    before = " " + text
    return "".join("−" if sign == "-" and after.isdigit() and last in " (|±" else sign for last, sign, after in zip(before, text, text[1:] + " "))  # noqa: B905


def insert(document: Path, mark: str, text: str) -> None:
    """Put the text between <!-- mark: begin --> and <!-- mark: end --> in place of what is there; raises KestrelError without the marks."""
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    whole = document.read_text(encoding="utf-8") if document.is_file() else ""
    before, found, rest = whole.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise KestrelError(f"{document} lacks the lines {begin} and {end}. Add them where the figures belong.")
    write_text(document, f"{before}{begin}\n{text}\n{end}{after}")


def spread(row: Mapping[str, Any], formats: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """{title: a figure of the seeds blended, and their mean ± sd where there are several}.  formats: {name: (title, format)}."""
    cells = {}
    for name, (title, form) in formats.items():
        cells[title] = format(row[name], form)
        if row.get(f"{name}_sd") is not None:
            cells[title] += f" ({format(row[f'{name}_seeds'], form)} ± {format(row[f'{name}_sd'], form)})"
    return cells


def interval(row: Mapping[str, Any] | None) -> str:
    """A difference of RankICs with its interval; nothing where there is none."""
    return f"{row['rank_ic']:+.4f} ({row['low']:+.4f} … {row['high']:+.4f})" if row else ""
