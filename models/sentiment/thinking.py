"""Thinking within a budget: how a model is let think, told to wait, and stopped.  (Budget forcing: Muennighoff et al. 2025, s1)

One set of rules for every scorer.  `thinking` is a generator: it asks for the next stretch, is sent what the model wrote, and
returns the whole thought; who runs the model, and where, is not its business.
"""

from collections.abc import Generator
from dataclasses import dataclass

from models.sentiment.prompts import CLOSE


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `cap` tokens of thinking, at most `extensions` times 'Wait'."""

    cap: int
    extensions: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """Put `append` after what is there, then let the model write at most `limit` tokens, up to where it closes its thought."""

    append: str
    limit: int


@dataclass(frozen=True, slots=True)
class Piece:
    """What the model wrote, its tokens, and whether it stopped by itself."""

    text: str
    tokens: int
    closed: bool


@dataclass(frozen=True, slots=True)
class Thought:
    """Everything between <think> and </think>; tokens count the words that were put in too."""

    text: str
    tokens: int
    waits: int


class Overrun(Exception):
    """The model wrote more than it was allowed to."""


def thinking(budget: Budget, wait: str, wait_tokens: int) -> Generator[Ask, Piece, Thought]:
    """Think until the model closes its thought with no extension left, or the cap is reached.

    wait_tokens: what `wait` costs, or a bound of it.  The sum of all pieces and all waits never exceeds the cap; the text never
    contains </think>, which is the caller's to add, once.  Raises Overrun where a piece is longer than was asked for.
    """
    text, spent, waits, append = "", 0, 0, ""
    while spent < budget.cap:
        piece = yield Ask(append, budget.cap - spent)
        if piece.tokens > budget.cap - spent:
            raise Overrun(f"{piece.tokens} tokens where {budget.cap - spent} were allowed")
        said, close, _ = piece.text.partition(CLOSE)
        text += append + said
        spent += piece.tokens
        stopped = piece.closed or bool(close)
        if not stopped or waits == budget.extensions or spent + wait_tokens >= budget.cap:
            break
        append, spent, waits = wait, spent + wait_tokens, waits + 1
    return Thought(text, spent, waits)
