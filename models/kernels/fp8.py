"""Mixture of experts in 8 bits, an experiment for inference: e4m3 numbers, a scale per 128 of a row and per 128 x 128 of a weight.

Dims: R tokens, E experts, K experts of a token, P = R K places, C channels, I inner channels (both multiples of 128).
Accepted where its scores' rank correlation with BF16 is at least 0.999 and it is 1.2 times faster; nothing chooses it by itself.

Kernels: as in experts.py, but each product of 128 deep is scaled and added up in float32, and what lies between the two products is
quantised again where it is made.  Eight-bit tensor cores want both sides deep-contiguous, so weights lie transposed.  (DeepSeek-V3, 2024)
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import silu

from models.kernels.dispatch import Path, kernels_run
from models.kernels.experts import add_up
from models.kernels.groups import group, most_tiles
from models.kernels.launch import ceil_div, jit, launch, operation, padded, tl
from models.kernels.routing import Route

SIDE = 128  # of a block with one scale
LARGEST = 448.0  # of e4m3
LEAST = 1e-12  # so that a row of zeros has a scale


class Eighths(NamedTuple):
    """Experts' weights in 8 bits, each matrix [E, out, in], beside the scales of its blocks [E, out / 128, in / 128]."""

    gate_EIC: Tensor
    gate_scale: Tensor
    up_EIC: Tensor
    up_scale: Tensor
    down_ECI: Tensor
    down_scale: Tensor


def quantised(w_gate_ECI: Tensor, w_up_ECI: Tensor, w_down_EIC: Tensor) -> Eighths:
    """The experts' weights in 8 bits; raises ValueError where a side isn't a multiple of 128."""
    if w_gate_ECI.shape[1] % SIDE or w_gate_ECI.shape[2] % SIDE:
        raise ValueError(f"8-bit experts need widths in multiples of {SIDE}, not {w_gate_ECI.shape[1]} and {w_gate_ECI.shape[2]}")
    return Eighths(*_blocks(w_gate_ECI.mT), *_blocks(w_up_ECI.mT), *_blocks(w_down_EIC.mT))


def rows(x_RC: Tensor) -> tuple[Tensor, Tensor]:
    """Rows in 8 bits, and a scale per 128 numbers as [R, C / 128]."""
    x_RBS = x_RC.float().unflatten(1, (-1, SIDE))
    scale_RB = x_RBS.abs().amax(-1).clamp(min=LEAST) / LARGEST
    return (x_RBS / scale_RB[..., None]).flatten(1).to(torch.float8_e4m3fn), scale_RB


def moe_ffn_fp8(x_RC: Tensor, weights: Eighths, route: Route, *, path: Path | None = None) -> Tensor:
    """y_RC, of x's type: `moe_ffn` in 8 bits; no gradient."""
    if not kernels_run("moe_ffn_fp8", x_RC, f"C{x_RC.shape[1]} I{weights.gate_EIC.shape[1]} E{padded(len(weights.gate_EIC))}", path):
        return reference(x_RC, weights, route)
    return FFN(x_RC, *rows(x_RC), *weights, *route)


@torch.no_grad()
def reference(x_RC: Tensor, weights: Eighths, route: Route) -> Tensor:
    """The same in plain torch: numbers rounded to 8 bits, then multiplied in float32."""
    seen_RC = _restored(*rows(x_RC))
    gate, up, down = (_whole(weights[at], weights[at + 1]) for at in (0, 2, 4))
    x_PC = seen_RC[route.order_P // route.expert_RK.shape[1]]
    counts = route.counts_E.tolist()
    *groups, absent_GC = torch.split(x_PC, [*counts, len(x_PC) - sum(counts)])
    parts = []
    for expert, x_GC in enumerate(groups):
        inner_GI = silu(x_GC @ gate[expert].T) * (x_GC @ up[expert].T)
        parts.append(_restored(*rows(inner_GI)) @ down[expert].T)
    y_PC = torch.cat([*parts, torch.zeros_like(absent_GC)])[route.order_P.argsort()]
    return (y_PC.view(*route.expert_RK.shape, -1) * route.weight_RK[..., None]).sum(1).to(x_RC.dtype)


def _blocks(w_EMN: Tensor) -> tuple[Tensor, Tensor]:
    """(w, scales): a scale per 128 x 128."""
    tiles = w_EMN.float().unflatten(1, (-1, SIDE)).unflatten(3, (-1, SIDE))  # [E, M / 128, 128, N / 128, 128]
    scale = tiles.abs().amax((2, 4)).clamp(min=LEAST) / LARGEST
    return (tiles / scale[:, :, None, :, None]).flatten(3).flatten(1, 2).to(torch.float8_e4m3fn).contiguous(), scale


def _restored(x: Tensor, scale: Tensor) -> Tensor:
    return (x.float().unflatten(1, (-1, SIDE)) * scale[..., None]).flatten(1)


def _whole(w: Tensor, scale: Tensor) -> Tensor:
    return w.float() * scale.repeat_interleave(SIDE, 1).repeat_interleave(SIDE, 2)


def _ffn(
    x: Tensor, x8: Tensor, x_scale: Tensor, gate: Tensor, gate_scale: Tensor, up: Tensor, up_scale: Tensor, down: Tensor, down_scale: Tensor,
    expert: Tensor, weight: Tensor, order: Tensor, counts: Tensor,
) -> Tensor:  # fmt: skip
    """y_RC."""
    (experts, inner, channels), places = gate.shape, len(order)
    y, y_PC = torch.empty_like(x), x.new_empty((places, channels))
    inner8, inner_scale = x8.new_empty((places, inner)), x_scale.new_empty((places, inner // SIDE))
    constants: dict[str, Any] = {"E": experts, "C": channels, "I": inner, "WIDE": padded(experts), "ROWS": 64, "SIDE": SIDE}
    tiles = most_tiles(places, 64, experts) if places else 0
    ragged = {"order": order, "counts": counts, **constants}
    sources = {"x": x8, "x_scale": x_scale, "gate": gate, "gate_scale": gate_scale, "up": up, "up_scale": up_scale}
    results = {"inner": inner8, "inner_scale": inner_scale, "K": expert.shape[1], "LARGEST": LARGEST, "LEAST": LEAST}
    launch(_inner, tiles * ceil_div(inner, SIDE), {**sources, **results, **ragged}, warps=8, stages=3)
    sources = {"inner": inner8, "inner_scale": inner_scale, "down": down, "down_scale": down_scale, "weight": weight.contiguous()}
    launch(_outer, tiles * ceil_div(channels, SIDE), {**sources, "y": y_PC, **ragged}, warps=8, stages=3)
    add_up(y_PC, expert, y, experts)
    return y


FFN = operation("moe_ffn_fp8", _ffn)


@jit
def _scaled(a, a_scale, b, b_scale):
    """A product of 128 deep in float32: rows' scales times the block's."""
    return tl.dot(a, tl.trans(b)) * (a_scale * b_scale)[:, None]


@jit
def _inner(
    x, x_scale, gate, gate_scale, up, up_scale, inner, inner_scale, order, counts, K: tl.constexpr, E: tl.constexpr, C: tl.constexpr,
    I: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr, SIDE: tl.constexpr, LARGEST: tl.constexpr, LEAST: tl.constexpr,
):  # fmt: skip
    expert, first, end = group(tl.program_id(0) // (I // SIDE), counts, E, WIDE, ROWS)
    if expert >= E:
        return
    row, s, block = first + tl.arange(0, ROWS), tl.arange(0, SIDE), tl.program_id(0) % (I // SIDE)
    i = block * SIDE + s
    token = tl.load(order + row, mask=row < end, other=0) // K
    a, b = tl.zeros((ROWS, SIDE), tl.float32), tl.zeros((ROWS, SIDE), tl.float32)
    for deep in range(C // SIDE):
        c = deep * SIDE + s
        x_rc = tl.load(x + token[:, None] * C + c[None, :], mask=(row < end)[:, None], other=0.0)
        x_r = tl.load(x_scale + token * (C // SIDE) + deep, mask=row < end, other=0.0)
        there, place = (expert * I + i)[:, None] * C + c[None, :], (expert * (I // SIDE) + block) * (C // SIDE) + deep
        a += _scaled(x_rc, x_r, tl.load(gate + there), tl.load(gate_scale + place))
        b += _scaled(x_rc, x_r, tl.load(up + there), tl.load(up_scale + place))
    answer = a / (1 + tl.exp(-a)) * b
    scale = tl.maximum(tl.max(tl.abs(answer), 1), LEAST) / LARGEST
    tl.store(inner + row[:, None] * I + i[None, :], (answer / scale[:, None]).to(inner.dtype.element_ty), mask=(row < end)[:, None])
    tl.store(inner_scale + row * (I // SIDE) + block, scale, mask=row < end)


@jit
def _outer(
    inner, inner_scale, down, down_scale, weight, y, order, counts,
    E: tl.constexpr, C: tl.constexpr, I: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr, SIDE: tl.constexpr,
):  # fmt: skip
    expert, first, end = group(tl.program_id(0) // (C // SIDE), counts, E, WIDE, ROWS)
    if expert >= E:
        return
    row, s, block = first + tl.arange(0, ROWS), tl.arange(0, SIDE), tl.program_id(0) % (C // SIDE)
    c, sum_rc = block * SIDE + s, tl.zeros((ROWS, SIDE), tl.float32)
    for deep in range(I // SIDE):
        i = deep * SIDE + s
        inner_ri = tl.load(inner + row[:, None] * I + i[None, :], mask=(row < end)[:, None], other=0.0)
        inner_r = tl.load(inner_scale + row * (I // SIDE) + deep, mask=row < end, other=0.0)
        w = tl.load(down + (expert * C + c)[:, None] * I + i[None, :])
        sum_rc += _scaled(inner_ri, inner_r, w, tl.load(down_scale + (expert * (C // SIDE) + block) * (I // SIDE) + deep))
    place = tl.load(order + row, mask=row < end, other=0)
    sum_rc *= tl.load(weight + place, mask=row < end, other=0.0)[:, None]
    tl.store(y + place[:, None] * C + c[None, :], sum_rc.to(y.dtype.element_ty), mask=(row < end)[:, None])
