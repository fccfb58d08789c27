"""Sources in order of preference: each is asked with patience, and where one can't answer the next is."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveFloat

from data.sources.source import Absent, Busy, Source, VendorError, quietly

Empty = Literal["ask on", "believe", "refuse"]


class Patience(BaseModel):
    """How long a busy source is waited for: `first` seconds, doubled each time up to `most`, with up to half of it more by chance."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    tries: NonNegativeInt = 5
    first: PositiveFloat = 2.0
    most: PositiveFloat = 120.0
    seed: int = 0
    strikes: NonNegativeInt = 3  # answers of a function that can't be used before it isn't asked any more in this run


class Chain:
    """Sources by preference, what they have cost so far, and which of them gave up.

    sleep: waits that many seconds.  A source that stays busy is left out for the rest of the run; one whose answer can't be used
    `strikes` times is left out for that function.
    """

    def __init__(self, sources: Sequence[Source], *, sleep: Callable[[float], None], patience: Patience | None = None) -> None:
        self.sources = tuple(sources)
        self.patience = patience or Patience()
        self.given_up: dict[str, str] = {}
        self._sleep = sleep
        self._chance = random.Random(self.patience.seed)
        self._strikes: Counter[tuple[str, str]] = Counter()

    @property
    def names(self) -> list[str]:
        """The sources, the preferred first."""
        return [source.name for source in self.sources]

    def offers(self, function: str) -> bool:
        """Whether any source has this function."""
        return any(source.offers(function) for source in self.sources)

    def close(self) -> None:
        """Let every source go of its connection."""
        for source in self.sources:
            source.close()

    def ask(self, function: str, *args: Any, empty: Empty = "ask on") -> tuple[str, pl.DataFrame]:
        """(source, answer) of the first source that has one.

        empty: what an answer without rows is worth: 'believe' takes it, 'ask on' takes it where no later source has rows, 'refuse'
        never does.  Raises VendorError with every source's reason, Absent where one answered and has no rows.
        """
        reasons: list[str] = []
        absent, nothing = False, None
        for source in self.sources:
            if not source.offers(function):
                continue
            if self._strikes[source.name, function] >= max(self.patience.strikes, 1):
                reasons.append(f"{source.name}: isn't asked any more, {self.patience.strikes} answers in a row couldn't be used")
                continue
            if source.name in self.given_up:
                reasons.append(self.given_up[source.name])
                continue
            try:
                answer = self._patiently(source, function, args)
            except Absent as error:
                absent = True
                reasons.append(f"{source.name}: {error}")
                continue
            except VendorError as error:
                self._strikes[source.name, function] += 0 if isinstance(error, Busy) else 1
                reasons.append(f"{source.name}: {error}")
                continue
            if answer.height or empty == "believe":
                self._strikes[source.name, function] = 0
                return source.name, answer
            reasons.append(f"{source.name}: gave no rows")
            absent, nothing = True, nothing or (source.name, answer)
        if nothing is not None and empty == "ask on":
            return nothing
        what = f"{function}({', '.join(_said(arg) for arg in args)})"
        raise (Absent if absent else VendorError)(
            f"No source answers {what}:\n" + "\n".join(f"  {reason}" for reason in dict.fromkeys(reasons) or ["none has it"])
        )

    def _patiently(self, source: Source, function: str, args: tuple[Any, ...]) -> pl.DataFrame:
        """The source's answer, asked again with growing pauses while it is busy."""
        wait = self.patience.first
        for left in reversed(range(self.patience.tries + 1)):
            self._sleep(source.pause)
            try:
                with quietly():
                    answer: pl.DataFrame = getattr(source, function)(*args)
                return answer
            except Busy as error:
                if not left:
                    self.given_up[source.name] = f"{source.name}: {error} It stayed so after {self.patience.tries + 1} tries."
                    raise
                jitter = 1 + self._chance.random() / 2
                self._sleep(max(error.after or 0.0, min(wait, self.patience.most) * jitter))
                wait *= 2
        raise AssertionError("unreachable")


def _said(arg: Any) -> str:
    return " to ".join(str(part) for part in arg) if isinstance(arg, tuple) else str(arg)
