"""Where independent pieces of work run: here one after the other, in processes of this machine, or on a Ray cluster.  Same results in each.

A process that dies costs time alone: its piece is done again.  A piece that raises isn't, since it would raise again.
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, PositiveInt

from data.errors import KestrelError

Item = TypeVar("Item")
Result = TypeVar("Result")

TRIES = 3  # of a piece whose process dies over it
DEAD = "Most often the memory was full: lower scale.workers, or take a machine with more. The system's log tells (dmesg); what was finished is kept."


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

    function: a module's own, so that another process finds it; done again after it was cut short, it leaves what once leaves.
    Items and results: plain values, frames or bytes.  What the function raises ends all; so does, as KestrelError, a piece over which TRIES
    processes die.
    """
    ahead = ahead or 2 * settings.width
    if settings.on == "local":
        return map(function, items)
    if settings.on == "processes":
        return _in_processes(function, items, settings.width, ahead)
    return _on_ray(function, items, settings, ahead)


@dataclass
class _Piece(Generic[Item, Result]):
    """An item, the work at it, and how many processes died that may have been at it."""

    item: Item
    future: Future[Result] | None = None
    deaths: int = 0


def _in_processes(function: Callable[[Item], Result], items: Sequence[Item], width: int, ahead: int) -> Iterator[Result]:
    todo, waiting, pool = iter(items), deque[_Piece[Item, Result]](), _pool(width)
    try:
        while True:
            waiting.extend(_Piece(item) for item in islice(todo, ahead - len(waiting)))
            if not waiting:
                return
            try:
                for piece in waiting:
                    piece.future = piece.future or pool.submit(function, piece.item)
                found = waiting[0].future.result()  # type: ignore[union-attr]
            except BrokenProcessPool:  # with one of them all of them end
                pool.shutdown()
                pool = _pool(width)
                _bury(waiting, width)
                continue
            waiting.popleft()
            yield found
    finally:
        pool.shutdown(cancel_futures=True)


def _bury(waiting: Sequence[_Piece[Item, Result]], width: int) -> None:
    """Let what a death left undone begin again.  Pieces are taken in their order: the process that died was at one of the first `width` undone."""
    undone = [piece for piece in waiting if piece.future is None or isinstance(piece.future.exception(), BrokenProcessPool)]
    for place, piece in enumerate(undone):
        piece.future = None
        piece.deaths += place < width
        if piece.deaths == TRIES:
            raise KestrelError(f"Processes died {TRIES} times over the same piece of work, killed by the system. {DEAD}")


def _pool(width: int) -> ProcessPoolExecutor:
    # Forking a process that has threads can hang; a fresh interpreter can't.
    return ProcessPoolExecutor(width, mp_context=get_context("spawn"), initializer=_follow)


def _follow() -> None:
    """End this process when the one that started it is gone: killed, it can't say so, and a next run would do the same work beside this one."""
    parent = parent_process()
    if parent is not None:

        def watch() -> None:
            parent.join()
            os._exit(1)

        Thread(target=watch, daemon=True).start()


def _on_ray(function: Callable[[Item], Result], items: Sequence[Item], settings: ScaleSettings, ahead: int) -> Iterator[Result]:
    # Unasked, Ray reports its use, hides GPUs from tasks, and begins a task anew for ever where memory is full.
    for name, value in {"USAGE_STATS_ENABLED": 0, "ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": 0, "task_oom_retries": TRIES - 1}.items():
        os.environ.setdefault(f"RAY_{name}", str(value))
    try:
        import ray
        from ray.exceptions import RayError, RayTaskError
    except ImportError:
        raise KestrelError("scale.on is ray, which isn't installed. Install kestrel[ray], or set scale.on to processes.") from None
    mine = not ray.is_initialized()
    if mine:
        _join(settings)
    try:
        remote: Any = ray.remote(num_cpus=1, max_retries=TRIES - 1)(_at_home)
        todo, waiting = iter(items), deque[Any]()
        while True:
            waiting.extend(remote.remote(os.getcwd(), function, item) for item in islice(todo, ahead - len(waiting)))
            if not waiting:
                return
            yield ray.get(waiting.popleft())
    except RayTaskError as error:
        if isinstance(error.cause, RayError):
            raise KestrelError(f"A node can't begin: {str(error.cause).splitlines()[0]}. Install the same Kestrel on all of the cluster.") from None
        raise error.cause from error
    except RayError as error:
        raise KestrelError(f"Ray gave up after {TRIES} tries of the same piece of work ({type(error).__name__}). {DEAD}") from None
    finally:
        if mine:
            ray.shutdown()


def _join(settings: ScaleSettings) -> None:
    """Join the cluster at the address; without one start a cluster of this machine."""
    import ray

    cores = None if settings.address else settings.width
    quiet: Any = {"include_dashboard": False, "logging_level": logging.ERROR, "log_to_driver": False, "configure_logging": False}
    try:
        ray.init(settings.address or "local", num_cpus=cores, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise KestrelError(f"No Ray cluster at {settings.address or 'this machine'}: {error}. See scale.address.") from None


def _at_home(folder: str, function: Callable[[Item], Result], item: Item) -> Result:
    """function(item) in the folder in which the command was given, where this node has it: relative paths mean the same there."""
    if os.path.isdir(folder):
        os.chdir(folder)
    return function(item)
