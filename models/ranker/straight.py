"""The straight way's weights: solved and not descended to, since what is linear drowns in the noise of small steps.

A weight is w + the sum of (tilt x its own w'), where the tilts are the main directions in which the market's gauges move together.
(Conditional weights: Shanken 1990; Kelly, Pruitt and Su 2019.)
Dims: S sessions, N stocks of a session, Q rows of the panel, F factors, M gauges, P tilts, K = 1 + P, L styles, C choices of shrinkage.
"""

from itertools import product

import numpy as np
import torch
from torch import Tensor

from factors.judge import FEWEST, mean_rank_ic
from models.dataset import Floats32
from models.ranker.parts import Straight
from models.ranker.step import Lessons

# Of steady and of moved weights, in variances of an input; the plainest comes first, and wins among equals.
SHRINKAGE = tuple(product((3.0, 0.3, 0.03), (100.0, 10.0, 1.0)))


@torch.no_grad()
def solve(straight: Straight, lessons: Lessons, horizon: int, *, style: float = 0.0) -> None:
    """Find the directions of the training sessions' market and, for the shrinkage with the best validation RankIC, the weights.

    horizon: of the labels; where no head has it, the nearest that one has.  style: weight of the squared covariance with each style.
    """
    place = min(range(len(lessons.horizons)), key=lambda at: abs(lessons.horizons[at] - horizon))
    _look(straight, lessons.panel.m_DM[lessons.train])
    gram_KFKF, moment_KF = _equations(straight, lessons, place)
    if style and lessons.styles:
        lean_LKF = gram_KFKF[0, list(lessons.styles)]  # how much a unit of each weight makes the scores go with a style
        gram_KFKF = gram_KFKF + style * torch.einsum("akf,alg->kflg", lean_LKF, lean_LKF)
    weights_CKF = torch.stack([_solved(gram_KFKF, moment_KF, *shrinkage) for shrinkage in SHRINKAGE]).to(straight.weights_KF)
    found = [mean_rank_ic(score_SN, lessons.z_SN) for score_SN in _opinions(straight, lessons, weights_CKF)]
    straight.weights_KF.copy_(weights_CKF[int(np.argmax(np.nan_to_num(found, nan=-1.0)))])


def _look(straight: Straight, m_SM: Tensor) -> None:
    """Take the first principal directions of the gauges, each in its own deviations; one in which nothing moves stays 0."""
    m_SM = m_SM.double()
    centre_M = m_SM.mean(0)
    _, size_P, direction_PM = torch.linalg.svd(m_SM - centre_M, full_matrices=False)
    tilts = min(straight.tilt_MP.shape[1], len(size_P))
    size_P, direction_PM = size_P[:tilts], direction_PM[:tilts]
    scale_P = torch.where(size_P > 1e-6 * len(m_SM) ** 0.5, len(m_SM) ** 0.5 / size_P, 0.0)
    straight.centre_M.copy_(centre_M)
    straight.tilt_MP[:, :tilts].copy_(direction_PM.T * scale_P)


def _equations(straight: Straight, lessons: Lessons, place: int) -> tuple[Tensor, Tensor]:
    """(gram_KFKF, moment_KF) of all weights; the market is the same for all stocks of a session, so a session adds a Kronecker product."""
    panel, (steps, factors) = lessons.panel, straight.weights_KF.shape
    step_SK = straight.market(panel.m_DM[lessons.train].to(straight.centre_M)).double()
    gram_KKFF = step_SK.new_zeros(steps * steps, factors * factors)
    moment_KF = step_SK.new_zeros(steps, factors)
    total = 0.0
    for at, session in enumerate(lessons.train.tolist()):
        row_N, stock_N = panel.present(session)
        y_N = torch.from_numpy(lessons.y_SNH[at, stock_N, place]).to(row_N.device)
        known_N = y_N.isfinite()
        if int(known_N.sum()) < FEWEST:
            continue
        x_NF, step_K, weight = panel.x_QF[row_N[known_N], :factors].double(), step_SK[at], float(lessons.weight_S[at])
        gram_KKFF.addr_(torch.outer(step_K, step_K).flatten(), (x_NF.T @ x_NF).flatten(), alpha=weight / len(x_NF))
        moment_KF.addr_(step_K, x_NF.T @ y_N[known_N].double(), alpha=weight / len(x_NF))
        total += weight
    gram_KFKF = gram_KKFF.view(steps, steps, factors, factors).permute(0, 2, 1, 3)
    return gram_KFKF / total, moment_KF / total


def _opinions(straight: Straight, lessons: Lessons, weights_CKF: Tensor) -> Floats32:
    """score_CSN on the validation sessions, NaN where a stock isn't present."""
    panel, sessions = lessons.panel, lessons.valid
    score_CSN = np.full((len(weights_CKF), *lessons.z_SN.shape), np.nan, dtype=np.float32)
    step_SK = straight.market(panel.m_DM[sessions].to(straight.centre_M))
    for at, session in enumerate(sessions.tolist()):
        row_N, stock_N = panel.present(session)
        weights_CF = torch.einsum("k,ckf->cf", step_SK[at], weights_CKF)
        score_CSN[:, at, stock_N] = (weights_CF @ panel.x_QF[row_N, : weights_CF.shape[1]].T).cpu().numpy()
    return score_CSN


def _solved(gram_KFKF: Tensor, moment_KF: Tensor, steady: float, moved: float) -> Tensor:
    """weights_KF of ridge with one shrinkage for the steady weights and one for those that the market moves."""
    shrinkage_KF = torch.full_like(moment_KF, moved)
    shrinkage_KF[0] = steady
    size = moment_KF.numel()
    solution: Tensor = torch.linalg.solve(gram_KFKF.reshape(size, size) + torch.diag(shrinkage_KF.flatten()), moment_KF.flatten())
    return solution.view_as(moment_KF)
