"""Attention over the sessions of one stock: sequences so short that a tile of 64 rows holds several, and only bytes count.

Dims: S sequences, T keys, Q queries (the last Q of the T), H heads, D numbers of a head, L = 2T - 1 distances, W walks through the tiles.

Kernels: a tile holds ROWS / PADDED sequences of one head, PADDED >= T; the mask is block-diagonal, so the softmax takes one pass.  A program
walks through every W-th tile of its head, with the bias in registers.  Backward is one kernel that makes the weights again from the saved
logarithms of their sums; each walk adds up its own gradient of the bias, so nothing is added in an order that the device decides.
(tiling and recomputation: Dao et al. 2022; the bias by distance: Shaw et al. 2018, per head)
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from models.kernels.attention import FAR, attend
from models.kernels.dispatch import Path, kernels_run
from models.kernels.launch import ceil_div, computed, jit, launch, numbers, operation, padded, sums, tl

WALKS = 512  # of a head at most: enough for every multiprocessor to hold several


def temporal_attention(
    q_SQHD: Tensor, k_STHD: Tensor, v_STHD: Tensor, key_valid_ST: Tensor, rel_bias_HL: Tensor, *, path: Path | None = None
) -> Tensor:
    """o_SQHD, of q's type: each stock looks back over its own history; the queries are the last Q of its T sessions.

    key_valid_ST: bool; a key that isn't valid changes nothing, and a sequence without any gives 0.  rel_bias_HL: added to the
    logit at distance key - query, from -(T - 1) to T - 1.  Saved for backward: the inputs, o, and log-sums of each row in float32.
    """
    queries, keys = q_SQHD.shape[1], k_STHD.shape[1]
    if queries > keys or rel_bias_HL.shape[1] != 2 * keys - 1:
        raise ValueError(f"{queries} queries on {keys} keys need a bias of {2 * keys - 1} distances, not {rel_bias_HL.shape[1]}")
    if not kernels_run("temporal_attention", q_SQHD, shape_class(q_SQHD, k_STHD), path):
        return reference(q_SQHD, k_STHD, v_STHD, key_valid_ST, rel_bias_HL)
    dtype = computed(q_SQHD)
    o_SQHD, _ = ATTENTION(q_SQHD.to(dtype), k_STHD.to(dtype), v_STHD.to(dtype), key_valid_ST, rel_bias_HL)
    return o_SQHD


def reference(q_SQHD: Tensor, k_STHD: Tensor, v_STHD: Tensor, key_valid_ST: Tensor, rel_bias_HL: Tensor) -> Tensor:
    """The same in plain torch, in any type."""
    queries, keys = q_SQHD.shape[1], k_STHD.shape[1]
    place_T = torch.arange(keys, device=q_SQHD.device)
    distance_QT = place_T[None, :] - place_T[keys - queries :, None] + keys - 1
    bias_HQT = rel_bias_HL.index_select(1, distance_QT.flatten()).view(-1, queries, keys)
    return attend(q_SQHD, k_STHD, v_STHD, key_valid_ST, bias_HQT)


def shape_class(q_SQHD: Tensor, k_STHD: Tensor) -> str:
    """The class that paths are measured by; empty beyond 64 keys (32 in float32) or 64 numbers of a head, where the backward spills."""
    keys, width = k_STHD.shape[1], q_SQHD.shape[3]
    kind = "all" if q_SQHD.shape[1] == keys else "last"
    most = 32 if computed(q_SQHD) == torch.float32 else 64
    return f"T{padded(keys)} D{padded(width)} {kind}" if keys <= most and width <= 64 else ""


def _attention(q: Tensor, k: Tensor, v: Tensor, valid: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """o_SQHD and lse_SHT: the logarithm of each row's sum of weights, in float32 at least."""
    (sequences, _, heads, _), keys = q.shape, k.shape[1]
    o, lse = torch.empty_like(q, memory_format=torch.contiguous_format), q.new_empty((sequences, heads, keys), dtype=sums(q.dtype))
    walks, constants = _tiling(q, k)
    tensors = {"q": q, "k": k, "v": v, "valid": valid.contiguous(), "bias": bias.contiguous(), "o": o, "lse": lse}
    arguments = {**tensors, "sequences": sequences, **_strides(q=q, k=k, v=v), **constants}
    launch(_forward, walks * heads, arguments, warps=4, stages=2)
    return o, lse


def _gradient(
    do: Tensor, q: Tensor, k: Tensor, v: Tensor, valid: Tensor, bias: Tensor, o: Tensor, lse: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(dq, dk, dv, dbias), each of its own's type."""
    (sequences, _, heads, _), keys = q.shape, k.shape[1]
    dq, dk, dv = (torch.empty_like(one, memory_format=torch.contiguous_format) for one in (q, k, v))
    walks, constants = _tiling(q, k)
    side = constants["PADDED"]
    dlogit_WHTT = q.new_empty((walks, heads, side, side), dtype=sums(q.dtype))
    tensors = {"q": q, "k": k, "v": v, "valid": valid.contiguous(), "bias": bias.contiguous(), "o": o.contiguous(), "lse": lse, "do": do.contiguous()}
    results = {"dq": dq, "dk": dk, "dv": dv, "dlogit": dlogit_WHTT}
    arguments = {**tensors, **results, "sequences": sequences, **_strides(q=q, k=k, v=v), **constants}
    launch(_backward, walks * heads, arguments, warps=4 if constants["ROWS"] == 16 else 8, stages=2)
    return dq, dk, dv, _by_distance(dlogit_WHTT[..., :keys, :keys].sum(0)).to(bias.dtype)


def _by_distance(x_HTT: Tensor) -> Tensor:
    """Sums of the diagonals as [H, 2T - 1], by distance key - query: rows upside down, each shifted by one, are columns of distances."""
    keys = x_HTT.shape[-1]
    skewed = pad(x_HTT.flip(1), (0, keys)).flatten(1)[:, : keys * (2 * keys - 1)]
    return skewed.view(-1, keys, 2 * keys - 1).sum(1)


def _tiling(q: Tensor, k: Tensor) -> tuple[int, dict[str, Any]]:
    """Walks of a head, and the constants of the kernels."""
    (sequences, queries, heads, width), keys = q.shape, k.shape[1]
    side = padded(keys)
    # Tensor cores want 64 rows of 16-bit numbers; three TF32 products leave no registers for as many.
    rows = max(64 if q.element_size() == 2 else 16, side)
    constants = {"Q": queries, "T": keys, "H": heads, "D": width, "SCALE": width**-0.5}
    constants |= {"ROWS": rows, "PADDED": side, "WIDE": padded(width), "FAR": FAR, **numbers(q.dtype)}
    return min(ceil_div(sequences, rows // side), WALKS), constants


def _strides(**tensors: Tensor) -> dict[str, int]:
    """Strides of all dims, so that no view is copied."""
    return {f"{name}_{dim}": stride for name, tensor in tensors.items() for dim, stride in zip("sthd", tensor.stride(), strict=True)}


def _save(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs, *output)


def _differentiate(ctx: Any, do: Tensor, dlse: Tensor) -> tuple[Tensor | None, ...]:
    q, k, v, valid, bias, o, lse = ctx.saved_tensors
    dq, dk, dv, dbias = GRADIENT(do, q, k, v, valid, bias, o, lse)
    return dq, dk, dv, None, dbias


GRADIENT = operation("temporal_attention_backward", _gradient)
ATTENTION = operation("temporal_attention", _attention, save=_save, differentiate=_differentiate)


@jit
def _tile(tile, sequences, ROWS: tl.constexpr, PADDED: tl.constexpr, T: tl.constexpr):
    """Sequence and session of each row of a tile, and which rows there are."""
    row = tl.arange(0, ROWS)
    sequence = (tile * (ROWS // PADDED) + row // PADDED).to(tl.int64)
    t = row % PADDED
    return sequence, t, (sequence < sequences) & (t < T)


@jit
def _rows(x, sequence, t, here, x_s, x_t, x_d, D: tl.constexpr, WIDE: tl.constexpr):
    """Rows of one head as [ROWS, WIDE], 0 where there is none."""
    d = tl.arange(0, WIDE)
    return tl.load(x + (sequence * x_s + t * x_t)[:, None] + d[None, :] * x_d, mask=here[:, None] & (d < D)[None, :], other=0.0)


@jit
def _biases(bias, head, ACC: tl.constexpr, ROWS: tl.constexpr, PADDED: tl.constexpr, T: tl.constexpr):
    """The bias between rows as [ROWS, ROWS], and which rows are of one sequence."""
    row = tl.arange(0, ROWS)
    t, own = row % PADDED, row // PADDED
    same = own[:, None] == own[None, :]
    there = same & (t < T)[:, None] & (t < T)[None, :]
    return tl.load(bias + head * (2 * T - 1) + t[None, :] - t[:, None] + T - 1, mask=there, other=0.0).to(ACC), same


@jit
def _forward(
    q, k, v, valid, bias, o, lse, sequences,
    q_s, q_t, q_h, q_d, k_s, k_t, k_h, k_d, v_s, v_t, v_h, v_d,
    Q: tl.constexpr, T: tl.constexpr, H: tl.constexpr, D: tl.constexpr, SCALE: tl.constexpr,
    ROWS: tl.constexpr, PADDED: tl.constexpr, WIDE: tl.constexpr, FAR: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    head = (tl.program_id(0) % H).to(tl.int64)
    bias_rr, same = _biases(bias, head, ACC, ROWS, PADDED, T)
    d = tl.arange(0, WIDE)
    for tile in range(tl.program_id(0) // H, tl.cdiv(sequences, ROWS // PADDED), tl.num_programs(0) // H):
        sequence, t, here = _tile(tile, sequences, ROWS, PADDED, T)
        asks = here & (t >= T - Q)
        q_rd = _rows(q + head * q_h, sequence, t - (T - Q), asks, q_s, q_t, q_d, D, WIDE)
        k_rd = _rows(k + head * k_h, sequence, t, here, k_s, k_t, k_d, D, WIDE)
        v_rd = _rows(v + head * v_h, sequence, t, here, v_s, v_t, v_d, D, WIDE)
        seen = same & (tl.load(valid + sequence * T + t, mask=here, other=0) != 0)[None, :]
        logit = tl.dot(q_rd, tl.trans(k_rd), input_precision=PRECISION).to(ACC) * SCALE + bias_rr
        logit = tl.where(seen, logit, FAR)
        top = tl.max(logit, 1)
        weight = tl.where(seen, tl.exp(logit - top[:, None]), 0.0)
        total = tl.sum(weight, 1)
        total = tl.where(total > 0, total, 1.0)
        out = tl.dot((weight / total[:, None]).to(v_rd.dtype), v_rd, input_precision=PRECISION)
        place = (sequence * Q + t - (T - Q)) * H + head
        tl.store(o + place[:, None] * D + d[None, :], out.to(o.dtype.element_ty), mask=asks[:, None] & (d < D)[None, :])
        tl.store(lse + (sequence * H + head) * T + t, top + tl.log(total), mask=here)


@jit
def _backward(
    q, k, v, valid, bias, o, lse, do, dq, dk, dv, dlogit, sequences,
    q_s, q_t, q_h, q_d, k_s, k_t, k_h, k_d, v_s, v_t, v_h, v_d,
    Q: tl.constexpr, T: tl.constexpr, H: tl.constexpr, D: tl.constexpr, SCALE: tl.constexpr,
    ROWS: tl.constexpr, PADDED: tl.constexpr, WIDE: tl.constexpr, FAR: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    head = (tl.program_id(0) % H).to(tl.int64)
    bias_rr, same = _biases(bias, head, ACC, ROWS, PADDED, T)
    d = tl.arange(0, WIDE)
    dbias = tl.zeros((ROWS, ROWS), ACC)
    for tile in range(tl.program_id(0) // H, tl.cdiv(sequences, ROWS // PADDED), tl.num_programs(0) // H):
        sequence, t, here = _tile(tile, sequences, ROWS, PADDED, T)
        asks = here & (t >= T - Q)
        q_rd = _rows(q + head * q_h, sequence, t - (T - Q), asks, q_s, q_t, q_d, D, WIDE)
        k_rd = _rows(k + head * k_h, sequence, t, here, k_s, k_t, k_d, D, WIDE)
        v_rd = _rows(v + head * v_h, sequence, t, here, v_s, v_t, v_d, D, WIDE)
        place = (sequence * Q + t - (T - Q)) * H + head
        there = place[:, None] * D + d[None, :]
        o_rd = tl.load(o + there, mask=asks[:, None] & (d < D)[None, :], other=0.0)
        do_rd = tl.load(do + there, mask=asks[:, None] & (d < D)[None, :], other=0.0)
        seen = same & (tl.load(valid + sequence * T + t, mask=here, other=0) != 0)[None, :]
        total = tl.load(lse + (sequence * H + head) * T + t, mask=here, other=0.0)
        logit = tl.dot(q_rd, tl.trans(k_rd), input_precision=PRECISION).to(ACC) * SCALE + bias_rr
        weight = tl.where(seen, tl.exp(tl.where(seen, logit, FAR) - total[:, None]), 0.0)
        dweight = tl.dot(do_rd, tl.trans(v_rd), input_precision=PRECISION).to(ACC)
        moved = weight * (dweight - tl.sum(do_rd.to(ACC) * o_rd.to(ACC), 1)[:, None])
        dbias += moved
        step = (moved * SCALE).to(q_rd.dtype)
        dv_rd = tl.dot(tl.trans(weight.to(do_rd.dtype)), do_rd, input_precision=PRECISION)
        dq_rd = tl.dot(step, k_rd, input_precision=PRECISION)
        dk_rd = tl.dot(tl.trans(step), q_rd, input_precision=PRECISION)
        tl.store(dq + there, dq_rd.to(dq.dtype.element_ty), mask=asks[:, None] & (d < D)[None, :])
        kept = ((sequence * T + t) * H + head)[:, None] * D + d[None, :]
        tl.store(dk + kept, dk_rd.to(dk.dtype.element_ty), mask=here[:, None] & (d < D)[None, :])
        tl.store(dv + kept, dv_rd.to(dv.dtype.element_ty), mask=here[:, None] & (d < D)[None, :])
    # Blocks off the diagonal are 0: adding up all blocks of a row, then of a column, leaves the sum of those on it.
    pack: tl.constexpr = ROWS // PADDED
    by_key = tl.sum(tl.reshape(dbias, (ROWS, pack, PADDED)), 1)
    by_both = tl.sum(tl.reshape(by_key, (pack, PADDED, PADDED)), 0)
    i = tl.arange(0, PADDED)
    tl.store(dlogit + tl.program_id(0).to(tl.int64) * PADDED * PADDED + i[:, None] * PADDED + i[None, :], by_both)
