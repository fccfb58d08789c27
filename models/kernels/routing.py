"""Which experts a token goes to.  No token is ever dropped, and nothing here waits for the device.

Dims: R tokens, E experts, K experts of a token, P = R K places (token by token), B blocks of TOKENS tokens.

Kernels: the first chooses and counts per block; a running sum over (expert, block) says where each block's places of each expert begin;
the second puts every place at its own position, so nothing is added up in an order that the device decides.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.kernels.dispatch import Path, kernels_run
from models.kernels.launch import ceil_div, jit, launch, numbers, operation, padded, tl

TOKENS = 64
MOST_EXPERTS = 127


class Route(NamedTuple):
    """Where every token goes.  Places sorted by expert, then by token, are what a grouped product wants."""

    expert_RK: Tensor  # int64, best first; E where the token isn't present
    weight_RK: Tensor  # of each chosen expert, 1 in sum; 0 where the token isn't present; carries the gradient
    order_P: Tensor  # int64: places sorted by expert, those of absent tokens last
    counts_E: Tensor  # int64: places of each expert, its load


def moe_route(logits_RE: Tensor, bias_E: Tensor, k: int, present_R: Tensor | None = None, *, path: Path | None = None) -> Route:
    """The k experts of each token with the highest sigmoid + bias, the lowest index among equals; none for a token that isn't present.

    The bias decides who is chosen, not with what weight, and gets no gradient: it is moved by the load alone.  Scores are computed and
    weights given in the logits' type, on the kernels' path in float32 at least.  Saved for backward: logits, experts.  (DeepSeek-V3, 2024)
    """
    if not kernels_run("moe_route", logits_RE, shape_class(logits_RE), path):
        return reference(logits_RE, bias_E, k, present_R)
    weight_RK, expert_RK, order_P, counts_E = ROUTE(logits_RE.contiguous(), bias_E, present_R, k)
    return Route(expert_RK, weight_RK, order_P, counts_E)


def reference(logits_RE: Tensor, bias_E: Tensor, k: int, present_R: Tensor | None = None) -> Route:
    """The same in plain torch, in any type."""
    experts = bias_E.shape[0]
    score_RE = logits_RE.sigmoid()
    expert_RK = (score_RE.detach() + bias_E).argsort(dim=1, descending=True, stable=True)[:, :k]
    weight_RK = score_RE.gather(1, expert_RK)
    weight_RK = weight_RK / weight_RK.sum(dim=1, keepdim=True)
    if present_R is not None:
        expert_RK = expert_RK.masked_fill(~present_R[:, None], experts)
        weight_RK = weight_RK.masked_fill(~present_R[:, None], 0.0)
    order_P = expert_RK.flatten().argsort(stable=True)
    # bincount would ask a GPU for its largest value.
    counts_E = (expert_RK[..., None] == torch.arange(experts, device=expert_RK.device)).sum(dim=(0, 1))
    return Route(expert_RK, weight_RK, order_P, counts_E)


def shape_class(logits_RE: Tensor) -> str:
    """The class that paths are measured by; empty beyond 127 experts."""
    return f"E{padded(logits_RE.shape[1] + 1)}" if logits_RE.shape[1] <= MOST_EXPERTS else ""


def _route(logits: Tensor, bias: Tensor, present: Tensor | None, k: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(weight_RK, expert_RK, order_P, counts_E)."""
    tokens, experts = logits.shape
    blocks = ceil_div(tokens, TOKENS)
    expert, order, counts_EB = (logits.new_empty(shape, dtype=torch.int64) for shape in ((tokens, k), (tokens * k,), (experts + 1, blocks)))
    weight = logits.new_empty((tokens, k), dtype=torch.promote_types(logits.dtype, torch.float32))
    constants: dict[str, Any] = {"E": experts, "K": k, "TOKENS": TOKENS, "WIDE": padded(experts + 1), "SLOTS": padded(k, 1)}
    masked = {"present": logits if present is None else present.contiguous(), "MASKED": present is not None}
    tensors = {"logits": logits, "bias": bias.contiguous(), "expert": expert, "weight": weight, "counts": counts_EB}
    arguments = {**tensors, **masked, "tokens": tokens, **constants, "ACC": numbers(logits.dtype)["ACC"]}
    launch(_choose, blocks, arguments, warps=4, stages=1)
    begin_EB = (counts_EB.flatten().cumsum(0) - counts_EB.flatten()).view_as(counts_EB)
    launch(_arrange, blocks, {"expert": expert, "begin": begin_EB, "order": order, "tokens": tokens, **constants}, warps=4, stages=1)
    return weight, expert, order, counts_EB[:experts].sum(1)


def _gradient(dweight: Tensor, logits: Tensor, expert: Tensor) -> Tensor:
    """dlogits_RE."""
    (tokens, experts), k = logits.shape, expert.shape[1]
    dlogits = torch.empty_like(logits)
    tensors = {"dweight": dweight.contiguous(), "logits": logits, "expert": expert, "dlogits": dlogits}
    constants = {"E": experts, "K": k, "TOKENS": TOKENS, "WIDE": padded(experts + 1), "ACC": numbers(logits.dtype)["ACC"]}
    launch(_backward, ceil_div(tokens, TOKENS), {**tensors, "tokens": tokens, **constants}, warps=4, stages=1)
    return dlogits


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(inputs[0], output[1])
    ctx.mark_non_differentiable(*output[1:])


def _differentiate(ctx: Any, dweight: Tensor, *others: Tensor) -> tuple[Tensor | None, ...]:
    return GRADIENT(dweight, *ctx.saved_tensors), None, None, None


GRADIENT = operation("moe_route_backward", _gradient)
ROUTE = operation("moe_route", _route, save=_save, differentiate=_differentiate)


@jit
def _choose(
    logits, bias, present, expert, weight, counts, tokens,
    E: tl.constexpr, K: tl.constexpr, TOKENS: tl.constexpr, WIDE: tl.constexpr, SLOTS: tl.constexpr, MASKED: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    block, e, j = tl.program_id(0), tl.arange(0, WIDE), tl.arange(0, SLOTS)
    token = block.to(tl.int64) * TOKENS + tl.arange(0, TOKENS)
    there = token < tokens
    here = there
    if MASKED:
        here = there & (tl.load(present + token, mask=there, other=0) != 0)
    logit = tl.load(logits + token[:, None] * E + e[None, :], mask=there[:, None] & (e < E)[None, :], other=0.0).to(ACC)
    score = 1 / (1 + tl.exp(-logit))
    left = tl.where((e < E)[None, :], score + tl.load(bias + e, mask=e < E, other=0.0).to(ACC)[None, :], -1e30)
    experts = tl.full((TOKENS, SLOTS), E, tl.int64)
    weights = tl.zeros((TOKENS, SLOTS), ACC)
    used = tl.where((e == E)[None, :] & (there & ~here)[:, None], K, 0)
    for slot in tl.static_range(K):
        best = tl.argmax(left, 1, tie_break_left=True)
        chosen = e[None, :] == best[:, None]
        left = tl.where(chosen, -2e30, left)
        used += (chosen & here[:, None]).to(tl.int32)
        experts = tl.where((j == slot)[None, :] & here[:, None], best[:, None].to(tl.int64), experts)
        weights = tl.where((j == slot)[None, :] & here[:, None], tl.sum(tl.where(chosen, score, 0.0), 1)[:, None], weights)
    total = tl.sum(weights, 1)
    weights = weights / tl.where(total > 0, total, 1.0)[:, None]
    place, real = token[:, None] * K + j[None, :], there[:, None] & (j < K)[None, :]
    tl.store(expert + place, experts, mask=real)
    tl.store(weight + place, weights.to(weight.dtype.element_ty), mask=real)
    tl.store(counts + e.to(tl.int64) * tl.num_programs(0) + block, tl.sum(used, 0).to(tl.int64), mask=e <= E)


@jit
def _arrange(expert, begin, order, tokens, E: tl.constexpr, K: tl.constexpr, TOKENS: tl.constexpr, WIDE: tl.constexpr, SLOTS: tl.constexpr):
    block, e = tl.program_id(0), tl.arange(0, WIDE)
    token = block.to(tl.int64) * TOKENS + tl.arange(0, TOKENS)
    there = token < tokens
    used = tl.zeros((TOKENS, WIDE), tl.int32)
    for slot in tl.static_range(K):
        chosen = tl.load(expert + token * K + slot, mask=there, other=WIDE)
        used += (chosen[:, None] == e[None, :]).to(tl.int32)
    first = tl.load(begin + e.to(tl.int64) * tl.num_programs(0) + block, mask=e <= E, other=0)
    before = first[None, :] + (tl.cumsum(used, 0) - used).to(tl.int64)
    for slot in tl.static_range(K):
        chosen = tl.load(expert + token * K + slot, mask=there, other=WIDE)
        # All places of an absent token lie side by side, those of others once with each of their experts.
        own = tl.where(chosen == E, slot, 0)
        position = tl.sum(tl.where(chosen[:, None] == e[None, :], before, 0), 1) + own
        tl.store(order + position, token * K + slot, mask=there)


@jit
def _backward(
    dweight, logits, expert, dlogits, tokens, E: tl.constexpr, K: tl.constexpr, TOKENS: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr
):  # fmt: skip
    e = tl.arange(0, WIDE)
    token = tl.program_id(0).to(tl.int64) * TOKENS + tl.arange(0, TOKENS)
    there = token < tokens
    real = there[:, None] & (e < E)[None, :]
    logit = tl.load(logits + token[:, None] * E + e[None, :], mask=real, other=0.0).to(ACC)
    score = 1 / (1 + tl.exp(-logit))
    asked, kept = tl.zeros((TOKENS, WIDE), ACC), tl.zeros((TOKENS, WIDE), ACC)
    for slot in tl.static_range(K):
        chosen = (tl.load(expert + token * K + slot, mask=there, other=E)[:, None] == e[None, :]) & real
        asked += tl.where(chosen, tl.load(dweight + token * K + slot, mask=there, other=0.0).to(ACC)[:, None], 0.0)
        kept += tl.where(chosen, score, 0.0)
    total = tl.sum(kept, 1)
    total = tl.where(total > 0, total, 1.0)[:, None]
    # w = s / sum(s) over the chosen, so ds = (dw - sum(dw w)) / sum(s); elsewhere kept is 0.
    moved = (asked - tl.sum(asked * kept, 1)[:, None] / total) / total * kept * (1 - score)
    tl.store(dlogits + token[:, None] * E + e[None, :], moved.to(dlogits.dtype.element_ty), mask=real)
