"""From what a model says about the labels 1 … 5 to five probabilities, and from those to calibrated ones."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LABELS = ("1", "2", "3", "4", "5")
PRIOR = 0.5  # Dirichlet(1/2): Jeffreys' prior of a multinomial
FLOOR = 1e-9  # of a probability whose logarithm is taken
_LABEL = re.compile(r"(?:评分|答案|score|answer)?\s*[:：]?\s*\**([1-5])\**\s*[。.]?", re.IGNORECASE)
_EVENT = re.compile(r"[\s,，;；、]*(?:事件|event)?\s*[:：]?\s*\**([A-Z])\**\s*[。.]?\s*", re.IGNORECASE)

Five = tuple[float, float, float, float, float]
Floats = NDArray[np.float64]


class Unlabelled(Exception):
    """The model's answer is none of the labels."""


def from_logs(logs: Sequence[float], *, least_mass: float) -> Five:
    """Probabilities from the labels' five log-probabilities; raises Unlabelled where they hold less than `least_mass` of all tokens."""
    mass = np.exp(np.asarray(logs, dtype=np.float64))
    if not np.isfinite(mass).all() or mass.sum() < max(least_mass, FLOOR):
        raise Unlabelled(f"the labels have {mass.sum():.3f} of the probability, less than {least_mass}")
    return five(mass / mass.sum())


def from_top(top: Mapping[str, float], *, least_mass: float) -> Five:
    """The same from the likeliest tokens that a server lists {token: log-probability}.

    Spellings of a label (with a space before it) add up.  A label that isn't listed is at most as likely as the last one that is,
    and counted so.
    """
    if not top:
        raise Unlabelled("the server listed no token")
    found = dict.fromkeys(LABELS, 0.0)
    for token, log in top.items():
        if token.strip() in found:
            found[token.strip()] += math.exp(log)
    listed = sum(found.values())
    if listed < max(least_mass, FLOOR):
        raise Unlabelled(f"the labels have {listed:.3f} of the probability, less than {least_mass}")
    least = math.exp(min(top.values()))
    mass = np.array([found[label] or least for label in LABELS])
    return five(mass / mass.sum())


def told_event(top: Mapping[str, float], letters: Mapping[str, str], *, least_mass: float) -> str | None:
    """The event whose letter is the likeliest of the listed tokens {token: log-probability}; None where letters have less than `least_mass`."""
    mass = dict.fromkeys(letters, 0.0)
    for token, log in top.items():
        if token.strip() in mass:
            mass[token.strip()] += math.exp(log)
    return letters[max(mass, key=lambda letter: mass[letter])] if sum(mass.values()) >= max(least_mass, FLOOR) else None


def from_draws(labels: Sequence[str]) -> Five:
    """Probabilities from the labels of several samples, with a Dirichlet(1/2) prior."""
    counts = np.array([labels.count(label) for label in LABELS], dtype=np.float64)
    return five((counts + PRIOR) / (counts.sum() + PRIOR * len(LABELS)))


def read_label(text: str) -> str:
    """The one label that an answer consists of; raises Unlabelled for anything else."""
    found = _LABEL.fullmatch(text.strip())
    if found is None:
        raise Unlabelled(f"the answer is no label: {text.strip()[:40]!r}")
    return found[1]


def read_both(text: str) -> tuple[str, str | None]:
    """(label, letter of an event) of an answer that has both, as in '2 C'; the letter is None where there is none.

    Raises Unlabelled where it has no label, or more than the two.
    """
    found = _LABEL.match(text.strip())
    letter = _EVENT.fullmatch(text.strip()[found.end() :]) if found else None
    return (found[1], letter[1].upper()) if found and letter else (read_label(text), None)


def five(values: Floats | Sequence[float]) -> Five:
    """Five plain floats."""
    a, b, c, d, e = (float(value) for value in values)
    return a, b, c, d, e


@dataclass(frozen=True)
class Calibration:
    """Divide by the prior of news without content, then soften or sharpen.  (Zhao et al. 2021; Guo et al. 2017)"""

    prior: Five = (0.2, 0.2, 0.2, 0.2, 0.2)
    temperature: float = 1.0

    def __call__(self, probabilities: Five) -> Five:
        """softmax((log p - log prior) / temperature)."""
        scaled = (np.log(np.maximum(probabilities, FLOOR)) - np.log(np.maximum(self.prior, FLOOR))) / self.temperature
        mass = np.exp(scaled - scaled.max())
        return five(mass / mass.sum())


def fit_temperature(probabilities: Floats, classes: NDArray[np.int64]) -> float:
    """The temperature under which past labels are likeliest.  probabilities: [n, 5]; classes: -1, 0 or 1 a row.

    Where no past label is 0, only the two sides of the scale are compared: such labels can't say how likely nothing is.
    """
    from scipy.optimize import minimize_scalar  # half a second that no other command should pay

    logs = np.log(np.maximum(probabilities, FLOOR))
    groups = [np.array([0, 1]), np.array([2]), np.array([3, 4])]
    judged = (-1, 0, 1) if (classes == 0).any() else (-1, 1)

    def loss(log_temperature: float) -> float:
        mass = np.exp((logs - logs.max(axis=1, keepdims=True)) / math.exp(log_temperature))
        sides = np.stack([mass[:, groups[side + 1]].sum(axis=1) for side in judged], axis=1)
        chosen = sides[np.arange(len(classes)), np.searchsorted(judged, classes)]
        return float(-np.log(np.maximum(chosen / sides.sum(axis=1), FLOOR)).mean())

    return math.exp(float(minimize_scalar(loss, bounds=(math.log(0.05), math.log(20.0)), method="bounded").x))
