"""The budget of thinking, whatever a model does."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.sentiment.thinking import Ask, Budget, Overrun, Piece, Thought, thinking

WAIT = "\nWait"


def think(budget: Budget, wait_tokens: int, write: Callable[[Ask], Piece]) -> tuple[Thought, list[tuple[Ask, Piece]]]:
    rules, turns = thinking(budget, WAIT, wait_tokens), []
    try:
        ask = next(rules)
        while True:
            piece = write(ask)
            turns.append((ask, piece))
            ask = rules.send(piece)
    except StopIteration as done:
        return done.value, turns


@given(
    cap=st.integers(0, 60),
    extensions=st.integers(0, 5),
    wait_tokens=st.integers(1, 6),
    writes=st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.sampled_from(["", "</think>", "</think>x</think>"])), min_size=8, max_size=8),
)
def test_thinking_keeps_its_cap_its_extensions_and_closes_nothing(
    cap: int, extensions: int, wait_tokens: int, writes: list[tuple[float, bool, str]]
) -> None:
    turn = iter(writes)

    def write(ask: Ask) -> Piece:
        share, closed, end = next(turn)
        tokens = round(share * ask.limit)
        return Piece("想" * tokens + end, tokens, closed)

    thought, turns = think(Budget(cap, extensions), wait_tokens, write)
    assert thought.tokens == sum(piece.tokens for _, piece in turns) + wait_tokens * thought.waits <= cap
    assert thought.waits == sum(ask.append == WAIT for ask, _ in turns) <= extensions
    assert "</think>" not in thought.text
    assert thought.text.count(WAIT) == thought.waits
    assert all(ask.limit >= 1 for ask, _ in turns)


def test_a_model_that_stops_early_is_told_to_wait_until_no_extension_is_left() -> None:
    thought, turns = think(Budget(20, 2), 1, lambda ask: Piece("想想", 2, closed=True))
    assert thought == Thought(f"想想{WAIT}想想{WAIT}想想", 8, 2)
    assert [ask.limit for ask, _ in turns] == [20, 17, 14]


def test_without_a_budget_nothing_is_asked() -> None:
    assert think(Budget(0, 3), 1, lambda ask: pytest.fail("asked")) == (Thought("", 0, 0), [])


def test_a_model_that_writes_more_than_it_may_is_refused() -> None:
    with pytest.raises(Overrun, match="9 tokens where 8 were allowed"):
        think(Budget(8), 1, lambda ask: Piece("", 9, closed=False))
