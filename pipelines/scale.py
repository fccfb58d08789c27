"""Where independent pieces of work run: here one after the other, in processes of this machine, or on a Ray cluster.  Same results in each."""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, PositiveInt

from data.errors import KestrelError

Item = TypeVar("Item")
Result = TypeVar("Result")


class ScaleSettings(BaseModel):
    """workers: pieces at work at once, by default one a core.  address: of a Ray cluster, by default one that starts on this machine."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    on: Literal["local", "processes", "ray"] = "local"
    workers: PositiveInt | None = None
    address: str | None = None

    @property
    def width(self) -> int:
        """Pieces at work at once."""
        return 1 if self.on == "local" else self.workers or os.cpu_count() or 1


def spread(function: Callable[[Item], Result], items: Sequence[Item], settings: ScaleSettings, *, ahead: int | None = None) -> Iterator[Result]:
    """function(item) of each item, in the items' order; at most `ahead` items, by default twice `width`, are at work or wait to be taken.

    function: a module's own, so that another process finds it.  Items and results: plain values, frames or bytes.
    """
    ahead = ahead or 2 * settings.width
    if settings.on == "local":
        yield from map(function, items)
    elif settings.on == "processes":
        # Forking a process that has threads can hang; a fresh interpreter can't.
        with ProcessPoolExecutor(settings.width, mp_context=get_context("spawn"), initializer=_follow) as pool:
            yield from _in_order(lambda item: pool.submit(function, item), lambda piece: piece.result(), items, ahead)
    else:
        yield from _on_ray(function, items, settings, ahead)


def _follow() -> None:
    """End this process when the one that started it is gone: killed, it can't say so, and a next run would do the same work beside this one."""
    parent = parent_process()
    if parent is not None:

        def watch() -> None:
            parent.join()
            os._exit(1)

        Thread(target=watch, daemon=True).start()


def _on_ray(function: Callable[[Item], Result], items: Sequence[Item], settings: ScaleSettings, ahead: int) -> Iterator[Result]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise KestrelError("scale.on is ray, which isn't installed. Install kestrel[ray], or set scale.on to processes.") from None
    mine = not ray.is_initialized()
    if mine:
        cores = None if settings.address else settings.width
        try:
            ray.init(
                settings.address, num_cpus=cores, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False, configure_logging=False
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise KestrelError(f"No Ray cluster at {settings.address or 'this machine'}: {error}. See scale.address.") from None
    try:
        remote: Any = ray.remote(num_cpus=1)(function)
        yield from _in_order(remote.remote, lambda piece: ray.get(piece), items, ahead)
    finally:
        if mine:
            ray.shutdown()


def _in_order(begin: Callable[[Item], Any], end: Callable[[Any], Result], items: Sequence[Item], ahead: int) -> Iterator[Result]:
    """Results in order; at most `ahead` pieces have begun and aren't taken."""
    waiting: deque[Any] = deque()
    for item in items:
        waiting.append(begin(item))
        if len(waiting) >= ahead:
            yield end(waiting.popleft())
    while waiting:
        yield end(waiting.popleft())
