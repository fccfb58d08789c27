"""Usage: what a run took of this machine, sampled while it goes on: seconds, processor, memory."""

import resource
import sys
import time
from dataclasses import dataclass, field
from threading import Event, Thread
from types import TracebackType
from typing import Self

EVERY = 5.0  # seconds between two samples
UNIT = 1 if sys.platform == "darwin" else 1024  # bytes in what the system calls one of memory


@dataclass(frozen=True)
class Sample:
    """One look: milliseconds since 1970, processor seconds so far (children's that have ended included), the most memory so far in MB."""

    at: int
    processor: float
    memory: float


@dataclass
class Usage:
    """`with Usage() as usage:` around the work; afterwards what it took.  Its samples are few: one in EVERY seconds, and both ends."""

    samples: list[Sample] = field(default_factory=list)
    _over: Event = field(default_factory=Event)
    _watch: Thread | None = None

    def __enter__(self) -> Self:
        """Begin to look."""
        self.samples.append(_look())
        self._watch = Thread(target=self._looking, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Look once more and end."""
        self._over.set()
        if self._watch is not None:
            self._watch.join()
        self.samples.append(_look())

    @property
    def began(self) -> int:
        """Milliseconds since 1970."""
        return self.samples[0].at

    @property
    def ended(self) -> int:
        """Milliseconds since 1970."""
        return self.samples[-1].at

    def figures(self) -> dict[str, float]:
        """Seconds of the clock and of the processor, and the most memory in MB, by the names under which MLflow shows a system's metrics."""
        first, last = self.samples[0], self.samples[-1]
        spent = {"system/seconds": (last.at - first.at) / 1000, "system/processor_seconds": last.processor - first.processor}
        return {**spent, "system/peak_memory_megabytes": last.memory}

    def course(self) -> dict[str, list[tuple[int, float]]]:
        """{name: (milliseconds since 1970, value) of each sample}: the processor's load since the sample before in per cent of one core, memory."""
        pairs = [(one, other) for one, other in zip(self.samples, self.samples[1:], strict=False) if other.at > one.at]
        load = [(other.at, 100_000 * (other.processor - one.processor) / (other.at - one.at)) for one, other in pairs]
        return {"system/processor_percent": load, "system/memory_megabytes": [(sample.at, sample.memory) for sample in self.samples]}

    def _looking(self) -> None:
        while not self._over.wait(EVERY):
            self.samples.append(_look())


def _look() -> Sample:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    return Sample(round(time.time() * 1000), spent, own.ru_maxrss * UNIT / 1e6)
