"""What a student is fitted to: people's labels, a teacher's probabilities, or both.  Dims: N texts, C classes, P = 2 parts: labels and teacher."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

Floats = NDArray[np.float64]


class DistilSettings(BaseModel):
    """The loss alpha T^2 KL(teacher || student) at temperature T + (1 - alpha) cross-entropy on labels.  (Hinton, Vinyals and Dean 2015)"""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    alpha: float = Field(default=0.7, ge=0, le=1)
    temperature: PositiveFloat = 2.0


@dataclass(frozen=True)
class Targets:
    """human_NC: labels as probabilities.  teacher_NC: the teacher's.  Rows of NaN where there is none; one of the two is there in each row."""

    human_NC: Floats
    teacher_NC: Floats
    settings: DistilSettings

    @property
    def classes(self) -> int:
        """C."""
        return self.human_NC.shape[1]

    def __len__(self) -> int:
        return len(self.human_NC)

    def __getitem__(self, rows: NDArray[np.int64]) -> "Targets":
        return Targets(self.human_NC[rows], self.teacher_NC[rows], self.settings)

    @property
    def parts(self) -> tuple[Floats, Floats, Floats]:
        """(targets [P, N, C], shares [N, P], temperatures [P]) of labels and teacher: the loss is the sum of share * T^2 * cross-entropy at T."""
        labelled_N, taught_N = ~np.isnan(self.human_NC[:, 0]), ~np.isnan(self.teacher_NC[:, 0])
        alpha_N = np.where(labelled_N & taught_N, self.settings.alpha, np.where(taught_N, 1.0, 0.0))
        warm = self.settings.temperature
        soft_NC = softmax(np.log(np.maximum(np.nan_to_num(self.teacher_NC, nan=1.0), 1e-12)) / warm)
        return np.stack([np.nan_to_num(self.human_NC), soft_NC]), np.column_stack([1 - alpha_N, alpha_N]), np.array([1.0, warm])

    @property
    def best_NC(self) -> Floats:
        """What a fit is judged by: the label, or the teacher's probabilities where there is no label."""
        return np.where(np.isnan(self.human_NC), self.teacher_NC, self.human_NC)


def labelled(labels_N: NDArray[np.int64], classes: int) -> Targets:
    """Targets of labels 0 … C - 1 alone."""
    human = np.eye(classes)[labels_N]
    return Targets(human, np.full_like(human, np.nan), DistilSettings())


def taught(teacher_NC: Floats, settings: DistilSettings | None = None, labels_N: NDArray[np.int64] | None = None) -> Targets:
    """Targets of a teacher's probabilities, and of labels where they are 0 … C - 1 (-1: none)."""
    teacher = np.asarray(teacher_NC, dtype=np.float64)
    human = np.full_like(teacher, np.nan)
    if labels_N is not None:
        known = labels_N >= 0
        human[known] = np.eye(teacher.shape[1])[labels_N[known]]
    return Targets(human, teacher, settings or DistilSettings())


def softmax(z_NC: Floats) -> Floats:
    """Probabilities of logits."""
    powers = np.exp(z_NC - z_NC.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def loss(z_NC: Floats, targets: Targets) -> tuple[float, Floats]:
    """(sum over the rows of the loss but for the teacher's own entropy, a constant; its gradient [N, C]) at these logits."""
    target_PNC, share_NP, warm_P = targets.parts
    total, gradient_NC = 0.0, np.zeros_like(z_NC)
    for target_NC, share_N, warm in zip(target_PNC, share_NP.T, warm_P, strict=True):
        entropy_N, slope_NC = _cross_entropy(z_NC / warm, target_NC)
        total += float(np.sum(share_N * warm**2 * entropy_N))
        gradient_NC += share_N[:, None] * warm * slope_NC
    return total, gradient_NC


def _cross_entropy(z_NC: Floats, target_NC: Floats) -> tuple[Floats, Floats]:
    shifted = z_NC - z_NC.max(axis=1, keepdims=True)
    log_total = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    log_p = shifted - log_total
    return -(target_NC * log_p).sum(axis=1), np.exp(log_p) * target_NC.sum(axis=1, keepdims=True) - target_NC


def temperature(z_NC: Floats, target_NC: Floats) -> float:
    """The temperature, between 1/4 and 4, at which the probabilities of these logits have the least cross-entropy."""
    grid = np.exp(np.linspace(np.log(0.25), np.log(4), 81))
    return float(grid[int(np.argmin([_cross_entropy(z_NC / warm, target_NC)[0].mean() for warm in grid]))])


def log_loss(z_NC: Floats, target_NC: Floats) -> float:
    """Mean cross-entropy of the probabilities of these logits."""
    return float(_cross_entropy(z_NC, target_NC)[0].mean())
