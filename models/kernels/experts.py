"""Mixture of experts: which experts a token goes to, and what they make of it.  No token is ever dropped.

Dims: R tokens, E experts, K experts of a token, P = R K places (token by token), C channels, I inner channels of an expert.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import silu


class Route(NamedTuple):
    """Where every token goes.  Places sorted by expert, then by token, are what a grouped product wants."""

    expert_RK: Tensor  # int64, best first
    weight_RK: Tensor  # of each chosen expert, 1 in sum; carries the gradient
    order_P: Tensor  # int64: places sorted by expert
    counts_E: Tensor  # int64: places of each expert, its load


def moe_route(logits_RE: Tensor, bias_E: Tensor, k: int) -> Route:
    """The k experts of each token with the highest sigmoid + bias, the lowest index among equals.

    The bias decides who is chosen, not with what weight, and gets no gradient: it is moved by the load alone.  (DeepSeek-V3, 2024)
    """
    score_RE = logits_RE.sigmoid()
    expert_RK = (score_RE.detach() + bias_E).argsort(dim=1, descending=True, stable=True)[:, :k]
    weight_RK = score_RE.gather(1, expert_RK)
    weight_RK = weight_RK / weight_RK.sum(dim=1, keepdim=True)
    order_P = expert_RK.flatten().argsort(stable=True)
    return Route(expert_RK, weight_RK, order_P, torch.bincount(expert_RK.flatten(), minlength=bias_E.shape[0]))


def moe_ffn(x_RC: Tensor, w_gate_ECI: Tensor, w_up_ECI: Tensor, w_down_EIC: Tensor, route: Route) -> Tensor:
    """y_RC: the weighted sum of what each token's experts answer, every expert a SwiGLU of its own.  (Shazeer 2020)"""
    active = route.expert_RK.shape[1]
    # Expanding before permuting keeps every index unique, so that no gradient is summed in an order that threads decide.
    x_PC = x_RC[:, None].expand(-1, active, -1).flatten(0, 1)[route.order_P]
    parts = []
    for expert, x_GC in enumerate(torch.split(x_PC, route.counts_E.tolist())):
        inner_GI = silu(x_GC @ w_gate_ECI[expert]) * (x_GC @ w_up_ECI[expert])
        parts.append(inner_GI @ w_down_EIC[expert])
    y_PC = torch.cat(parts)[route.order_P.argsort()]
    return (y_PC.view(-1, active, x_RC.shape[1]) * route.weight_RK[..., None]).sum(dim=1)


def max_violation(counts_E: Tensor) -> float:
    """How far the busiest expert's load lies above the mean: 0 is balance, E / K - 1 is every token on the same experts.  (Wang et al. 2024)"""
    load_E = counts_E.to(torch.float64)
    return float(load_E.max() / load_E.mean().clamp(min=1e-12) - 1)
