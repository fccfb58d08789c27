"""Mixture of experts: what the chosen experts make of a token.

Dims: R tokens, E experts, K experts of a token, P = R K places (token by token), C channels, I inner channels of an expert, N blocks of them.

Kernels: rows sorted by expert are cut into tiles (groups.py); each kernel gathers its rows from where they lie and writes every place's
answer to a slot of its own, which a last kernel adds up over the K places of a token.  Weights' gradients are products over the rows of
one expert.  Saved for backward: the inputs and both inner products before the gate, [P, I] each, in the inputs' type.
(grouped products over ragged groups: Gale et al. 2022)
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import silu

from models.kernels.dispatch import Path, kernels_run, may_ask
from models.kernels.groups import group, most_tiles
from models.kernels.launch import ceil_div, computed, jit, launch, numbers, operation, padded, sums, tl
from models.kernels.routing import MOST_EXPERTS, Route, moe_route

__all__ = ["Route", "max_violation", "moe_ffn", "moe_route"]

TOKENS = 32  # of a program that adds up
Grads = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def moe_ffn(x_RC: Tensor, w_gate_ECI: Tensor, w_up_ECI: Tensor, w_down_EIC: Tensor, route: Route, *, path: Path | None = None) -> Tensor:
    """y_RC: the weighted sum of what each token's experts answer, every expert a SwiGLU of its own; 0 for an absent token.  (Shazeer 2020)"""
    if not kernels_run("moe_ffn", x_RC, shape_class(x_RC, w_gate_ECI), path):
        return (reference if may_ask() else everywhere)(x_RC, w_gate_ECI, w_up_ECI, w_down_EIC, route)
    dtype = computed(x_RC)
    weights = (one.to(dtype).contiguous() for one in (w_gate_ECI, w_up_ECI, w_down_EIC))
    return FFN(x_RC.to(dtype).contiguous(), *weights, *route)[0]


def reference(x_RC: Tensor, w_gate_ECI: Tensor, w_up_ECI: Tensor, w_down_EIC: Tensor, route: Route) -> Tensor:
    """The same in plain torch, in any type; asks the device for the counts."""
    active = route.expert_RK.shape[1]
    # Expanding before permuting keeps every index unique, so that no gradient is summed in an order that threads decide.
    x_PC = x_RC[:, None].expand(-1, active, -1).flatten(0, 1)[route.order_P]
    counts = route.counts_E.tolist()
    *groups, absent_GC = torch.split(x_PC, [*counts, len(x_PC) - sum(counts)])
    parts = []
    for expert, x_GC in enumerate(groups):
        inner_GI = silu(x_GC @ w_gate_ECI[expert]) * (x_GC @ w_up_ECI[expert])
        parts.append(inner_GI @ w_down_EIC[expert])
    if len(absent_GC):
        parts.append(torch.zeros_like(absent_GC))
    y_PC = torch.cat(parts)[route.order_P.argsort()]
    return (y_PC.view(-1, active, x_RC.shape[1]) * route.weight_RK[..., None]).sum(dim=1)


def everywhere(x_RC: Tensor, w_gate_ECI: Tensor, w_up_ECI: Tensor, w_down_EIC: Tensor, route: Route) -> Tensor:
    """The same in plain torch without asking the device: every expert answers every token, E / K times the products."""
    experts = len(w_gate_ECI)
    # An absent token's experts are the one after the last.
    weight_RE = route.weight_RK.new_zeros((len(x_RC), experts + 1)).scatter(1, route.expert_RK, route.weight_RK)[:, :experts]
    inner_ERI = silu(x_RC @ w_gate_ECI) * (x_RC @ w_up_ECI)
    return ((inner_ERI @ w_down_EIC) * weight_RE.T[..., None]).sum(dim=0)


def max_violation(counts_E: Tensor) -> float:
    """How far the busiest expert's load lies above the mean: 0 is balance, E / K - 1 is every token on the same experts.  (Wang et al. 2024)"""
    load_E = counts_E.to(torch.float64)
    return float(load_E.max() / load_E.mean().clamp(min=1e-12) - 1)


def shape_class(x_RC: Tensor, w_gate_ECI: Tensor) -> str:
    """The class that paths are measured by; empty beyond 127 experts."""
    experts, channels, inner = w_gate_ECI.shape
    return f"C{padded(channels)} I{padded(inner)} E{padded(experts)}" if experts <= MOST_EXPERTS else ""


def _tiling(x: Tensor, w_gate: Tensor) -> tuple[dict[str, Any], dict[str, int]]:
    """Constants of the kernels, and how they are run.  A float32 product is three TF32 products and wants smaller tiles."""
    experts, channels, inner = w_gate.shape
    side = 64 if x.element_size() == 2 else 32
    constants = {"E": experts, "C": channels, "I": inner, "WIDE": padded(experts)}
    return {**constants, "ROWS": 64, "COLUMNS": side, "DEEP": side, **numbers(x.dtype)}, {"warps": 4, "stages": 3}


def _ffn(
    x: Tensor, w_gate: Tensor, w_up: Tensor, w_down: Tensor, expert: Tensor, weight: Tensor, order: Tensor, counts: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """(y_RC, gate_PI, up_PI), the last two by position in the order."""
    constants, run = _tiling(x, w_gate)
    k = expert.shape[1]
    y, gate, up = torch.empty_like(x), *(x.new_empty((len(order), w_gate.shape[2])) for _ in range(2))
    y_PC = x.new_empty((len(order), x.shape[1]))
    tiles = most_tiles(len(order), constants["ROWS"], constants["E"]) if len(order) else 0
    ragged = {"order": order, "counts": counts}
    inner = {"x": x, "w_gate": w_gate, "w_up": w_up, "gate": gate, "up": up}
    launch(_inner, tiles * ceil_div(w_gate.shape[2], constants["COLUMNS"]), {**inner, **ragged, **constants, "K": k}, **run)
    outer = {"gate": gate, "up": up, "w_down": w_down, "weight": weight.contiguous(), "y": y_PC}
    launch(_outer, tiles * ceil_div(x.shape[1], constants["COLUMNS"]), {**outer, **ragged, **constants}, **run)
    add_up(y_PC, expert, y, constants["E"])
    return y, gate, up


def _gradient(
    dy: Tensor, x: Tensor, w_gate: Tensor, w_up: Tensor, w_down: Tensor,
    expert: Tensor, weight: Tensor, order: Tensor, counts: Tensor, gate: Tensor, up: Tensor,
) -> Grads:  # fmt: skip
    """(dx, dw_gate, dw_up, dw_down, dweight), each of its own's type."""
    constants, run = _tiling(x, w_gate)
    (tokens, k), (experts, channels, inner) = expert.shape, w_gate.shape
    dy, ragged = dy.contiguous(), {"order": order, "counts": counts}
    tiles = most_tiles(len(order), constants["ROWS"], experts) if len(order) else 0
    dgate, dup, answer = torch.empty_like(gate), torch.empty_like(gate), torch.empty_like(gate)
    blocks = ceil_div(inner, constants["COLUMNS"])
    dweight_NP = torch.zeros((blocks, len(order)), dtype=sums(x.dtype), device=x.device)
    tensors = {"dy": dy, "w_down": w_down, "gate": gate, "up": up, "weight": weight.contiguous()}
    results = {"dgate": dgate, "dup": dup, "answer": answer, "dweight": dweight_NP}
    # Four tiles are alive at its end: with 4 warps it spills.
    launch(_dinner, tiles * blocks, {**tensors, **results, **ragged, "places": len(order), **constants, "K": k}, warps=8, stages=3)
    dx, dx_PC = torch.empty_like(x), x.new_empty((len(order), channels))
    tensors = {"dgate": dgate, "dup": dup, "w_gate": w_gate, "w_up": w_up, "dx": dx_PC}
    launch(_douter, tiles * ceil_div(channels, constants["COLUMNS"]), {**tensors, **ragged, **constants}, **run)
    add_up(dx_PC, expert, dx, experts)
    products = []
    for left, right, gathered in ((x, dgate, "left"), (x, dup, "left"), (answer, dy, "right")):
        product = torch.empty((experts, left.shape[1], right.shape[1]), dtype=x.dtype, device=x.device)
        sides = {"M": left.shape[1], "N": right.shape[1], "LEFT": gathered == "left", "K": k}
        settings = {name: constants[name] for name in ("E", "WIDE", "COLUMNS", "DEEP", "ACC", "PRECISION")}
        programs = experts * ceil_div(left.shape[1], 64) * ceil_div(right.shape[1], constants["COLUMNS"])
        launch(_ragged, programs, {"left": left, "right": right, "product": product, **ragged, **sides, **settings, "TALL": 64}, **run)
        products.append(product)
    return dx, products[0], products[1], products[2], dweight_NP.sum(0).view(tokens, k).to(weight.dtype)


def add_up(y_PC: Tensor, expert: Tensor, y: Tensor, experts: int) -> None:
    """Write the sums of the K slots of each token into y_RC."""
    (tokens, k), channels = expert.shape, y.shape[1]
    constants = {"E": experts, "C": channels, "K": k, "TOKENS": TOKENS, "WIDE": padded(channels), "ACC": numbers(y.dtype)["ACC"]}
    launch(_add, ceil_div(tokens, TOKENS), {"slots": y_PC, "expert": expert, "y": y, "tokens": tokens, **constants}, warps=8, stages=1)


def _save(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs, output[1], output[2])


def _differentiate(ctx: Any, dy: Tensor, dgate: Tensor, dup: Tensor) -> tuple[Tensor | None, ...]:
    dx, dw_gate, dw_up, dw_down, dweight = GRADIENT(dy, *ctx.saved_tensors)
    return dx, dw_gate, dw_up, dw_down, None, dweight, None, None


GRADIENT = operation("moe_ffn_backward", _gradient)
FFN = operation("moe_ffn", _ffn, save=_save, differentiate=_differentiate)


@jit
def _inner(
    x, w_gate, w_up, gate, up, order, counts, K: tl.constexpr, E: tl.constexpr, C: tl.constexpr, I: tl.constexpr, WIDE: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEEP: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """gate_PI and up_PI of a tile: x W."""
    blocks: tl.constexpr = (I + COLUMNS - 1) // COLUMNS
    expert, first, end = group(tl.program_id(0) // blocks, counts, E, WIDE, ROWS)
    if expert >= E:
        return
    row, c = first + tl.arange(0, ROWS), tl.arange(0, DEEP)
    i = tl.program_id(0) % blocks * COLUMNS + tl.arange(0, COLUMNS)
    token = tl.load(order + row, mask=row < end, other=0) // K
    a, b = tl.zeros((ROWS, COLUMNS), ACC), tl.zeros((ROWS, COLUMNS), ACC)
    for at in range(0, C, DEEP):
        inside = at + c < C
        x_rc = tl.load(x + token[:, None] * C + at + c[None, :], mask=(row < end)[:, None] & inside[None, :], other=0.0)
        place = (expert * C + at + c)[:, None] * I + i[None, :]
        real = inside[:, None] & (i < I)[None, :]
        a += tl.dot(x_rc, tl.load(w_gate + place, mask=real, other=0.0), input_precision=PRECISION)
        b += tl.dot(x_rc, tl.load(w_up + place, mask=real, other=0.0), input_precision=PRECISION)
    there, mask = row[:, None] * I + i[None, :], (row < end)[:, None] & (i < I)[None, :]
    tl.store(gate + there, a.to(gate.dtype.element_ty), mask=mask)
    tl.store(up + there, b.to(up.dtype.element_ty), mask=mask)


@jit
def _outer(
    gate, up, w_down, weight, y, order, counts, E: tl.constexpr, C: tl.constexpr, I: tl.constexpr, WIDE: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEEP: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """y_PC of a tile, each row in its place's slot: weight (silu(gate) up) W."""
    blocks: tl.constexpr = (C + COLUMNS - 1) // COLUMNS
    expert, first, end = group(tl.program_id(0) // blocks, counts, E, WIDE, ROWS)
    if expert >= E:
        return
    row, i = first + tl.arange(0, ROWS), tl.arange(0, DEEP)
    c = tl.program_id(0) % blocks * COLUMNS + tl.arange(0, COLUMNS)
    sum_rc = tl.zeros((ROWS, COLUMNS), ACC)
    for at in range(0, I, DEEP):
        there, mask = row[:, None] * I + at + i[None, :], (row < end)[:, None] & (at + i < I)[None, :]
        a = tl.load(gate + there, mask=mask, other=0.0).to(ACC)
        inner = a / (1 + tl.exp(-a)) * tl.load(up + there, mask=mask, other=0.0).to(ACC)
        w = tl.load(w_down + (expert * I + at + i)[:, None] * C + c[None, :], mask=(at + i < I)[:, None] & (c < C)[None, :], other=0.0)
        sum_rc += tl.dot(inner.to(w.dtype), w, input_precision=PRECISION)
    place = tl.load(order + row, mask=row < end, other=0)
    sum_rc *= tl.load(weight + place, mask=row < end, other=0.0).to(ACC)[:, None]
    tl.store(y + place[:, None] * C + c[None, :], sum_rc.to(y.dtype.element_ty), mask=(row < end)[:, None] & (c < C)[None, :])


@jit
def _add(slots, expert, y, tokens, E: tl.constexpr, C: tl.constexpr, K: tl.constexpr, TOKENS: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr):
    """Sums of the K slots of each token; 0 for an absent one, whose slots nobody wrote."""
    token, c = tl.program_id(0).to(tl.int64) * TOKENS + tl.arange(0, TOKENS), tl.arange(0, WIDE)
    here = token < tokens
    present = tl.load(expert + token * K, mask=here, other=E) < E
    total = tl.zeros((TOKENS, WIDE), ACC)
    for slot in tl.static_range(K):
        there = (token * K + slot)[:, None] * C + c[None, :]
        total += tl.load(slots + there, mask=present[:, None] & (c < C)[None, :], other=0.0).to(ACC)
    tl.store(y + token[:, None] * C + c[None, :], total.to(y.dtype.element_ty), mask=here[:, None] & (c < C)[None, :])


@jit
def _dinner(
    dy, w_down, gate, up, weight, dgate, dup, answer, dweight, order, counts, places, K: tl.constexpr, E: tl.constexpr, C: tl.constexpr,
    I: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEEP: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Of a tile: dgate, dup, the weighted answer silu(gate) up, and this block's share of dweight: dy W' against that answer."""
    blocks: tl.constexpr = (I + COLUMNS - 1) // COLUMNS
    expert, first, end = group(tl.program_id(0) // blocks, counts, E, WIDE, ROWS)
    if expert >= E:
        return
    block = tl.program_id(0) % blocks
    row, c, i = first + tl.arange(0, ROWS), tl.arange(0, DEEP), block * COLUMNS + tl.arange(0, COLUMNS)
    place = tl.load(order + row, mask=row < end, other=0)
    dinner = tl.zeros((ROWS, COLUMNS), ACC)
    for at in range(0, C, DEEP):
        dy_rc = tl.load(dy + (place // K)[:, None] * C + at + c[None, :], mask=(row < end)[:, None] & (at + c < C)[None, :], other=0.0)
        w = tl.load(w_down + (expert * I + i)[:, None] * C + at + c[None, :], mask=(i < I)[:, None] & (at + c < C)[None, :], other=0.0)
        dinner += tl.dot(dy_rc, tl.trans(w), input_precision=PRECISION)
    there, mask = row[:, None] * I + i[None, :], (row < end)[:, None] & (i < I)[None, :]
    a, b = tl.load(gate + there, mask=mask, other=0.0).to(ACC), tl.load(up + there, mask=mask, other=0.0).to(ACC)
    open_ri = 1 / (1 + tl.exp(-a))
    share = tl.load(weight + place, mask=row < end, other=0.0).to(ACC)[:, None]
    tl.store(dweight + block.to(tl.int64) * places + place, tl.sum(dinner * a * open_ri * b, 1), mask=row < end)
    tl.store(answer + there, (share * a * open_ri * b).to(answer.dtype.element_ty), mask=mask)
    dinner *= share
    tl.store(dup + there, (dinner * a * open_ri).to(dup.dtype.element_ty), mask=mask)
    tl.store(dgate + there, (dinner * b * open_ri * (1 + a * (1 - open_ri))).to(dgate.dtype.element_ty), mask=mask)


@jit
def _douter(
    dgate, dup, w_gate, w_up, dx, order, counts, E: tl.constexpr, C: tl.constexpr, I: tl.constexpr, WIDE: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEEP: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """dx_PC of a tile, each row in its place's slot: dgate W' + dup W'."""
    blocks: tl.constexpr = (C + COLUMNS - 1) // COLUMNS
    expert, first, end = group(tl.program_id(0) // blocks, counts, E, WIDE, ROWS)
    if expert >= E:
        return
    row, i = first + tl.arange(0, ROWS), tl.arange(0, DEEP)
    c = tl.program_id(0) % blocks * COLUMNS + tl.arange(0, COLUMNS)
    sum_rc = tl.zeros((ROWS, COLUMNS), ACC)
    for at in range(0, I, DEEP):
        there, mask = row[:, None] * I + at + i[None, :], (row < end)[:, None] & (at + i < I)[None, :]
        w = (expert * C + c)[:, None] * I + at + i[None, :]
        real = (c < C)[:, None] & (at + i < I)[None, :]
        w_gate_ic, w_up_ic = tl.trans(tl.load(w_gate + w, mask=real, other=0.0)), tl.trans(tl.load(w_up + w, mask=real, other=0.0))
        sum_rc += tl.dot(tl.load(dgate + there, mask=mask, other=0.0), w_gate_ic, input_precision=PRECISION)
        sum_rc += tl.dot(tl.load(dup + there, mask=mask, other=0.0), w_up_ic, input_precision=PRECISION)
    place = tl.load(order + row, mask=row < end, other=0)
    tl.store(dx + place[:, None] * C + c[None, :], sum_rc.to(dx.dtype.element_ty), mask=(row < end)[:, None] & (c < C)[None, :])


@jit
def _ragged(
    left, right, product, order, counts, M: tl.constexpr, N: tl.constexpr, LEFT: tl.constexpr, K: tl.constexpr, E: tl.constexpr,
    WIDE: tl.constexpr, TALL: tl.constexpr, COLUMNS: tl.constexpr, DEEP: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Left' right over the rows of one expert, 0 without any; one side lies token by token (the left or the right), the other in order."""
    across: tl.constexpr = (N + COLUMNS - 1) // COLUMNS
    blocks: tl.constexpr = (M + TALL - 1) // TALL * across
    e, expert = tl.arange(0, WIDE), (tl.program_id(0) // blocks).to(tl.int64)
    count = tl.load(counts + e, mask=e < E, other=0)
    first, end = tl.sum(tl.where(e < expert, count, 0), 0), tl.sum(tl.where(e <= expert, count, 0), 0)
    block, r = tl.program_id(0) % blocks, tl.arange(0, DEEP)
    m, n = block // across * TALL + tl.arange(0, TALL), block % across * COLUMNS + tl.arange(0, COLUMNS)
    sum_mn = tl.zeros((TALL, COLUMNS), ACC)
    for at in range(first, end, DEEP):
        row = at + r
        token = tl.load(order + row, mask=row < end, other=0) // K
        a_row, b_row = (token, row) if LEFT else (row, token)
        a = tl.load(left + a_row[:, None] * M + m[None, :], mask=(row < end)[:, None] & (m < M)[None, :], other=0.0)
        b = tl.load(right + b_row[:, None] * N + n[None, :], mask=(row < end)[:, None] & (n < N)[None, :], other=0.0)
        sum_mn += tl.dot(tl.trans(a), b, input_precision=PRECISION)
    there = (expert * M + m)[:, None] * N + n[None, :]
    tl.store(product + there, sum_mn.to(product.dtype.element_ty), mask=(m < M)[:, None] & (n < N)[None, :])
