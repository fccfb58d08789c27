"""Progress without a terminal: long loops take a `track`, and only pipelines knows how to draw it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Track(Protocol):
    """Yield the items unchanged while showing that `label` moves on."""

    def __call__(self, items: Sequence[T], label: str) -> Iterable[T]:
        """Items, in order."""
        ...


def silent(items: Sequence[T], label: str) -> Iterator[T]:
    """Track nothing; the default wherever a `track` is taken."""
    del label
    yield from items
