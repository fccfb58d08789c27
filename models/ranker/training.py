"""Training: sessions in small batches, an average of the weights, a stop where the validation RankIC is best, and an exact resume.

Chance depends on the seed and the epoch alone, so that a training resumed at an epoch goes on as if it had never stopped.
Dims: S sessions, N stocks, H horizons, E experts.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.errors import KestrelError
from data.progress import Track, silent
from factors.judge import FEWEST, mean_rank_ic
from models.blend import weigh, z_blend
from models.dataset import Floats32, Sessions
from models.kernels.experts import max_violation
from models.ranker import checkpoint
from models.ranker.losses import disagreement, squares, wrong_pairs
from models.ranker.network import Network
from models.ranker.panel import Batch, Panel
from models.ranker.settings import RankerSettings

SHIFTS = 8  # pairs of each stock in a step
FLOOR = 0.05  # of the rate, where the cosine ends


@dataclass(frozen=True)
class Lessons:
    """What a training reads: windows, labels as the loss wants them, and what judges it."""

    panel: Panel
    train: Sessions
    y_SNH: Floats32  # of the training sessions, dressed; NaN where unknown
    weight_S: Floats32  # of the training sessions, 1 on average
    valid: Sessions
    z_SN: Floats32  # labels of the validation sessions
    horizons: tuple[int, ...]


@dataclass(frozen=True)
class Epoch:
    """How an epoch went, in plain values.  load: share of the places each routed expert got; violation: MaxVio, 0 in balance."""

    loss: float
    rank_ic: float  # of the averaged weights on the validation sessions
    violation: float
    load: tuple[float, ...]
    weights: tuple[float, ...]  # of the heads in the score


def epoch_of(record: Mapping[str, Any]) -> Epoch:
    """An epoch out of its JSON."""
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in record.items()}
    return Epoch(**values)


@dataclass
class Course:
    """Everything a training consists of at the end of an epoch."""

    network: Network
    averaged: Network
    optimiser: torch.optim.Optimizer
    best: dict[str, Tensor] = field(default_factory=dict)  # the averaged weights of the best epoch
    epochs: list[Epoch] = field(default_factory=list)
    steps: int = 0

    def __post_init__(self) -> None:
        """List the weights once: walking through the modules costs as much as a small step."""
        self.weights = list(self.network.parameters())
        self.followers = list(zip([*self.averaged.parameters()], self.weights, strict=True))

    @property
    def best_epoch(self) -> int:
        """Position of the first epoch with the best validation RankIC."""
        return max(range(len(self.epochs)), key=lambda place: self.epochs[place].rank_ic)


@contextmanager
def torch_state(threads: int, seed: int) -> Iterator[None]:
    """Threads and chance of this block, both put back after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)


def train(network: Network, lessons: Lessons, settings: RankerSettings, *, seed: int, track: Track = silent, folder: Path | None = None) -> Course:
    """Train the network; the course holds the weights of the best epoch.

    folder: where each epoch leaves a checkpoint, and where a training that was stopped is taken up again.
    """
    course = Course(network, deepcopy(network).eval().requires_grad_(False), _optimiser(network, settings))
    identity = checkpoint.identity(settings, seed, lessons) if folder is not None else ""
    if folder is not None:
        checkpoint.restore(folder, course, identity)
    while len(course.epochs) < settings.epochs and not _stopped(course, settings):
        _epoch(course, lessons, settings, seed, track)
        if folder is not None:
            checkpoint.keep(folder, course, identity)
    return course


def infer(network: Network, panel: Panel, sessions: Sessions, stocks: int) -> Floats32:
    """score_SNH of the present stocks, NaN elsewhere.  One session at a time, so that the others don't reach the last bit."""
    score_SNH = np.full((len(sessions), stocks, network.heads.count), np.nan, dtype=np.float32)
    # Frozen, because torch multiplies in another order, to other last bits, where a weight might want a gradient.
    network.eval().requires_grad_(False)
    with torch.inference_mode():
        for place, session in enumerate(sessions.tolist()):
            batch = panel.batch([session])
            if batch.stock_SN.numel() == 0:
                continue
            found = network(batch.x_SNTF, batch.valid_SNT, batch.m_SM)
            score_SNH[place, batch.stock_SN[0].numpy()] = found.score_SNH[0].numpy()
    return score_SNH


def heads_of(score_SNH: Floats32, horizons: tuple[int, ...]) -> dict[str, Floats32]:
    """Scores by horizon, as a blend wants them."""
    return {str(horizon): score_SNH[..., place] for place, horizon in enumerate(horizons)}


def _epoch(course: Course, lessons: Lessons, settings: RankerSettings, seed: int, track: Track) -> None:
    """Train on every session once, judge the averaged weights, and keep them where they are the best so far."""
    number = len(course.epochs)
    total = settings.epochs * -(-len(lessons.train) // settings.batch)
    losses, load_E = [], torch.zeros(settings.experts, dtype=torch.float64)
    # One seed per epoch: where a training takes up again, its chance does as well.
    with torch_state(settings.threads, int(np.random.SeedSequence([seed, number + 1]).generate_state(1)[0])):
        course.network.train()
        for places in track(torch.split(torch.randperm(len(lessons.train)), settings.batch), _label(course, settings)):
            loss, step_load_E = _step(course, lessons, settings, places.numpy(), total)
            losses.append(loss * len(places))
            load_E += step_load_E
        score_SNH = infer(course.averaged, lessons.panel, lessons.valid, lessons.z_SN.shape[1])
    heads = heads_of(score_SNH, lessons.horizons)
    weights = weigh(heads, lessons.z_SN)
    rank_ic = mean_rank_ic(z_blend(heads, weights), lessons.z_SN)
    if not np.isfinite(rank_ic):
        raise KestrelError("No validation session has ten stocks with labels and scores that differ, so the ranker can't stop. See the universe.")
    share = tuple((load_E / load_E.sum().clamp(min=1)).tolist())
    violation = max_violation(load_E) if settings.experts else 0.0
    course.epochs.append(Epoch(sum(losses) / len(lessons.train), rank_ic, violation, share, tuple(weights.values())))
    if course.best_epoch == number:
        course.best = {name: value.clone() for name, value in course.averaged.state_dict().items()}


def _step(course: Course, lessons: Lessons, settings: RankerSettings, places: Sessions, total: int) -> tuple[float, Tensor]:
    """One step of the weights, their average and the routing bias.  (loss, load_E)"""
    network = course.network
    for group in course.optimiser.param_groups:
        group["lr"] = settings.rate * _schedule(course.steps, total, settings.warmup)
    batch = lessons.panel.batch(lessons.train[places].tolist())
    output = network(batch.x_SNTF, batch.valid_SNT, batch.m_SM)
    loss = _loss(output.score_SNH, batch, lessons, settings, places)
    course.optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(course.weights, settings.clip)
    course.optimiser.step()
    load_E = output.load_E.detach()
    if settings.experts:
        network.experts.rebalance(load_E, settings.balance)
    course.steps += 1
    _follow(course, settings.average)
    return float(loss.detach()), load_E


def _loss(p_SNH: Tensor, batch: Batch, lessons: Lessons, settings: RankerSettings, places: Sessions) -> Tensor:
    """The weighted losses; each session counts by its age alone, however many stocks it has."""
    y_SNH = torch.from_numpy(lessons.y_SNH[places[:, None], batch.stock_SN.numpy()])
    known_SNH = y_SNH.isfinite() & batch.valid_SNT[..., -1:]
    y_SNH = torch.where(known_SNH, y_SNH, torch.zeros_like(y_SNH))
    loss_SH = settings.concordance * disagreement(p_SNH, y_SNH, known_SNH) + settings.squares * squares(p_SNH, y_SNH, known_SNH)
    if settings.pairs and p_SNH.shape[1] > 1:
        shifts = torch.randint(1, p_SNH.shape[1], (SHIFTS,)).tolist()
        loss_SH = loss_SH + settings.pairs * wrong_pairs(p_SNH, y_SNH, known_SNH, shifts)
    weight_SH = torch.from_numpy(lessons.weight_S[places])[:, None] * (known_SNH.sum(1) >= FEWEST)
    return (loss_SH * weight_SH).sum() / loss_SH.numel()


@torch.no_grad()
def _follow(course: Course, memory: float) -> None:
    """Move the averaged weights towards the network's; faster at first, when there is little to remember."""
    memory = min(memory, (1 + course.steps) / (10 + course.steps))
    for mean, now in course.followers:
        mean.lerp_(now, 1 - memory)
    course.averaged.experts.bias_E.copy_(course.network.experts.bias_E)


def _optimiser(network: Network, settings: RankerSettings) -> torch.optim.Optimizer:
    """AdamW; only matrices decay, since norms, scales and biases have no reason to be small."""
    matrices = [value for value in network.parameters() if value.ndim > 1]
    others = [value for value in network.parameters() if value.ndim < 2]
    groups = [{"params": matrices, "weight_decay": settings.decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.rate, betas=(0.9, 0.98), fused=True)


def _schedule(step: int, total: int, warmup: float) -> float:
    """Share of the rate: up in a line, down along a cosine."""
    warm = max(round(warmup * total), 1)
    if step < warm:
        return (step + 1) / warm
    progress = (step - warm) / max(total - warm, 1)
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * progress))


def _stopped(course: Course, settings: RankerSettings) -> bool:
    return bool(course.epochs) and len(course.epochs) - 1 - course.best_epoch >= settings.patience


def _label(course: Course, settings: RankerSettings) -> str:
    text = f"ranker: epoch {len(course.epochs) + 1} of {settings.epochs}"
    if not course.epochs:
        return text
    last = course.epochs[-1]
    return f"{text}, loss {last.loss:.3f}, RankIC {last.rank_ic:.4f}"
