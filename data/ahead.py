"""A stream made in a thread of its own, a little ahead of whoever takes from it."""

from collections.abc import Iterator
from queue import Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")

DEPTH = 2  # items made and not yet taken


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items; an exception in their making is raised here, where the item would have come."""
    made: Queue[tuple[T, ...] | BaseException | None] = Queue(DEPTH)
    left = Event()

    def make() -> None:
        try:
            for item in items:
                made.put((item,))
                if left.is_set():
                    return
            made.put(None)
        except BaseException as error:  # raised again in the thread that takes
            made.put(error)

    thread = Thread(target=make, daemon=True)
    thread.start()
    try:
        while (found := made.get()) is not None:
            if isinstance(found, BaseException):
                raise found
            yield found[0]
    finally:
        left.set()
        while not made.empty():  # whoever took went away: let the maker see it
            made.get()
