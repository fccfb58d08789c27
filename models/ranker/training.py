"""Training: sessions in small batches, an average of the weights, a stop where the validation RankIC is best, and an exact resume.

Chance depends on the seed and the epoch alone, so that a training resumed at an epoch goes on as if it had never stopped, and seeds
that train side by side are what each would be by itself.
Dims: S sessions, N stocks, O opinions, E experts.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data.errors import KestrelError
from data.progress import Sized, Track, silent
from factors.judge import mean_rank_ic
from factors.ranks import Floats
from models.blend import weigh, z_blend
from models.dataset import Floats32, Sessions
from models.kernels.experts import max_violation
from models.ranker import checkpoint, ring
from models.ranker.advance import Captured, advance
from models.ranker.body import STRAIGHT, Body
from models.ranker.course import Course, Epoch, begin, mean_weights
from models.ranker.panel import Panel
from models.ranker.parts import Straight
from models.ranker.settings import RankerSettings
from models.ranker.step import Lessons, Step, mixed
from models.ranker.straight import solve

NOWHERE: Mapping[int, Path] = {}
STRAIGHT_SHARE = 2 / 3  # of the vote


@dataclass(frozen=True)
class Taught:
    """The result of a course: weights, how the heads are weighed, and the epochs whose mean the weights are."""

    weights: dict[str, Tensor]
    heads: dict[str, float]
    epochs: tuple[int, ...]


@contextmanager
def torch_state(threads: int, seed: int) -> Iterator[None]:
    """Threads and chance of this block, both put back after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)


def train(
    networks: Mapping[int, Body], lessons: Lessons, settings: RankerSettings, *, track: Track = silent, folders: Mapping[int, Path] = NOWHERE
) -> list[Course]:
    """Train a network per seed, side by side: their steps take turns, so that on a GPU one's launches hide behind another's work.

    folders: by seed, perhaps, where each epoch leaves a checkpoint, and where a training that was stopped is taken up again.
    """
    _solve([network.straight for network in networks.values() if network.straight is not None], lessons, settings)
    turns = [_Turn(network, seed, lessons, settings) for seed, network in networks.items()]
    identities = checkpoint.identities(settings, list(folders), lessons)
    for turn in turns:
        if turn.course.seed in folders:
            checkpoint.restore(folders[turn.course.seed], turn.course, identities[turn.course.seed])
    while running := [turn for turn in turns if not turn.course.stopped(settings)]:
        # One that was killed between two seeds' checkpoints lets those behind catch up first.
        number = min(len(turn.course.epochs) for turn in running)
        running = [turn for turn in running if len(turn.course.epochs) == number]
        _epoch(running, lessons, settings, track)
        for turn in running:
            if turn.course.seed in folders and ring.current().leads:
                checkpoint.keep(folders[turn.course.seed], turn.course, identities[turn.course.seed])
    return [turn.course for turn in turns]


def conclude(course: Course, lessons: Lessons, settings: RankerSettings) -> Taught:
    """The mean of the best epochs' weights if validation finds it no worse than the best epoch alone, else the best epoch's.

    (Averaging checkpoints: Izmailov et al. 2018.)
    """
    best = course.best_epoch
    voters = course.averaged.voters(lessons.horizons)
    single = Taught(course.kept[best], dict(zip(voters, course.epochs[best].weights, strict=True)), (best,))
    if len(course.kept) == 1:
        return single
    together = mean_weights(course.kept)
    course.averaged.load_state_dict(together)
    with torch_state(settings.threads, course.seed):
        rank_ic, heads = _judge(course.averaged, lessons, settings)
    return Taught(together, heads, tuple(sorted(course.kept))) if rank_ic >= course.epochs[best].rank_ic else single


def infer(network: Body, panel: Panel, sessions: Sessions, stocks: int, *, precision: str = "float32") -> Floats32:
    """score_SNO of the present stocks by each voter, NaN elsewhere.  One session at a time, so that the others don't reach the last bit."""
    score_SNO = np.full((len(sessions), stocks, len(network.voters(range(network.horizons)))), np.nan, dtype=np.float32)
    # Frozen, because torch multiplies in another order, to other last bits, where a weight might want a gradient.
    network.eval().requires_grad_(False)
    with torch.inference_mode(), mixed(panel.x_QF.device.type, precision):
        for place, session in enumerate(sessions.tolist()):
            batch = panel.batch([session])
            if batch.stock_SN.numel():
                score_SNO[place, batch.stock_SN[0].numpy()] = network.opinions(panel.x_QF, batch.row_SNT, batch.m_SM)[0].cpu().numpy()
    return score_SNO


def load(network: Body, panel: Panel, sessions: Sessions) -> Floats:
    """load_SE: the share of a session's places that each expert gets; [S, 0] without experts."""
    network.eval().requires_grad_(False)
    found = []
    with torch.inference_mode():
        for session in sessions.tolist():
            batch = panel.batch([session])
            load_E = network(panel.x_QF, batch.row_SNT, batch.m_SM).load_E.double().cpu()
            found.append((load_E / load_E.sum().clamp(min=1)).numpy())
    return np.stack(found)


def _epoch(turns: "Sequence[_Turn]", lessons: Lessons, settings: RankerSettings, track: Track) -> None:
    """Train each course on every session once, judge its averaged weights, and keep them while they are among the best."""
    total = settings.epochs * -(-len(lessons.train) // settings.batch)
    steps = list(zip(*(turn.open() for turn in turns), strict=True))
    stocks = [sum(int(lessons.stocks_S[places].sum()) for places in each) for each in steps]
    for each in track(Sized(steps, stocks, "stocks"), _label([turn.course for turn in turns], settings)):
        for turn, places in zip(turns, each, strict=True):
            turn.step(places, total)
    for turn in turns:
        turn.close()


class _Turn:
    """One seed's part of a training; chance is its own, whoever else takes turns."""

    def __init__(self, network: Body, seed: int, lessons: Lessons, settings: RankerSettings) -> None:
        self.lessons, self.settings, device = lessons, settings, lessons.panel.x_QF.device.type
        captured = settings.capture and device == "cuda" and ring.current().size == 1
        self.course = begin(network, settings, seed, held=device if captured else None)
        self.slots = int(lessons.stocks_S.max()) if captured else 0  # of every step alike, since a graph knows one size
        self.advance = Captured(self.course, lessons, settings) if captured else partial(advance, self.course, lessons, settings)

    def open(self) -> list[Sessions]:
        """Begin an epoch; the sessions of its steps."""
        self.loss, self.load_E = torch.zeros((), dtype=torch.float64), torch.zeros(0, dtype=torch.float64)
        self.course.network.train()
        with torch_state(self.settings.threads, _chance(self.course)):
            order = torch.randperm(len(self.lessons.train))
        return [places.numpy() for places in torch.split(order, self.settings.batch)]

    def step(self, places: Sessions, total: int) -> None:
        """One step of the weights, their average and the routing bias."""
        course, settings = self.course, self.settings
        with torch_state(settings.threads, _chance(course, 1 + course.steps)):
            course.prepare(settings, total)
            seen = Step.of(self.lessons, places, ring.current(), pairs=settings.pairs > 0, slots=self.slots)
            loss, load_E = self.advance(seen)
        course.steps += 1
        # Summed where they are: to read them would be to wait for the device.
        self.loss = self.loss + loss.double() * len(places)
        self.load_E = self.load_E + load_E.double() if len(self.load_E) else load_E.double()

    def close(self) -> None:
        """Judge the averaged weights on the validation sessions and enter the epoch."""
        course, settings, load_E = self.course, self.settings, self.load_E.cpu()
        with torch_state(settings.threads, course.seed):
            rank_ic, heads = _judge(course.averaged, self.lessons, settings)
        share = tuple((load_E / load_E.sum().clamp(min=1)).tolist())
        violation = max_violation(load_E) if len(load_E) else 0.0
        course.close(Epoch(float(self.loss) / len(self.lessons.train), rank_ic, violation, share, tuple(heads.values())), settings.keep)


def _judge(network: Body, lessons: Lessons, settings: RankerSettings) -> tuple[float, dict[str, float]]:
    """(RankIC of the blended voters on the validation sessions, their weights); members of a ring share the work."""
    mine, members, voters = list(ring.current().share(len(lessons.valid))), ring.current(), network.voters(lessons.horizons)
    shape = (*lessons.z_SN.shape, len(voters))
    score_SNO = np.zeros(shape, dtype=np.float32)
    score_SNO[mine] = infer(network, lessons.panel, lessons.valid[mine], shape[1], precision=settings.precision)
    members.add([torch.from_numpy(score_SNO)])  # each session is 0 with all members but one
    votes = {voter: score_SNO[..., place] for place, voter in enumerate(voters)}
    weights = weights_of(votes, lessons.z_SN)
    rank_ic = mean_rank_ic(z_blend(votes, weights), lessons.z_SN)
    if not np.isfinite(rank_ic):
        raise KestrelError("No validation session has ten stocks with labels and scores that differ, so the ranker can't stop. See the universe.")
    return rank_ic, weights


def weights_of(votes: Mapping[str, Floats32], z_SN: Floats32) -> dict[str, float]:
    """The straight way has its share of the vote, where there is one; the heads share the rest by their validation RankIC.

    The epochs are chosen on those sessions, so a head looks better there than it is; the straight way doesn't, and would lose a fair count.
    """
    heads = weigh({voter: score_SN for voter, score_SN in votes.items() if voter != STRAIGHT}, z_SN)
    if STRAIGHT not in votes:
        return heads
    return {voter: weight * (1 - STRAIGHT_SHARE) for voter, weight in heads.items()} | {STRAIGHT: STRAIGHT_SHARE}


def _solve(ways: Sequence[Straight], lessons: Lessons, settings: RankerSettings) -> None:
    """Solve the straight way once for all seeds, since chance has no part in it."""
    for way in ways[:1]:
        with torch_state(settings.threads, 0):
            solve(way, lessons, settings.horizon, style=settings.style)
    for other in ways[1:]:
        other.load_state_dict(ways[0].state_dict())


def _chance(course: Course, *more: int) -> int:
    """A seed for this course's epoch, or a step of it, and nothing else: where a training takes up again, its chance does as well."""
    return int(np.random.SeedSequence([course.seed, len(course.epochs) + 1, *more]).generate_state(1)[0])


def _label(courses: Sequence[Course], settings: RankerSettings) -> str:
    text = f"{settings.body}: epoch {len(courses[0].epochs) + 1} of {settings.epochs}"
    last = [course.epochs[-1] for course in courses if course.epochs]
    if not last:
        return text
    loss, rank_ic = (sum(getattr(epoch, name) for epoch in last) / len(last) for name in ("loss", "rank_ic"))
    return f"{text}, loss {loss:.3f}, RankIC {rank_ic:.4f}"
