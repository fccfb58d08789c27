"""One batch at a time: a lock that the kernel gives back when its holder dies."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.errors import KestrelError

LATER = 4  # the exit code of what may go well in an hour
PAUSE = 0.1  # seconds between two tries


class Locked(KestrelError):
    """Another batch is at work.  Exit code 4: try again later."""

    exit_code = LATER


@contextmanager
def locked(file: Path, *, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock; raises Locked where another process holds it for longer than `wait` seconds."""
    file.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + wait
    with file.open("a+") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    handle.seek(0)
                    raise Locked(f"Another batch is at work ({handle.read().strip()}). Wait for it: --wait 600") from None
                time.sleep(PAUSE)
        handle.truncate(0)
        handle.write(f"process {os.getpid()}")
        handle.flush()
        yield
