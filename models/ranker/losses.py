"""What training makes small: disagreement, squared error and wrong pairs, session by session and horizon by horizon.

Dims: S sessions, N stocks, H horizons.  Every loss counts the known labels only.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.kernels.pairs import pair_loss

TINY = 1e-8


def disagreement(p_SNH: Tensor, y_SNH: Tensor, known_SNH: Tensor) -> Tensor:
    """1 - CCC as [S, H]: correlation that also asks for the right level and spread, so that a flat score isn't enough.  (Lin 1989)"""
    p_mean, y_mean = _mean(p_SNH, known_SNH), _mean(y_SNH, known_SNH)
    p_SNH, y_SNH = p_SNH - p_mean, y_SNH - y_mean
    both = _mean(p_SNH * y_SNH, known_SNH)
    size = _mean(p_SNH.square(), known_SNH) + _mean(y_SNH.square(), known_SNH) + (p_mean - y_mean).square()
    return (1 - 2 * both / (size + TINY))[:, 0]


def squares(p_SNH: Tensor, y_SNH: Tensor, known_SNH: Tensor) -> Tensor:
    """Mean squared error as [S, H]."""
    return _mean((p_SNH - y_SNH).square(), known_SNH)[:, 0]


def wrong_pairs(p_SNH: Tensor, y_SNH: Tensor, known_SNH: Tensor, shifts: Sequence[int] | Tensor) -> Tensor:
    """Logistic loss of pairs as [S, H], each pair counted by how far its labels are apart.  (RankNet, Burges et al. 2005)

    Pairs are the stocks `shift` places apart, in a circle: a sample that costs N instead of N^2 and covers all pairs over the steps.
    """
    return pair_loss(p_SNH, y_SNH, known_SNH, shifts)


def lean(p_SNH: Tensor, style_SNK: Tensor, present_SN: Tensor) -> Tensor:
    """Squared correlation of the scores with each style, averaged over the styles, as [S, H]."""
    kept_SN1 = present_SN[..., None]
    p_SNH, style_SNK = p_SNH - _mean(p_SNH, kept_SN1), style_SNK - _mean(style_SNK, kept_SN1)
    p_SNH, style_SNK = (torch.where(kept_SN1, one, 0.0) for one in (p_SNH, style_SNK))
    both_SHK = torch.einsum("snh,snk->shk", p_SNH, style_SNK) / kept_SN1.sum(1).clamp(min=1)[..., None]
    size_SHK = _mean(p_SNH.square(), kept_SN1)[:, 0, :, None] * _mean(style_SNK.square(), kept_SN1)[:, 0, None, :]
    return (both_SHK.square() / (size_SHK + TINY)).mean(-1)


def _mean(values_SNH: Tensor, known_SNH: Tensor) -> Tensor:
    """Means over the known stocks as [S, 1, H]; 0 where none is."""
    kept = torch.where(known_SNH, values_SNH, torch.zeros_like(values_SNH))
    return kept.sum(1, keepdim=True) / known_SNH.sum(1, keepdim=True).clamp(min=1)
