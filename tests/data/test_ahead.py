import threading
import time
from collections.abc import Iterator

import pytest

from data.ahead import DEPTH, ahead


def test_items_come_in_order_and_from_another_thread() -> None:
    found = list(ahead((n, threading.get_ident()) for n in range(20)))
    assert [n for n, _ in found] == list(range(20))
    assert {thread for _, thread in found} != {threading.get_ident()}


def test_an_exception_comes_where_its_item_would() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("the second")

    stream = ahead(failing())
    assert next(stream) == 1
    with pytest.raises(ValueError, match="the second"):
        next(stream)


def test_it_runs_a_little_ahead_and_stops_where_nobody_takes() -> None:
    begun: list[int] = []
    stream = ahead(begun.append(n) for n in range(1000))
    next(stream)
    time.sleep(0.2)
    assert len(begun) <= DEPTH + 3
    stream.close()
    time.sleep(0.2)
    assert len(begun) <= 2 * DEPTH + 4
