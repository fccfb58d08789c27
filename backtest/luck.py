"""How much of the best of many backtests is luck: the deflated Sharpe ratio and the probability of backtest overfitting.

r_D is one series of returns, x_DC one for each of C configurations that were tried, over the same D sessions: usually excess over the
benchmark.  Ratios here are of one session, not of a year.
"""

from itertools import combinations
from math import e, sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from data.errors import KestrelError
from data.panel import Floats

EULER = 0.5772156649015329
NORMAL = NormalDist()


class Overfit(NamedTuple):
    """What cross-validation says of choosing the best.

    probability: how often the best of one half is below the median of the other.  loss: how often its ratio there is negative.
    slope: of its ratio in the other half over its ratio in its own; negative where more in one half means less in the other.
    logits: of its relative rank in the other half, one for each split.
    """

    probability: float
    loss: float
    slope: float
    logits: Floats


def ratio(r_D: Floats) -> float:
    """Mean over standard deviation (ddof 1) of a series; NaN where it doesn't move."""
    spread = float(np.std(r_D, ddof=1)) if len(r_D) > 1 else 0.0
    return float(np.mean(r_D)) / spread if spread > 0 else float("nan")


def probabilistic_sharpe(r_D: Floats, threshold: float = 0.0) -> float:
    """Probability that the true ratio of a series lies above `threshold`, its length, skew and fat tails counted.

    Phi[(SR - threshold) sqrt(D - 1) / sqrt(1 - skew SR + (kurtosis - 1) / 4 SR^2)], kurtosis 3 for a normal distribution; moments are those
    of the sample.  (Bailey and Lopez de Prado 2012, The Sharpe ratio efficient frontier)
    """
    found = ratio(r_D)
    z_D = (r_D - np.mean(r_D)) / np.std(r_D) if found == found else r_D
    skew, kurtosis = float(np.mean(z_D**3)), float(np.mean(z_D**4))
    variance = 1 - skew * found + (kurtosis - 1) / 4 * found**2
    return NORMAL.cdf((found - threshold) * sqrt(len(r_D) - 1) / sqrt(variance)) if variance > 0 else float("nan")


def expected_best(spread: float, trials: float) -> float:
    """Expected largest ratio of so many independent trials that know nothing, whose ratios have the standard deviation `spread`.

    spread [(1 - g) Z(1 - 1 / n) + g Z(1 - 1 / (n e))], g Euler's constant, Z the normal quantile; 0 for a single trial.  (Bailey and Lopez
    de Prado 2014, The deflated Sharpe ratio: correcting for selection bias, backtest overfitting and non-normality, equation 1)
    """
    if trials <= 1:
        return 0.0
    return spread * ((1 - EULER) * NORMAL.inv_cdf(1 - 1 / trials) + EULER * NORMAL.inv_cdf(1 - 1 / (trials * e)))


def independent_trials(x_DC: Floats) -> float:
    """How many independent trials C correlated ones are worth: rho + (1 - rho) C, rho their mean correlation, at least 0.

    (Bailey and Lopez de Prado 2014, appendix 3.)  A series that doesn't move is no trial.
    """
    moving_DC = x_DC[:, x_DC.std(axis=0) > 0]
    count = moving_DC.shape[1]
    if count < 2:
        return float(count)
    z_DC = (moving_DC - moving_DC.mean(axis=0)) / moving_DC.std(axis=0)
    rho = float((z_DC.sum(axis=1) ** 2).mean() - count) / (count * (count - 1))  # mean of all pairs without their matrix
    return max(rho, 0.0) + (1 - max(rho, 0.0)) * count


def deflated_sharpe(x_DC: Floats, best: int | None = None) -> float:
    """Probability that the chosen configuration (the best ratio by default) is better than the best of as many that know nothing.

    The probabilistic ratio above `expected_best`, with the spread of the ratios tried and `independent_trials`.  Above .95 is the usual
    demand.  (Bailey and Lopez de Prado 2014)
    """
    ratios_C = np.array([ratio(x_DC[:, c]) for c in range(x_DC.shape[1])])
    known = ratios_C[np.isfinite(ratios_C)]
    if not len(known):
        return float("nan")
    chosen = int(np.nanargmax(ratios_C)) if best is None else best
    spread = float(known.std(ddof=1)) if len(known) > 1 else 0.0
    return probabilistic_sharpe(x_DC[:, chosen], expected_best(spread, independent_trials(x_DC)))


def overfitting(x_DC: Floats, blocks: int = 16) -> Overfit:
    """Combinatorially symmetric cross-validation of choosing the highest ratio.

    The sessions are cut into an even number of blocks; for every choice of half of them the configuration with the best ratio there is
    looked up in the other half: its relative rank w = rank / (C + 1) there, ties sharing theirs, gives the logit ln(w / (1 - w)), and the
    probability is the share of logits that aren't above 0.  About .5 for noise.  (Bailey, Borwein, Lopez de Prado and Zhu 2017, The
    probability of backtest overfitting; 16 blocks make 12,870 splits.)
    Sessions beyond a multiple of the blocks are left out at the start.  Raises KestrelError for fewer than two configurations, an odd
    number of blocks, or fewer than two sessions a block.
    """
    sessions, count = x_DC.shape
    if count < 2 or blocks < 2 or blocks % 2 or sessions < 2 * blocks:
        found = f"{count} configurations over {sessions} sessions in {blocks} blocks"
        raise KestrelError(
            f"{found} can't be cross-validated. Give two configurations or more, and an even number of blocks of two sessions or more."
        )
    size = sessions // blocks
    x_BSC = x_DC[sessions - blocks * size :].reshape(blocks, size, count)
    sums_BC, squares_BC = x_BSC.sum(axis=1), (x_BSC**2).sum(axis=1)
    halves = np.zeros((len(list(combinations(range(blocks), blocks // 2))), blocks))
    for row, chosen in enumerate(combinations(range(blocks), blocks // 2)):
        halves[row, list(chosen)] = 1.0
    inside = _ratios(halves @ sums_BC, halves @ squares_BC, size * blocks // 2)
    outside = inside[::-1]  # the complement of the i-th combination is the i-th from the end
    best = inside.argmax(axis=1)
    rows = np.arange(len(best))
    own, theirs = inside[rows, best], outside[rows, best]
    rank = (outside < theirs[:, None]).sum(axis=1) + ((outside == theirs[:, None]).sum(axis=1) + 1) / 2
    relative = rank / (count + 1)
    logits = np.log(relative / (1 - relative))
    spread = float(own.var())
    slope = float(((own - own.mean()) * (theirs - theirs.mean())).mean()) / spread if spread > 0 else float("nan")
    return Overfit(float((logits <= 0).mean()), float((theirs < 0).mean()), slope, logits)


def _ratios(sums: Floats, squares: Floats, size: int) -> Floats:
    """Mean over deviation from sums and sums of squares; -inf for a series that doesn't move, which nobody chooses."""
    mean = sums / size
    variance = (squares - size * mean**2) / (size - 1)
    out = np.full(sums.shape, -np.inf)
    np.divide(mean, np.sqrt(np.maximum(variance, 0)), out=out, where=variance > 1e-12 * squares / size)
    return out
