"""A bar for runs that cost money: news and tokens a second, cost so far and to the end."""

import sys
import time

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from models.sentiment.prices import yuan
from models.sentiment.runner import Tally
from pipelines.console import say, stderr

EVERY = 0.2  # seconds between two looks at the bar
QUIET = 2.0  # seconds below which a run isn't worth a line in a log


class Meter:
    """Told a Tally as a run goes on; draws it on a terminal, and says it once at the end elsewhere."""

    def __init__(self) -> None:
        columns = (TextColumn("score"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rates]}"), TimeRemainingColumn())
        self._progress = Progress(*columns, console=stderr, transient=True)
        self._began, self._looked = time.monotonic(), 0.0
        self._tally: Tally | None = None
        self._task = self._progress.add_task("score", total=None, rates="")

    def __call__(self, tally: Tally) -> None:
        """Take note of how far a run is."""
        self._tally = tally
        now = time.monotonic()
        if now - self._looked < EVERY or not sys.stderr.isatty():
            return
        self._looked = now
        if not self._progress.live.is_started:
            self._progress.start()
        self._progress.update(self._task, completed=tally.pieces, total=tally.of, rates=self.rates(tally))

    def close(self) -> None:
        """Take the bar away and, where a run took its time, say what it came to."""
        self._progress.stop()
        if self._tally is not None and time.monotonic() - self._began > QUIET:
            say(f"{self._tally.pieces} pieces: {self.rates(self._tally)}")

    def rates(self, tally: Tally) -> str:
        """'12.3 news/s, 4,560 tokens/s, 1.23 CNY so far, about 4.56 to the end'."""
        spent = max(time.monotonic() - self._began, 1e-9)
        rest = yuan(tally.cost) / tally.pieces * (tally.of - tally.pieces) if tally.pieces else 0.0
        return (
            f"{tally.pieces / spent:.1f} news/s, {tally.tokens / spent:,.0f} tokens/s, {yuan(tally.cost):.4f} CNY so far, about {rest:.4f} to the end"
        )
