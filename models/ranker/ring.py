"""Several processes that train one network: each takes its share of a step's sessions, and all add up their gradients.

Started by torchrun; alone, a ring has one member and does nothing.  Every member holds the same weights, since every member
makes the same steps from the same sums.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

PATIENCE = timedelta(hours=6)  # a member may wait that long for one that fits trees meanwhile


@dataclass(frozen=True)
class Ring:
    """This process's place in it."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the member that writes and speaks."""
        return self.rank == 0

    def share(self, count: int) -> range:
        """Which of `count` things are this member's."""
        return range(self.rank, count, self.size)

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Sum each tensor over all members, in place, in one message."""
        if self.size == 1:
            return
        flat = torch.cat([one.detach().reshape(-1).float() for one in tensors])
        distributed.all_reduce(flat)
        for one, summed in zip(tensors, torch.split(flat, [one.numel() for one in tensors]), strict=True):
            one.copy_(summed.view_as(one))

    def add_gradients(self, weights: Sequence[Tensor]) -> None:
        """Sum the gradients; a member whose sessions didn't reach a weight adds nothing to it."""
        if self.size == 1:
            return
        for weight in weights:
            weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
        self.add([weight.grad for weight in weights if weight.grad is not None])

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.size > 1:
            distributed.barrier()


def current() -> Ring:
    """The ring that this process has joined; alone, one of itself."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return Ring()
    return Ring(distributed.get_rank(), distributed.get_world_size())


@contextmanager
def joined() -> Iterator[Ring]:
    """Join the ring that torchrun's variables describe, and leave it at the end; without them a ring of one."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or distributed.is_initialized():
        yield current()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    try:
        yield current()
    finally:
        distributed.destroy_process_group()
