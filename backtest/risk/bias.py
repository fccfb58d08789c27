"""Did a risk model foretell what came?  Returns over their forecast deviation should deviate by 1."""

import math
from typing import NamedTuple

import numpy as np

from backtest.risk.model import Risk
from data.panel import Floats

# D sessions, P books, N stocks
CLIP = 4.0  # deviations; a few odd sessions shouldn't decide (CLIP of 3 to 4 is usual)


class Bias(NamedTuple):
    """bias_P: deviation of each book's returns over forecasts, 1 where the model is right, above 1 where it says too little.

    inside: share of books within 1 +- sqrt(2 / D), where 95 % of books of a right model with normal returns lie.
    drift: mean over books and rolling windows of the distance of the bias from 1 (the field's MRAD); 0.17 by chance for 12 months.
    """

    bias_P: Floats
    inside: float
    drift: float


def forecast(risk: Risk, books_PN: Floats) -> Floats:
    """Deviation of the next session's return of each book, [P]."""
    exposure_PK = books_PN @ risk.X_NK
    own_P = (books_PN**2) @ np.nan_to_num(risk.specific_N)
    return np.asarray(np.sqrt(np.einsum("pk,kl,pl->p", exposure_PK, risk.F_KK, exposure_PK) + own_P))


def bias(z_DP: Floats, window: int) -> Bias:
    """The bias of standardised returns z_DP, clipped at +-CLIP; NaN (a book that wasn't there) is left out.  window: of the drift."""
    z_DP = np.clip(z_DP, -CLIP, CLIP)
    bias_P = np.nanstd(z_DP, axis=0)
    bound = math.sqrt(2 / len(z_DP))
    rolled = [np.nanstd(z_DP[start : start + window], axis=0) for start in range(0, max(1, len(z_DP) - window + 1), max(1, window // 12))]
    return Bias(bias_P, float(np.mean(np.abs(bias_P - 1) <= bound)), float(np.mean(np.abs(np.stack(rolled) - 1))))
