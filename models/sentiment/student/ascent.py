"""Multinomial logistic regression by dual coordinate ascent: one text at a time is settled exactly, given the weights that all others ask for.

A sweep over the texts costs what a gradient costs, and about ten sweeps do what hundreds of gradient steps do, however many classes there are.
(Shalev-Shwartz and Zhang 2013; Yu, Huang and Lin 2011)

Dims: N texts, K columns, C classes, P = 2 parts of the loss: labels and teacher.  pull_NC: how far each text's loss pulls each of its logits up.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.sentiment.student.grams import Edges, Floats, Floats32, Ints
from models.sentiment.student.losses import Targets

NEWTON = 30  # steps for one text, at most; two or three are usual
NEAR = 1e-4  # a logit's distance from where it belongs at which a text is settled


def solved(
    matrix: tuple[Edges, Ints, Floats32], columns: int, targets: Targets, strength: float, *, sweeps: int, still: float
) -> tuple[Floats, Floats]:
    """(weights [K, C], bias [C]) with the least strength * loss + (|weights|^2 + |bias|^2) / 2, the loss that of losses.py.

    Ends when a sweep over the texts moves the probabilities of each by less than `still` on average, or after so many sweeps.
    """
    target_PNC, share_NP, warm_P = targets.parts
    weights_KC, pull_NC = np.zeros((columns + 1, targets.classes)), np.zeros((len(targets), targets.classes))
    rng = np.random.default_rng(0)  # texts in an order that tells nothing; where the solution is doesn't depend on it
    for _ in range(sweeps):
        moved = swept(*matrix, target_PNC, share_NP, warm_P, strength, weights_KC, pull_NC, rng.permutation(len(targets)))
        if moved < still:
            break
    return weights_KC[:-1], weights_KC[-1].copy()


@njit(cache=True, nogil=True)
def swept(
    edges: Edges,
    columns: Ints,
    values: Floats32,
    target_PNC: Floats,
    share_NP: Floats,
    warm_P: Floats,
    strength: float,
    weights_KC: Floats,
    pull_NC: Floats,
    order: NDArray[np.int64],
) -> float:
    """One sweep in place; the mean over the texts of how far their pulls moved.  The last row of the weights is the bias, a column of ones.

    Between texts, weights = strength * (matrix, ones)' @ pull holds.
    """
    classes, moved = weights_KC.shape[1], 0.0
    bias_C, z_C, new_C, step_C = weights_KC[-1], np.empty(classes), np.empty(classes), np.empty(classes)
    for n in order:
        z_C[:] = bias_C
        square = 1.0
        for k in range(edges[n], edges[n + 1]):
            value, weight_C = np.float64(values[k]), weights_KC[columns[k]]
            square += value * value
            for c in range(classes):
                z_C[c] += value * weight_C[c]
        settled(z_C, pull_NC[n], strength * square, target_PNC[:, n], share_NP[n], warm_P, new_C)
        for c in range(classes):
            moved += abs(new_C[c] - pull_NC[n, c])
            step_C[c] = strength * (new_C[c] - pull_NC[n, c])
            pull_NC[n, c] = new_C[c]
            bias_C[c] += step_C[c]
        for k in range(edges[n], edges[n + 1]):
            value, weight_C = np.float64(values[k]), weights_KC[columns[k]]
            for c in range(classes):
                weight_C[c] += value * step_C[c]
    return moved / len(order)


@njit(cache=True, nogil=True)
def settled(z_C: Floats, pull_C: Floats, reach: float, target_PC: Floats, share_P: Floats, warm_P: Floats, new_C: Floats) -> None:
    """The pull at which a text is content: z + reach * (new - pull) = the logits where its loss has the gradient -new.

    Newton's method on the logits, which it leaves in z.  The curvature is that of one softmax of all parts' mean: exact for one part, and never
    less than the truth for two.  A step is damped by the spread of what it changes, which brings convergence from anywhere.
    (Sun and Tran-Dinh 2018)
    """
    classes, still_C = len(z_C), z_C - reach * pull_C
    p_C, mean_C, step_C = np.empty(classes), np.empty(classes), np.empty(classes)
    for _ in range(NEWTON):
        mean_C[:] = 0.0
        new_C[:] = 0.0
        for part in range(len(share_P)):
            if share_P[part] > 0:
                softened(z_C, warm_P[part], p_C)
                for c in range(classes):
                    mean_C[c] += share_P[part] * p_C[c]
                    new_C[c] += share_P[part] * warm_P[part] * (target_PC[part, c] - p_C[c])
        worst, along, across = 0.0, 0.0, 0.0
        for c in range(classes):
            step_C[c] = z_C[c] - still_C[c] - reach * new_C[c]
            worst = max(worst, abs(step_C[c]))
            step_C[c] /= 1 + reach * mean_C[c]
            along += mean_C[c] * step_C[c]
            across += mean_C[c] ** 2 / (1 + reach * mean_C[c])
        if worst < NEAR:
            return
        push = reach * along / (share_P.sum() - reach * across)  # the inverse of a diagonal less one row times itself (Sherman and Morrison 1950)
        least, most = math.inf, -math.inf
        for c in range(classes):
            step_C[c] += push * mean_C[c] / (1 + reach * mean_C[c])
            least, most = min(least, step_C[c]), max(most, step_C[c])
        damping = math.log1p(most - least) / (most - least) if most - least > 1e-9 else 1.0
        for c in range(classes):
            z_C[c] -= damping * step_C[c]


@njit(cache=True, nogil=True)
def softened(z_C: Floats, warm: float, out_C: Floats) -> None:
    """The softmax of z / warm into out."""
    most, total = z_C.max(), 0.0
    for c in range(len(z_C)):
        out_C[c] = math.exp((z_C[c] - most) / warm)
        total += out_C[c]
    for c in range(len(z_C)):
        out_C[c] /= total
