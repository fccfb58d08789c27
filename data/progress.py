"""Progress without a terminal: long loops take a `track`, and only pipelines knows how to draw it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Track(Protocol):
    """Yield the items unchanged while showing that `label` moves on."""

    def __call__(self, items: Sequence[T], label: str) -> Iterable[T]:
        """Items, in order."""
        ...


class Counted(Sequence[T]):
    """A stream whose number of items is known before it begins, for a `track`; read once, from front to back."""

    def __init__(self, items: Iterable[T], count: int) -> None:
        self.items, self.length = items, count

    def __len__(self) -> int:
        """How many items come."""
        return self.length

    def __iter__(self) -> Iterator[T]:
        """The items."""
        return iter(self.items)

    def __getitem__(self, place: object) -> Any:
        """Not there: a stream passes once."""
        raise TypeError("a stream has no places")


class Sized(Counted[T]):
    """Items that are not equally much work: sizes of each, in `unit`s, so that a bar can tell the speed."""

    def __init__(self, items: Sequence[T], sizes: Sequence[int], unit: str) -> None:
        super().__init__(items, len(items))
        self.sizes, self.unit = sizes, unit


def silent(items: Sequence[T], label: str) -> Iterator[T]:
    """Track nothing; the default wherever a `track` is taken."""
    del label
    yield from items
