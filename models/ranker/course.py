"""A training as it stands after each epoch: the network, the average of its weights, the optimiser, and the best epochs so far.

Dims: E experts.
"""

import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from models.ranker.body import Body
from models.ranker.settings import RankerSettings

FLOOR = 0.05  # of the rate, where the cosine ends


@dataclass(frozen=True)
class Epoch:
    """How an epoch went, in plain values.  load: share of the places each routed expert got; violation: MaxVio, 0 in balance."""

    loss: float
    rank_ic: float  # of the averaged weights on the validation sessions
    violation: float
    load: tuple[float, ...]
    weights: tuple[float, ...]  # of the voters in the score


def epoch_of(record: Mapping[str, Any]) -> Epoch:
    """An epoch out of its JSON."""
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in record.items()}
    return Epoch(**values)


@dataclass
class Course:
    """One seed's training.  kept: the averaged weights of its best epochs, by number."""

    seed: int
    network: Body
    averaged: Body
    optimiser: torch.optim.Optimizer
    kept: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    epochs: list[Epoch] = field(default_factory=list)
    steps: int = 0
    pace: float | Tensor = 0.0  # how far the averaged weights go towards the network's in a step

    def __post_init__(self) -> None:
        """List the weights once: walking through the modules costs as much as a small step."""
        self.weights = [value for value in self.network.parameters() if value.requires_grad]
        self.followers = [(mean, now) for mean, now in zip(self.averaged.parameters(), self.network.parameters(), strict=True) if now.requires_grad]
        self.copies = list(zip(self.averaged.buffers(), self.network.buffers(), strict=True))

    @property
    def best_epoch(self) -> int:
        """Position of the first epoch with the best validation RankIC."""
        return self.ranking[0]

    @property
    def ranking(self) -> list[int]:
        """Epochs, best first; the earlier of equals comes first."""
        return sorted(range(len(self.epochs)), key=lambda place: -self.epochs[place].rank_ic)

    def stopped(self, settings: RankerSettings) -> bool:
        """Whether it has had all its epochs, or too many without a better one."""
        done = len(self.epochs)
        return done >= settings.epochs or (done > 0 and done - 1 - self.best_epoch >= settings.patience)

    def close(self, epoch: Epoch, keep: int) -> None:
        """Enter an epoch that is done, and keep its averaged weights while it is among the best."""
        number = len(self.epochs)
        self.epochs.append(epoch)
        best = self.ranking[:keep]
        if number in best:
            self.kept[number] = {name: value.clone() for name, value in self.averaged.state_dict().items()}
        self.kept = {place: self.kept[place] for place in sorted(best)}

    @torch.no_grad()
    def follow(self) -> None:
        """Move the averaged weights towards the network's."""
        for mean, now in self.followers:
            mean.lerp_(now, self.pace)
        for kept, moved in self.copies:
            kept.copy_(moved)

    def prepare(self, settings: RankerSettings, total: int) -> None:
        """Rate and pace of the next of `total` steps: the rate goes up in a line and down along a cosine, the pace falls to what `average` leaves."""
        rate = settings.rate * schedule(self.steps, total, settings.warmup)
        for group in self.optimiser.param_groups:
            group["lr"] = _put(group["lr"], rate)
        self.pace = _put(self.pace, 1 - min(settings.average, (2 + self.steps) / (11 + self.steps)))


def begin(network: Body, settings: RankerSettings, seed: int, *, held: str | None = None) -> Course:
    """A course before its first step.  held: the device where its rate and pace lie, so that recorded work reads those of the step; None: nowhere."""
    course = Course(seed, network, deepcopy(network).eval().requires_grad_(False), _optimiser(network, settings))
    if held is not None:
        course.pace = torch.zeros((), device=held)
        for group in course.optimiser.param_groups:
            group["lr"], group["capturable"] = torch.zeros((), device=held), held != "cpu"
    return course


def schedule(step: int, total: int, warmup: float) -> float:
    """Share of the rate at a step."""
    warm = max(round(warmup * total), 1)
    if step < warm:
        return (step + 1) / warm
    progress = (step - warm) / max(total - warm, 1)
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * progress))


def mean_weights(kept: Mapping[int, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of several epochs' weights, added in the order of the epochs."""
    states = [kept[place] for place in sorted(kept)]
    return {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}


def _put(place: float | Tensor, value: float) -> float | Tensor:
    """The value, in the same tensor where there is one."""
    return place.fill_(value) if isinstance(place, Tensor) else value


def _optimiser(network: Body, settings: RankerSettings) -> torch.optim.Optimizer:
    """AdamW; only matrices decay, since norms, scales and biases have no reason to be small."""
    learnt = [value for value in network.parameters() if value.requires_grad]
    matrices, others = [value for value in learnt if value.ndim > 1], [value for value in learnt if value.ndim < 2]
    groups = [{"params": matrices, "weight_decay": settings.decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.rate, betas=(0.9, 0.98), fused=True)
