"""One whole temporal sub-layer, for inference: norm, latent projections, attention, output, residual; a history is read and written once.

Dims: S sequences, T sessions, C channels, B channels of the bottleneck, A heads, L = 2T - 1 distances.

Kernel: a tile of ROWS rows holds whole sequences (as in temporal.py).  It stays on the chip through all heads; only weights, which every
tile shares, are read again, from the cache.  Nothing is saved: where a gradient is wanted, the parts run one by one.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear, rms_norm

from models.kernels.attention import FAR
from models.kernels.dispatch import Path, kernels_run
from models.kernels.launch import ceil_div, computed, jit, launch, numbers, operation, padded, tl
from models.kernels.temporal import temporal_attention


class Weights(NamedTuple):
    """Of latent attention, as torch's Linear lays them out, and of the norm before it."""

    norm_C: Tensor
    query_CC: Tensor
    squeeze_BC: Tensor
    latent_norm_B: Tensor
    key_CB: Tensor
    value_CB: Tensor
    bias_AL: Tensor
    out_CC: Tensor


def time_sublayer(h_STC: Tensor, valid_ST: Tensor, weights: Weights, *, path: Path | None = None) -> Tensor:
    """h_STC + attention(norm(h_STC)), of h's type: every session of a stock looks at all of its valid ones.

    The kernel takes widths that are powers of two, 64 … 256, and rounds where the parts round; where a gradient is wanted, it isn't asked.
    """
    learns = torch.is_grad_enabled() and any(one.requires_grad for one in (h_STC, *weights))
    if learns or not kernels_run("time_sublayer", h_STC, shape_class(h_STC, weights), path):
        return reference(h_STC, valid_ST, weights)
    dtype = computed(h_STC)
    return SUBLAYER(h_STC.contiguous(), valid_ST, *(one if one.ndim == 1 else one.to(dtype) for one in weights))


def reference(h_STC: Tensor, valid_ST: Tensor, weights: Weights) -> Tensor:
    """The same part by part, its attention by dispatch."""
    return h_STC + latent_attention(rms_norm(h_STC, h_STC.shape[-1:], weights.norm_C), valid_ST, weights, h_STC.shape[1])


def latent_attention(x_STC: Tensor, valid_ST: Tensor, weights: Weights, last: int) -> Tensor:
    """What the `last` sessions see of all of them, as [S, last, C]; keys and values come through one bottleneck.  (DeepSeek-V2, 2024)"""
    latent_STB = linear(x_STC, weights.squeeze_BC)
    latent_STB = rms_norm(latent_STB, latent_STB.shape[-1:], weights.latent_norm_B)
    q, k, v = linear(x_STC[:, -last:], weights.query_CC), linear(latent_STB, weights.key_CB), linear(latent_STB, weights.value_CB)
    q, k, v = (one.unflatten(-1, (weights.bias_AL.shape[0], -1)) for one in (q, k, v))
    return linear(temporal_attention(q, k, v, valid_ST, weights.bias_AL).flatten(-2), weights.out_CC)


def shape_class(h_STC: Tensor, weights: Weights) -> str:
    """The class that paths are measured by; empty where the registers don't hold a tile (32 sessions at width 256, never in float32)."""
    (_, keys, channels), heads, latent = h_STC.shape, weights.bias_AL.shape[0], weights.squeeze_BC.shape[0]
    whole = all(size == padded(size) for size in (channels, channels // heads, latent))
    fits = 64 <= channels <= 256 and keys <= (32 if channels == 256 else 64) and (computed(h_STC).itemsize == 2 or h_STC.device.type == "cpu")
    return f"T{padded(keys)} C{channels} A{heads} B{latent}" if whole and fits else ""


def _sublayer(
    h: Tensor, valid: Tensor, norm: Tensor, query: Tensor, squeeze: Tensor, latent_norm: Tensor, key: Tensor, value: Tensor, bias: Tensor, out: Tensor
) -> Tensor:
    """h_STC after the sub-layer."""
    (sequences, keys, channels), heads = h.shape, bias.shape[0]
    side = padded(keys)
    result = torch.empty_like(h)
    rows = max(32 if channels == 256 or query.element_size() > 2 else 64, side)
    weights = {"query": query, "squeeze": squeeze, "key": key, "value": value, "out": out, "norm": norm, "latent_norm": latent_norm, "bias": bias}
    tensors = {"h": h, "valid": valid.contiguous(), "result": result} | {name: one.contiguous() for name, one in weights.items()}
    sides = {"WIDE": channels, "LATENT": squeeze.shape[0], "DEEP": channels // heads, "ROWS": rows, "PADDED": side}
    # The parts' norms run in the type of what they norm: h's own, then the projections'.
    epsilons = {"EPSILON": torch.finfo(h.dtype).eps, "LATENT_EPSILON": torch.finfo(query.dtype).eps}
    settings = {"SCALE": (channels // heads) ** -0.5, "FAR": FAR, **epsilons, **numbers(query.dtype)}
    launch(
        _fused, ceil_div(sequences, rows // side), {**tensors, "sequences": sequences, "T": keys, "A": heads, **sides, **settings}, warps=8, stages=2
    )
    return result


SUBLAYER = operation("time_sublayer", _sublayer)


@jit
def _normed(x, weight, WIDE: tl.constexpr, EPSILON: tl.constexpr, ACC: tl.constexpr):
    """Rows over their root mean square, times the weight; in ACC."""
    scale = 1 / tl.sqrt(tl.sum(x * x, 1) / WIDE + EPSILON)
    return x * scale[:, None] * tl.load(weight + tl.arange(0, WIDE)).to(ACC)[None, :]


@jit
def _fused(
    h, valid, result, query, squeeze, key, value, out, norm, latent_norm, bias, sequences,
    T: tl.constexpr, WIDE: tl.constexpr, LATENT: tl.constexpr, A: tl.constexpr, DEEP: tl.constexpr, ROWS: tl.constexpr, PADDED: tl.constexpr,
    SCALE: tl.constexpr, FAR: tl.constexpr, EPSILON: tl.constexpr, LATENT_EPSILON: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    row, c, b, d = tl.arange(0, ROWS), tl.arange(0, WIDE), tl.arange(0, LATENT), tl.arange(0, DEEP)
    sequence, t = tl.program_id(0).to(tl.int64) * (ROWS // PADDED) + row // PADDED, row % PADDED
    here = (sequence < sequences) & (t < T)
    there = (sequence * T + t)[:, None] * WIDE + c[None, :]
    x_rc = _normed(tl.load(h + there, mask=here[:, None], other=0.0).to(ACC), norm, WIDE, EPSILON, ACC).to(query.dtype.element_ty)
    latent = tl.dot(x_rc, tl.trans(tl.load(squeeze + b[:, None] * WIDE + c[None, :])), input_precision=PRECISION).to(x_rc.dtype).to(ACC)
    latent_rb = _normed(latent, latent_norm, LATENT, LATENT_EPSILON, ACC).to(x_rc.dtype)
    near = (row // PADDED)[:, None] == (row // PADDED)[None, :]
    seen = near & (tl.load(valid + sequence * T + t, mask=here, other=0) != 0)[None, :]
    known = near & (t < T)[:, None] & (t < T)[None, :]
    sum_rc = tl.zeros((ROWS, WIDE), ACC)
    for head in range(A):
        place = head * DEEP + d
        q_rd = tl.dot(x_rc, tl.trans(tl.load(query + place[:, None] * WIDE + c[None, :])), input_precision=PRECISION).to(x_rc.dtype)
        k_rd = tl.dot(latent_rb, tl.trans(tl.load(key + place[:, None] * LATENT + b[None, :])), input_precision=PRECISION).to(x_rc.dtype)
        v_rd = tl.dot(latent_rb, tl.trans(tl.load(value + place[:, None] * LATENT + b[None, :])), input_precision=PRECISION).to(x_rc.dtype)
        logit = tl.dot(q_rd, tl.trans(k_rd), input_precision=PRECISION).to(ACC) * SCALE
        logit += tl.load(bias + head * (2 * T - 1) + t[None, :] - t[:, None] + T - 1, mask=known, other=0.0).to(ACC)
        logit = tl.where(seen, logit, FAR)
        weight = tl.where(seen, tl.exp(logit - tl.max(logit, 1)[:, None]), 0.0)
        total = tl.sum(weight, 1)
        weight = (weight / tl.where(total > 0, total, 1.0)[:, None]).to(x_rc.dtype)
        o_rd = tl.dot(weight, v_rd, input_precision=PRECISION).to(x_rc.dtype)
        sum_rc += tl.dot(o_rd, tl.trans(tl.load(out + c[:, None] * WIDE + place[None, :])), input_precision=PRECISION)
    sum_rc += tl.load(h + there, mask=here[:, None], other=0.0).to(ACC)
    tl.store(result + there, sum_rc.to(result.dtype.element_ty), mask=here[:, None])
