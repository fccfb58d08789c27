"""A list of words with negation: a baseline that needs nothing, and the floor that every model must clear by far."""

import hashlib
import math
import re
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from data.events import EVENTS, OTHER
from models.sentiment.answers import LEVELS, Answer, Failure, News
from models.sentiment.defence import cleaned, quarantine
from models.sentiment.labels import Five, five

FILE = Path(__file__).with_name("lexicon.toml")


class Lexicon:
    """Counts good and bad words; a negation shortly before a word turns it round, and so does a word of turning right after one."""

    def __init__(self) -> None:
        raw = FILE.read_bytes()
        found = tomllib.loads(raw.decode())
        self.name = f"lexicon-{hashlib.sha256(raw).hexdigest()[:4]}"
        self.reach = int(found["reach"])
        self.signs = dict.fromkeys(found["positive"], 1) | dict.fromkeys(found["negative"], -1)
        self.turns = frozenset(found["turn"])
        self.words = _longest_first([*self.signs, *self.turns])
        self.negations = _longest_first(found["negations"])
        self.kinds = {word: name for name, words in found["events"].items() for word in words}
        self.reports = _longest_first([*self.kinds])
        assert set(found["events"]) == set(EVENTS), f"{FILE} and data/events.py disagree"

    def score(self, news: Sequence[News]) -> list[Answer | Failure]:
        """One answer a piece, the title counted twice; a failure where nothing readable is left."""
        return [self._answer(piece) for piece in news]

    def tone(self, text: str) -> int:
        """Good words less bad ones."""
        total, previous, end = 0, 0, 0
        for found in self.words.finditer(text):
            if previous and found[0] in self.turns and found.start() - end <= self.reach:
                total, previous = total - 2 * previous, 0  # the word before meant the reverse
                continue
            sign = self.signs.get(found[0], 0)
            if self.negations.search(text, max(end, found.start() - self.reach), found.start()):
                sign = -sign
            total, previous, end = total + sign, sign, found.end()
        return total

    def event(self, text: str) -> str:
        """The type of the first event whose words stand in the text and aren't denied."""
        for found in self.reports.finditer(text):
            if not self.negations.search(text, max(0, found.start() - self.reach), found.start()):
                return self.kinds[found[0]]
        return OTHER

    def hits(self, text: str) -> tuple[str, ...]:
        """The words and negations of a text in order: two texts in which they differ don't say the same."""
        return tuple(found[0] for found in _both(self.words, self.negations).finditer(text))

    def _answer(self, piece: News) -> Answer | Failure:
        reason = quarantine((piece.title, piece.body))
        if reason:
            return Failure(reason)
        title, body = cleaned(piece.title).text, cleaned(piece.body).text
        return Answer(spread(math.tanh((2 * self.tone(title) + self.tone(body)) / 3)), event=self.event(f"{title}\n{body}"))


def spread(score: float) -> Five:
    """The two neighbouring LEVELS weighted so that their mean is the score, in [-1, 1]."""
    place = (score + 1) * (len(LEVELS) - 1) / 2
    low = min(int(place), len(LEVELS) - 2)
    mass = [0.0] * len(LEVELS)
    mass[low], mass[low + 1] = 1 - (place - low), place - low
    return five(mass)


def _longest_first(words: Sequence[str]) -> re.Pattern[str]:
    """A pattern that prefers the longest word at a place."""
    return re.compile("|".join(re.escape(word) for word in sorted(set(words), key=lambda word: (-len(word), word))))


@cache
def _both(words: re.Pattern[str], negations: re.Pattern[str]) -> re.Pattern[str]:
    return re.compile(f"{words.pattern}|{negations.pattern}")
