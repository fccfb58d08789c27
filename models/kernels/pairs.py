"""The loss of pairs in the wrong order, and its gradient in the same pass; memory grows with the stocks, not with the pairs.

Dims: S sessions, N stocks, H horizons, B blocks of STOCKS stocks.

Kernel: a program takes a block of stocks through all shifts and adds up what each of its stocks gets as the first and as the second of a
pair, so every gradient has one writer.  The gradient waits, undivided, for the sum of all weights.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from models.kernels.dispatch import Path, kernels_run
from models.kernels.launch import ceil_div, jit, launch, numbers, operation, padded, sums, tl

TINY = 1e-8
STOCKS = 128


def pair_loss(p_SNH: Tensor, y_SNH: Tensor, known_SNH: Tensor, shifts: Sequence[int] | Tensor, *, path: Path | None = None) -> Tensor:
    """Logistic loss of pairs as [S, H], each pair counted by how far its labels are apart; 0 without pairs.  (RankNet, Burges et al. 2005)

    Pairs are the stocks `shift` places apart, in a circle: a sample that costs N instead of N^2 and covers all pairs over the steps; shifts
    on the device (int64, in 1 … N - 1) can change between replays of a CUDA graph.  Labels get no gradient.  Saved for backward: the gradient.
    """
    if not kernels_run("pair_loss", p_SNH, shape_class(p_SNH), path):
        return reference(p_SNH, y_SNH, known_SNH, shifts)
    shifts_P = shifts if isinstance(shifts, Tensor) else torch.tensor(shifts, device=p_SNH.device)
    return LOSS(p_SNH.contiguous(), y_SNH.contiguous(), known_SNH.contiguous(), shifts_P)[0]


def reference(p_SNH: Tensor, y_SNH: Tensor, known_SNH: Tensor, shifts: Sequence[int] | Tensor) -> Tensor:
    """The same in plain torch, in any type."""
    loss, total = p_SNH.new_zeros(()), p_SNH.new_zeros(())
    for shift in shifts:
        gap_SNH = y_SNH - _turned(y_SNH, shift)
        weight_SNH = gap_SNH.abs() * (known_SNH & _turned(known_SNH, shift))
        margin_SNH = (p_SNH - _turned(p_SNH, shift)) * gap_SNH.sign()
        loss = loss + (softplus(-margin_SNH) * weight_SNH).sum(1)
        total = total + weight_SNH.sum(1)
    return loss / (total + TINY)


def shape_class(p_SNH: Tensor) -> str:
    """The class that paths are measured by; empty beyond 32 horizons."""
    return f"H{padded(p_SNH.shape[2], 1)}" if p_SNH.shape[2] <= 32 else ""


def _turned(x_SNH: Tensor, shift: "int | Tensor") -> Tensor:
    """Each stock's neighbour `shift` places before, in a circle; a shift on the device stays there."""
    if isinstance(shift, int):
        return x_SNH.roll(shift, 1)
    stocks = x_SNH.shape[1]
    return x_SNH.index_select(1, (torch.arange(stocks, device=x_SNH.device) - shift) % stocks)


def _loss(p: Tensor, y: Tensor, known: Tensor, shifts: Tensor) -> tuple[Tensor, Tensor]:
    """loss_SH, and dloss/dp as [S, N, H]."""
    sessions, stocks, horizons = p.shape
    blocks = ceil_div(stocks, STOCKS)
    wide = sums(p.dtype)
    loss_SBH, total_SBH = (p.new_empty((sessions, blocks, horizons), dtype=wide) for _ in range(2))
    slope_SNH = p.new_empty(p.shape, dtype=wide)
    tensors = {"p": p, "y": y, "known": known, "shifts": shifts.contiguous(), "loss": loss_SBH, "total": total_SBH, "slope": slope_SNH}
    constants = {"H": horizons, "STOCKS": STOCKS, "WIDE": padded(horizons, 1), "ACC": numbers(p.dtype)["ACC"]}
    launch(_pairs, sessions * blocks, {**tensors, "stocks": stocks, "pairs": shifts.shape[0], **constants}, warps=4, stages=1)
    total_SH = total_SBH.sum(1) + TINY
    return (loss_SBH.sum(1) / total_SH).to(p.dtype), slope_SNH / total_SH[:, None]


def _save(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[1])
    ctx.mark_non_differentiable(output[1])


def _differentiate(ctx: Any, dloss: Tensor, dslope: Tensor) -> tuple[Tensor | None, ...]:
    (slope,) = ctx.saved_tensors
    return (slope * dloss[:, None].to(slope.dtype)).to(dloss.dtype), None, None, None


LOSS = operation("pair_loss", _loss, save=_save, differentiate=_differentiate)


@jit
def _margin(p_a, p_b, y_a, y_b, known_a, known_b):
    """Of pairs (a, b): weight, sign of the labels' gap, and how far the scores agree with it."""
    gap = y_a - y_b
    sign = tl.where(gap > 0, 1.0, tl.where(gap < 0, -1.0, 0.0)).to(gap.dtype)
    return tl.where(known_a & known_b, gap * sign, 0.0), sign, (p_a - p_b) * sign


@jit
def _read(p, y, known, at, here, ACC: tl.constexpr):
    return tl.load(p + at, mask=here, other=0.0).to(ACC), tl.load(y + at, mask=here, other=0.0).to(ACC), tl.load(known + at, mask=here, other=0) != 0


@jit
def _pairs(
    p, y, known, shifts, loss, total, slope, stocks, pairs, H: tl.constexpr, STOCKS: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr
):  # fmt: skip
    blocks = tl.cdiv(stocks, STOCKS)
    first, h = (tl.program_id(0) // blocks).to(tl.int64) * stocks, tl.arange(0, WIDE)
    stock = tl.program_id(0) % blocks * STOCKS + tl.arange(0, STOCKS)
    here = (stock < stocks)[:, None] & (h < H)[None, :]
    place = (first + stock)[:, None] * H + h[None, :]
    p_sh, y_sh, known_sh = _read(p, y, known, place, here, ACC)
    loss_sh, total_sh, slope_sh = tl.zeros((STOCKS, WIDE), ACC), tl.zeros((STOCKS, WIDE), ACC), tl.zeros((STOCKS, WIDE), ACC)
    for number in range(pairs):
        shift = tl.load(shifts + number)
        before = (first + (stock + stocks - shift) % stocks)[:, None] * H + h[None, :]
        p_b, y_b, known_b = _read(p, y, known, before, here, ACC)
        weight, sign, margin = _margin(p_sh, p_b, y_sh, y_b, known_sh, known_b)
        loss_sh += weight * (tl.maximum(-margin, 0.0) + tl.log(1 + tl.exp(-tl.abs(margin))))
        total_sh += weight
        slope_sh -= weight * sign / (1 + tl.exp(margin))
        after = (first + (stock + shift) % stocks)[:, None] * H + h[None, :]
        p_a, y_a, known_a = _read(p, y, known, after, here, ACC)
        weight, sign, margin = _margin(p_a, p_sh, y_a, y_sh, known_a, known_sh)
        slope_sh += weight * sign / (1 + tl.exp(margin))
    tl.store(slope + place, slope_sh, mask=here)
    tl.store(loss + tl.program_id(0).to(tl.int64) * H + h, tl.sum(loss_sh, 0), mask=h < H)
    tl.store(total + tl.program_id(0).to(tl.int64) * H + h, tl.sum(total_sh, 0), mask=h < H)
