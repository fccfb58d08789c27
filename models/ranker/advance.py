"""One step of a course where its network is: losses, gradients, weights, their average, the routing bias; as one CUDA graph where asked for.

Dims: E experts.
"""

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor

from models.kernels import dispatch
from models.ranker import ring
from models.ranker.course import Course
from models.ranker.settings import RankerSettings
from models.ranker.step import Lessons, Step, loss_of

WARM = 3  # steps that go one launch at a time first: libraries choose and allocate in them

Found = tuple[Tensor, Tensor]  # the loss, load_E
Work = Callable[[], Found]


def advance(course: Course, lessons: Lessons, settings: RankerSettings, seen: Step) -> Found:
    """Move the course by a step.  Its rate and pace are set already, and nothing here depends on any other number of this process."""
    members = ring.current()
    course.optimiser.zero_grad(set_to_none=True)
    loss, load_E = loss_of(course.network, lessons, seen, settings)
    torch.autograd.backward(loss)
    loss, load_E = loss.detach(), load_E.detach().float()
    members.add_gradients(course.weights)
    members.add([loss, load_E])
    torch.nn.utils.clip_grad_norm_(course.weights, settings.clip)
    course.optimiser.step()
    course.network.rebalance(load_E, settings.balance)
    course.follow()
    return loss, load_E


def cuda_graph(work: Work) -> Work:
    """The work as a CUDA graph.  It isn't done meanwhile; raises RuntimeError where it asks the device for a number."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = work()

    def replay() -> Found:
        graph.replay()
        return found

    return replay


class Captured:
    """A course's steps with all their launches at once: what a step reads is copied to where the recorded work reads it.

    Smaller steps, as the last of an epoch may be, go one launch at a time.
    """

    def __init__(self, course: Course, lessons: Lessons, settings: RankerSettings, record: Callable[[Work], Work] = cuda_graph) -> None:
        """record: makes of some work one that does the same on the same tensors, without doing it."""
        self.course, self.lessons, self.settings, self.record = course, lessons, settings, record
        self.held: Step | None = None
        self.replay: Work | None = None
        self.warm = 0

    def __call__(self, seen: Step) -> Found:
        """As `advance`; what it returns is written over by the next step."""
        held = self.held = self.held or deepcopy(seen)
        if not held.holds(seen):
            return self._work(seen)
        if self.warm < WARM:
            self.warm += 1
            return self._aside(seen)
        self.replay = self.replay or self.record(lambda: self._work(held))
        held.take(seen)
        return self.replay()

    def _work(self, seen: Step) -> Found:
        with dispatch.silent():
            return advance(self.course, self.lessons, self.settings, seen)

    def _aside(self, seen: Step) -> Found:
        """On a stream of its own, as a graph is recorded on one."""
        if not torch.cuda.is_available():
            return self._work(seen)
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            found = self._work(seen)
        torch.cuda.current_stream().wait_stream(side)
        return found
