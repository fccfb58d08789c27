"""What a person or a script sees: answers on stdout as tables or JSON, progress on stderr."""

import json
import sys
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, TypeVar

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from data.progress import Sized

T = TypeVar("T")
Row = Mapping[str, Any]
UNSEEN = ("Cc", "Cf", "Cs")  # control characters, those that turn the direction of text, halves of a pair

stderr = Console(stderr=True, highlight=False)


class Bars:
    """A `track` drawn as progress bars on stderr; where that is no terminal, one line a finished loop of some length."""

    QUIET = 2.0  # seconds below which a loop isn't worth a line in a log

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, console=stderr, transient=True)
        self.live = sys.stderr.isatty()

    def __call__(self, items: Sequence[T], label: str) -> Iterable[T]:
        """Items, in order."""
        return self._drawn(items, label) if self.live else self._logged(items, label)

    def _drawn(self, items: Sequence[T], label: str) -> Iterator[T]:
        if not self.progress.live.is_started:
            self.progress.start()
        task, began, done = self.progress.add_task(label, total=len(items)), time.monotonic(), 0
        try:
            for place, item in enumerate(items):
                yield item
                if isinstance(items, Sized):
                    done += items.sizes[place]
                    self.progress.update(task, description=f"{label}, {done / (time.monotonic() - began):,.0f} {items.unit}/s")
                self.progress.advance(task)
        finally:
            self.progress.remove_task(task)
            if not self.progress.tasks:
                self.progress.stop()

    def _logged(self, items: Sequence[T], label: str) -> Iterator[T]:
        began = time.monotonic()
        yield from items
        spent = time.monotonic() - began
        if spent > self.QUIET:
            speed = f", {sum(items.sizes) / spent:,.0f} {items.unit}/s" if isinstance(items, Sized) else ""
            stderr.print(f"{label}: {len(items)} in {spent:.0f} s{speed}", markup=False)


def show(rows: Sequence[Row], *, title: str = "", as_json: bool = False) -> None:
    """Rows as a table on stdout, or as JSON."""
    if as_json:
        sys.stdout.write(json.dumps([dict(row) for row in rows], ensure_ascii=False, default=str, indent=1) + "\n")
        return
    table = Table(title=Text(shown(title), style="bold") if title else None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    names = list(dict.fromkeys(name for row in rows for name in row))
    for name in names:
        number = all(isinstance(row.get(name), int | float | None) for row in rows)
        table.add_column(name.replace("_", " "), justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(row.get(name))) for name in names))
    # A pipe has no width: there a table is as wide as its text.
    wide = None if sys.stdout.isatty() else 240
    Console(width=wide, highlight=False).print(table)


def say(text: str) -> None:
    """One line of news on stderr."""
    stderr.print(shown(text), markup=False, soft_wrap=True)


def shown(text: str) -> str:
    """The text with characters that would steer a terminal in escapes: a name or title from elsewhere may hold any."""
    return "".join(repr(one)[1:-1] if unicodedata.category(one) in UNSEEN and one != "\n" else one for one in text)


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, bool | str | date):
        return shown(str(value))
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if isinstance(value, float) and abs(value) < 100 else f"{value:,.2f}" if isinstance(value, float) else shown(str(value))
