"""What one step of the training reads, and the loss it makes small.

Dims: S sessions, N stocks of a session (padded), T lookback, F inputs, H horizons, K styles, E experts.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from factors.judge import FEWEST
from models.dataset import Floats32, Sessions
from models.ranker.body import Body
from models.ranker.losses import disagreement, lean, squares, wrong_pairs
from models.ranker.panel import Panel
from models.ranker.ring import Ring
from models.ranker.settings import RankerSettings

SHIFTS = 8  # pairs of each stock in a step


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
    styles: tuple[int, ...] = ()  # columns of the panel that a score shouldn't lean on

    @cached_property
    def stocks_S(self) -> Sessions:
        """Stocks present in each training session."""
        return np.array([self.panel.count(session) for session in self.train.tolist()], dtype=np.int64)


@dataclass(frozen=True)
class Step:
    """A step's windows and labels, where the panel is.  sessions: of the whole step, whichever members of a ring have them."""

    row_SNT: Tensor
    m_SM: Tensor
    y_SNH: Tensor  # 0 where unknown
    known_SNH: Tensor
    weight_S: Tensor
    shifts: Tensor
    sessions: int
    counts: float  # 1; 0 where this member only looks on

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All that changes from step to step, as long as sessions and slots are as many."""
        return self.row_SNT, self.m_SM, self.y_SNH, self.known_SNH, self.weight_S, self.shifts

    @classmethod
    def of(cls, lessons: Lessons, places: Sessions, ring: Ring, *, pairs: bool, slots: int = 0) -> "Step":
        """This member's share of a step over these training sessions.  Slots and pairs are those of the whole step, so no share changes them.

        slots: perhaps more than its stocks need.
        """
        device = lessons.panel.x_QF.device
        slots = max(slots, int(lessons.stocks_S[places].max()))
        shifts = torch.randint(1, slots, (SHIFTS,)) if pairs and slots > 1 else torch.empty(0, dtype=torch.int64)
        own, counts = places[list(ring.share(len(places)))], 1.0
        if not len(own):  # more members than sessions: this one looks on
            own, counts = places[:1], 0.0
        batch = lessons.panel.batch(lessons.train[own].tolist(), slots=slots)
        y_SNH = torch.from_numpy(lessons.y_SNH[own[:, None], batch.stock_SN.numpy()]).to(device)
        known_SNH = y_SNH.isfinite() & (batch.row_SNT[..., -1:] > 0)
        weight_S = counts * torch.from_numpy(lessons.weight_S[own]).to(device)
        return cls(batch.row_SNT, batch.m_SM, torch.where(known_SNH, y_SNH, 0.0), known_SNH, weight_S, shifts.to(device), len(places), counts)

    def holds(self, other: "Step") -> bool:
        """Whether another step has this one's shapes."""
        return [one.shape for one in self.tensors] == [one.shape for one in other.tensors]

    def take(self, other: "Step") -> None:
        """Become another step of these shapes, in the same tensors."""
        for own, theirs in zip(self.tensors, other.tensors, strict=True):
            own.copy_(theirs)


def loss_of(network: Body, lessons: Lessons, seen: Step, settings: RankerSettings) -> tuple[Tensor, Tensor]:
    """(loss, load_E): the weighted losses; each session counts by its age alone, however many stocks it has."""
    x_QF = lessons.panel.x_QF
    with mixed(x_QF.device.type, settings.precision):
        output = network(x_QF, seen.row_SNT, seen.m_SM)
    p_SNH, known_SNH = output.score_SNH.float(), seen.known_SNH
    loss_SH = settings.concordance * disagreement(p_SNH, seen.y_SNH, known_SNH) + settings.squares * squares(p_SNH, seen.y_SNH, known_SNH)
    if settings.pairs and len(seen.shifts):
        loss_SH = loss_SH + settings.pairs * wrong_pairs(p_SNH, seen.y_SNH, known_SNH, seen.shifts)
    if settings.style and lessons.styles:
        loss_SH = loss_SH + settings.style * lean(p_SNH, x_QF[seen.row_SNT[..., -1]][..., list(lessons.styles)], seen.row_SNT[..., -1] > 0)
    weight_SH = seen.weight_S[:, None] * (known_SNH.sum(1) >= FEWEST)
    return (loss_SH * weight_SH).sum() / (seen.sessions * len(lessons.horizons)), output.load_E * seen.counts


def mixed(device: str, precision: str) -> AbstractContextManager[object]:
    """Products in bfloat16 where asked for, by default on a GPU; weights, norms, router, softmax and losses stay in float32."""
    low = precision == "bfloat16" or (precision == "auto" and device == "cuda")
    return torch.autocast(device, torch.bfloat16) if low else nullcontext()
