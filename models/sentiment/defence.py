"""News is untrusted text: what is hidden, what controls a model and what gives it orders is cut out before anyone reads it.

Every step is one pass over characters; what was found is kept, so that a piece can be put aside with its reason.
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

LONGEST = 4000  # characters read of one text
MOST_CUT = 0.8  # a text of which more than this was cut is no news
LEAST = 4  # letters that a text must keep
# Full-width forms of ASCII, one character for one, so that places in the folded text are places in the text.
FOLD = {0xFF01 + place: 0x21 + place for place in range(94)} | {0x3000: 0x20, ord("｜"): ord("|"), ord("▁"): ord("_"), ord("﹤"): ord("<")}
TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # begin or end text that runs the other way: a text of its own
SIGNS, OPENING, CLOSING = " \t\n，,。．.；;！!？?|、—-", '（([【{“"', '）)]】}”"'
HIDDEN = {"Cf", "Cc", "Co", "Cs", "Cn"}  # format (zero-width, bidi, tags), control, private, surrogate, unassigned

PATTERNS = Path(__file__).with_name("defence.toml")


def _patterns() -> dict[str, re.Pattern[str]]:
    """The file's lists, each as one pattern; {number} in them stands for a label."""
    found = tomllib.loads(PATTERNS.read_text(encoding="utf-8"))
    lists = {name: "|".join(found[name]).replace("{number}", found["number"]) for name in ("controls", "clause", "orders")}
    return {name: re.compile(text, re.IGNORECASE | re.MULTILINE) for name, text in lists.items()}


_CONTROLS, _CLAUSE, _ORDERS = _patterns().values()


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A text that is safe to show to a model, and what was cut: 'hidden characters', 'control strings', 'orders', 'length'."""

    text: str
    found: tuple[str, ...] = ()
    cut: float = 0.0  # share of the characters

    @property
    def quarantine(self) -> str | None:
        """Why the text is put aside, or None."""
        if not self.found:
            return None
        if sum(map(str.isalnum, self.text)) < LEAST:
            return f"nothing is left without its {' and '.join(self.found)}"
        return f"{self.cut:.0%} of it is {' and '.join(self.found)}" if self.cut > MOST_CUT and self.found != ("length",) else None


@lru_cache(maxsize=4096)
def cleaned(text: str) -> Cleaned:
    """The text without hidden characters, control strings and clauses that give orders to its reader; the rest is unchanged."""
    found = []
    read = text[: 4 * LONGEST]
    shown = "".join("\n" if letter in TURNS else letter for letter in read if letter in "\n\t" or letter in TURNS or not hidden(letter))
    if shown != read:
        found.append("hidden characters")
    bare = _without_controls(shown)
    if bare != shown:
        found.append("control strings")
    plain = _without_orders(bare)
    if plain != bare:
        found.append("orders")
    if len(plain) > LONGEST or len(text) > len(read):
        found.append("length")
    kept = plain[:LONGEST].strip()
    return Cleaned(kept, tuple(found), 1 - len(kept) / len(text.strip()) if found and text.strip() else 0.0)


def quarantine(texts: Iterable[str]) -> str | None:
    """Why a piece made of these texts is put aside, or None."""
    texts = list(texts)
    reasons = [reason for text in texts if (reason := cleaned(text).quarantine)]
    if reasons:
        return f"quarantined: {reasons[0]}"
    return None if any(character.isalnum() for text in texts for character in text) else "quarantined: there is no text"


def hidden(letter: str) -> bool:
    """Whether a character shows nothing, or changes how its neighbours are shown."""
    return unicodedata.category(letter) in HIDDEN or "\ufe00" <= letter <= "\ufe0f" or letter in "\u115f\u1160\u3164\uffa0\u2800"


def _without_controls(text: str) -> str:
    """Put a line's end in place of every control string, until none is left: what stood around one is not one text."""
    while found := [match.span() for match in _CONTROLS.finditer(text.translate(FOLD))]:
        text = _replaced(text, found, "\n")
    return text


def _without_orders(text: str) -> str:
    """Cut what speaks to the reader instead of about a company, from where it begins to the end of its clause, with the signs around it."""
    folded = text.translate(FOLD)
    spans: list[tuple[int, int]] = []
    for clause in _CLAUSE.finditer(text):
        start, end = clause.span()
        order = _ORDERS.search(folded[start:end])
        if order:
            ahead = folded[start : start + order.start()]
            start = start if sum(map(str.isalnum, ahead)) < LEAST else start + order.start()
            spans.append(_with_signs(text, start, end, spans[-1][1] if spans else 0))
    return _replaced(text, spans, "")


def _with_signs(text: str, start: int, end: int, floor: int) -> tuple[int, int]:
    """The span with the signs before it, the bracket around it, and those after it where nothing is left on one side."""
    first = start
    while start > floor and text[start - 1] in SIGNS + OPENING:
        start -= 1
    if any(letter in OPENING for letter in text[start:first]):
        while end < len(text) and text[end] in CLOSING:
            end += 1
    rest = end
    while rest < len(text) and text[rest] in SIGNS:
        rest += 1
    return start, rest if start == floor or rest == len(text) else end


def _replaced(text: str, spans: list[tuple[int, int]], by: str) -> str:
    """The text with something else in place of these spans, which are in order and don't overlap."""
    kept, place = [], 0
    for start, end in spans:
        kept += [text[place:start], by]
        place = end
    return "".join((*kept, text[place:]))
