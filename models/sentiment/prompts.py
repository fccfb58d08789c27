"""Prompts are files: an instruction that never changes within a version, and the news last, between markers that it can't forge."""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from data.errors import KestrelError
from data.events import NAMES
from models.sentiment.answers import News
from models.sentiment.defence import cleaned

FOLDER = Path(__file__).parent / "prompts"
OPEN, CLOSE = "<think>", "</think>"
CLOSING = f"\n{CLOSE}\n\n"  # how R1 itself goes from thinking to its answer


@dataclass(frozen=True)
class Prompt:
    """One version of the words that a model is asked with.  digest: of the file's bytes."""

    name: str
    instruction: str
    item: str
    body: str
    answer: str  # what the answer begins with; the label is the next token
    wait: str
    empty: tuple[str, ...]
    event: str  # what stands between the label and the letter of an event; empty where no event is asked for
    letters: Mapping[str, str]  # the types of events (data/events.py) by letter
    digest: str

    def render(self, news: News) -> str:
        """The message about one piece.  Title and body are cleaned first, so they hold no control string and no marker.

        The markers' number is 64 bits of a hash over all that is asked: a text that closes its own marker would have to contain
        its own hash.
        """
        title, body = cleaned(news.title).text, cleaned(news.body).text
        nonce = hashlib.sha256("\0".join((self.digest, news.name, title, body)).encode()).hexdigest()[:16]
        shown = self.body.format(body=body) if body else ""
        return self.instruction + self.item.format(name=cleaned(news.name).text, nonce=nonce, title=title, body=shown)

    def content_free(self) -> list[News]:
        """Pieces that say nothing, of a company that isn't named."""
        return [News(id="", symbol="", name="某公司", title=text) for text in self.empty]


@cache
def prompt(name: str) -> Prompt:
    """The prompt of that version; raises KestrelError where there is none."""
    file = FOLDER / f"{name}.toml"
    if not file.is_file():
        there = ", ".join(sorted(path.stem for path in FOLDER.glob("*.toml")))
        raise KestrelError(f"There is no prompt '{name}'. There are: {there}.")
    raw = file.read_bytes()
    found = tomllib.loads(raw.decode())
    digest = hashlib.sha256(raw).hexdigest()[:8]
    words = (found["instruction"].strip(), found["item"].rstrip(), found["body"], found["answer"], found["wait"], tuple(found["empty"]))
    letters = found.get("letters", {})
    assert set(letters.values()) in (set(), set(NAMES)), f"{file} and data/events.py disagree"
    return Prompt(name, *words, found.get("event", ""), letters, digest)
