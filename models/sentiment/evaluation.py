"""How well probabilities tell classes: accuracy, macro-F1, AUC, calibration, each with an interval.  Dims: N texts, C classes, B draws."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from factors.ranks import Floats

Ints = NDArray[np.int64]
DRAWS = 1000
LEVEL = 1.959963984540054  # 95 % of a normal lie within


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


def evaluation(p_NC: Floats, labels_N: Ints, *, seed: int = 0) -> dict[str, Estimate]:
    """Accuracy (Wilson 1927), macro_f1, auc, ece (percentiles of a bootstrap over texts) and log_loss of probabilities against labels."""
    figures: dict[str, Callable[[Floats, Ints], float]] = {"macro_f1": macro_f1, "auc": auc, "ece": calibration_error, "log_loss": log_loss}
    hits = int((p_NC.argmax(axis=1) == labels_N).sum())
    rng = np.random.default_rng(seed)
    draws_BN = rng.integers(0, len(labels_N), (DRAWS, len(labels_N)))
    found = {"accuracy": wilson(hits, len(labels_N))}
    for name, figure in figures.items():
        drawn = [figure(p_NC[rows], labels_N[rows]) for rows in draws_BN]
        low, high = np.nanpercentile(drawn, [2.5, 97.5])
        found[name] = Estimate(figure(p_NC, labels_N), float(low), float(high))
    return found


def wilson(hits: int, count: int) -> Estimate:
    """A share with its 95 % interval.  (Wilson 1927)"""
    share, square = hits / count, LEVEL**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = LEVEL * np.sqrt(share * (1 - share) / count + square / (4 * count**2)) / (1 + square / count)
    return Estimate(share, float(middle - half), float(middle + half))


def gain(right_N: NDArray[np.bool_], floor_N: NDArray[np.bool_], *, seed: int = 0) -> Estimate:
    """How much more often one is right than the other on the same texts; interval by a bootstrap over texts."""
    difference_N = right_N.astype(np.float64) - floor_N
    rng = np.random.default_rng(seed)
    drawn = [float(difference_N[rng.integers(0, len(difference_N), len(difference_N))].mean()) for _ in range(DRAWS)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(float(difference_N.mean()), float(low), float(high))


def macro_f1(p_NC: Floats, labels_N: Ints) -> float:
    """Mean F1 over the classes that stand in the labels or the answers."""
    answers_N, classes = p_NC.argmax(axis=1), p_NC.shape[1]
    both = np.bincount(labels_N[answers_N == labels_N], minlength=classes)
    total = np.bincount(labels_N, minlength=classes) + np.bincount(answers_N, minlength=classes)
    return float(np.mean(2 * both[total > 0] / total[total > 0]))


def auc(p_NC: Floats, labels_N: Ints) -> float:
    """Mean over the classes of the area under the curve against all others; ties count half, NaN where only one class is there."""
    areas = []
    for c in range(p_NC.shape[1]):
        mine = labels_N == c
        if 0 < mine.sum() < len(mine):
            _, place, often = np.unique(p_NC[:, c], return_inverse=True, return_counts=True)
            rank = (np.cumsum(often) - (often - 1) / 2)[place]
            areas.append((rank[mine].sum() - mine.sum() * (mine.sum() + 1) / 2) / (mine.sum() * (~mine).sum()))
    return float(np.mean(areas)) if areas else float("nan")


def calibration_error(p_NC: Floats, labels_N: Ints, *, bins: int = 15) -> float:
    """Expected calibration error of the most probable class over bins of equal width.  (Guo et al. 2017)"""
    return sum(one.texts * abs(one.right - one.sure) for one in reliability(p_NC, labels_N, bins=bins)) / len(labels_N)


@dataclass(frozen=True)
class Bin:
    """Texts whose most probable class has about the same probability: how many, that probability's mean, and the share that is right."""

    texts: int
    sure: float
    right: float


def reliability(p_NC: Floats, labels_N: Ints, *, bins: int = 15) -> list[Bin]:
    """Bins of equal width of the most probable class's probability, from unsure to sure; those without a text are left out."""
    sure_N, right_N = p_NC.max(axis=1), p_NC.argmax(axis=1) == labels_N
    bin_N = np.minimum((sure_N * bins).astype(np.int64), bins - 1)
    return [Bin(int(mine.sum()), float(sure_N[mine].mean()), float(right_N[mine].mean())) for mine in (bin_N == one for one in np.unique(bin_N))]


def confusion(p_NC: Floats, labels_N: Ints) -> Ints:
    """How often a text of one class (rows) gets another as its most probable one (columns), [C, C]."""
    classes = p_NC.shape[1]
    return np.bincount(labels_N * classes + p_NC.argmax(axis=1), minlength=classes**2).reshape(classes, classes)


def log_loss(p_NC: Floats, labels_N: Ints) -> float:
    """Mean of minus the logarithm of the label's probability."""
    return float(-np.log(np.maximum(p_NC[np.arange(len(labels_N)), labels_N], 1e-12)).mean())
