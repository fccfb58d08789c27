"""Attention over the stocks of a session, in no order; absent stocks are left out before anything is multiplied.

Dims: S sessions, N stocks of a session (padded), H heads, D numbers of a head.

Kernels: a stable sort puts the places of present stocks first, session by session; programs gather their rows through it and stop at the
session's count, which stays on the device.  Forward keeps a running softmax; backward makes the weights again from the saved log-sums, in one
kernel by queries and one by keys, so that nothing is added up in an order that the device decides.  (Dao et al. 2022)
"""

from typing import Any

import torch
from torch import Tensor

from models.kernels.attention import FAR, attend
from models.kernels.dispatch import Path, kernels_run
from models.kernels.launch import ceil_div, computed, jit, launch, numbers, operation, padded, sums, tl

LOG2E = 1.4426950408889634  # the softmax is computed with powers of 2


def cross_attention(q_SNHD: Tensor, k_SNHD: Tensor, v_SNHD: Tensor, present_SN: Tensor, *, path: Path | None = None) -> Tensor:
    """o_SNHD, of q's type: the stocks of a session look at each other.  present_SN: bool; an absent stock gets 0 and changes nobody's output.

    Saved for backward: the inputs, o, and log-sums of each row in float32.
    """
    if not kernels_run("cross_attention", q_SNHD, shape_class(q_SNHD), path):
        return reference(q_SNHD, k_SNHD, v_SNHD, present_SN)
    dtype = computed(q_SNHD)
    return ATTENTION(q_SNHD.to(dtype), k_SNHD.to(dtype), v_SNHD.to(dtype), present_SN)[0]


def reference(q_SNHD: Tensor, k_SNHD: Tensor, v_SNHD: Tensor, present_SN: Tensor) -> Tensor:
    """The same in plain torch, in any type."""
    return attend(q_SNHD, k_SNHD, v_SNHD, present_SN, None) * present_SN[:, :, None, None]


def shape_class(q_SNHD: Tensor) -> str:
    """The class that paths are measured by: session sizes by powers of two; empty beyond 64 numbers of a head."""
    return f"N{padded(q_SNHD.shape[1])} D{padded(q_SNHD.shape[3])}" if q_SNHD.shape[3] <= 64 else ""


def _attention(q: Tensor, k: Tensor, v: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """o_SNHD, and lse_SHN in powers of 2 by position among the present."""
    sessions, stocks, heads, _ = q.shape
    o = torch.zeros_like(q, memory_format=torch.contiguous_format)
    lse = q.new_zeros((sessions, heads, stocks), dtype=sums(q.dtype))  # beyond the present nobody writes, but one answer is one answer
    arguments = {"q": q, "k": k, "v": v, **_present(present), "o": o, "lse": lse, **_strides(q=q, k=k, v=v), **_constants(q)}
    launch(_forward, _programs(q, arguments), arguments, warps=4, stages=3)
    return o, lse


def _gradient(do: Tensor, q: Tensor, k: Tensor, v: Tensor, present: Tensor, o: Tensor, lse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(dq, dk, dv)."""
    dq, dk, dv = (torch.zeros_like(one, memory_format=torch.contiguous_format) for one in (q, k, v))
    do = do.contiguous()
    delta_SNH = (do.to(lse.dtype) * o.to(lse.dtype)).sum(-1)
    arguments = {"q": q, "k": k, "v": v, **_present(present), "do": do, "lse": lse, "delta": delta_SNH, **_strides(q=q, k=k, v=v), **_constants(q)}
    launch(_by_query, _programs(q, arguments), {**arguments, "dq": dq}, warps=4, stages=2)
    launch(_by_key, _programs(q, arguments), {**arguments, "dk": dk, "dv": dv}, warps=4 if q.element_size() == 2 else 8, stages=2)
    return dq, dk, dv


def _present(present: Tensor) -> dict[str, Tensor]:
    """Places of the stocks, present ones first, and how many those are."""
    return {"order": present.to(torch.int8).argsort(dim=1, descending=True, stable=True), "counts": present.sum(1)}


def _constants(q: Tensor) -> dict[str, Any]:
    side = 64 if q.element_size() == 2 else 32
    shape = {"N": q.shape[1], "H": q.shape[2], "D": q.shape[3], "SCALE": q.shape[3] ** -0.5}
    return {**shape, "ROWS": 64, "COLUMNS": side, "WIDE": padded(q.shape[3]), "FAR": FAR, "LOG2E": LOG2E, **numbers(q.dtype)}


def _programs(q: Tensor, constants: dict[str, Any]) -> int:
    return q.shape[0] * q.shape[2] * ceil_div(q.shape[1], constants["ROWS"])


def _strides(**tensors: Tensor) -> dict[str, int]:
    """Strides of all dims, so that no view is copied."""
    return {f"{name}_{dim}": stride for name, tensor in tensors.items() for dim, stride in zip("snhd", tensor.stride(), strict=True)}


def _save(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs, *output)


def _differentiate(ctx: Any, do: Tensor, dlse: Tensor) -> tuple[Tensor | None, ...]:
    return *GRADIENT(do, *ctx.saved_tensors), None


GRADIENT = operation("cross_attention_backward", _gradient)
ATTENTION = operation("cross_attention", _attention, save=_save, differentiate=_differentiate)


@jit
def _work(counts, N, H: tl.constexpr, ROWS: tl.constexpr):
    """(session, head, first position, stocks present) of a program; blocks of a session and head lie side by side."""
    blocks = tl.cdiv(N, ROWS)
    session = (tl.program_id(0) // blocks // H).to(tl.int64)
    return session, tl.program_id(0) // blocks % H, tl.program_id(0) % blocks * ROWS, tl.load(counts + session).to(tl.int32)


@jit
def _gathered(x, at, x_n, x_d, here, D: tl.constexpr, WIDE: tl.constexpr):
    """Rows of a session's head as [len(at), WIDE]."""
    d = tl.arange(0, WIDE)
    return tl.load(x + at[:, None] * x_n + d[None, :] * x_d, mask=here[:, None] & (d < D)[None, :], other=0.0)


@jit
def _forward(
    q, k, v, order, counts, o, lse, N, q_s, q_n, q_h, q_d, k_s, k_n, k_h, k_d, v_s, v_n, v_h, v_d,
    H: tl.constexpr, D: tl.constexpr, SCALE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, WIDE: tl.constexpr,
    FAR: tl.constexpr, LOG2E: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    session, head, first, count = _work(counts, N, H, ROWS)
    if first >= count:
        return
    asked, c, d = first + tl.arange(0, ROWS), tl.arange(0, COLUMNS), tl.arange(0, WIDE)
    row = tl.load(order + session * N + asked, mask=asked < count, other=0)
    q_rd = _gathered(q + session * q_s + head * q_h, row, q_n, q_d, asked < count, D, WIDE)
    top, total, out = tl.full((ROWS,), FAR, ACC), tl.zeros((ROWS,), ACC), tl.zeros((ROWS, WIDE), ACC)
    for at in range(0, count, COLUMNS):
        here = at + c < count
        column = tl.load(order + session * N + at + c, mask=here, other=0)
        k_cd = _gathered(k + session * k_s + head * k_h, column, k_n, k_d, here, D, WIDE)
        v_cd = _gathered(v + session * v_s + head * v_h, column, v_n, v_d, here, D, WIDE)
        logit = tl.where(here[None, :], tl.dot(q_rd, tl.trans(k_cd), input_precision=PRECISION).to(ACC) * (SCALE * LOG2E), FAR)
        new = tl.maximum(top, tl.max(logit, 1))
        weight, fade = tl.where(here[None, :], tl.exp2(logit - new[:, None]), 0.0), tl.exp2(top - new)
        total, top = total * fade + tl.sum(weight, 1), new
        out = out * fade[:, None] + tl.dot(weight.to(v_cd.dtype), v_cd, input_precision=PRECISION)
    there = ((session * N + row) * H + head)[:, None] * D + d[None, :]
    tl.store(o + there, (out / total[:, None]).to(o.dtype.element_ty), mask=(asked < count)[:, None] & (d < D)[None, :])
    tl.store(lse + (session * H + head) * N + asked, top + tl.log2(total), mask=asked < count)


@jit
def _by_query(
    q, k, v, order, counts, do, lse, delta, dq, N, q_s, q_n, q_h, q_d, k_s, k_n, k_h, k_d, v_s, v_n, v_h, v_d,
    H: tl.constexpr, D: tl.constexpr, SCALE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, WIDE: tl.constexpr,
    FAR: tl.constexpr, LOG2E: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    session, head, first, count = _work(counts, N, H, ROWS)
    if first >= count:
        return
    asked, c, d = first + tl.arange(0, ROWS), tl.arange(0, COLUMNS), tl.arange(0, WIDE)
    there = asked < count
    row = tl.load(order + session * N + asked, mask=there, other=0)
    q_rd = _gathered(q + session * q_s + head * q_h, row, q_n, q_d, there, D, WIDE)
    do_rd = _gathered(do + (session * N * H + head) * D, row, H * D, 1, there, D, WIDE)
    sum_r = tl.load(lse + (session * H + head) * N + asked, mask=there, other=0.0)
    delta_r = tl.load(delta + (session * N + row) * H + head, mask=there, other=0.0)
    dq_rd = tl.zeros((ROWS, WIDE), ACC)
    for at in range(0, count, COLUMNS):
        here = at + c < count
        column = tl.load(order + session * N + at + c, mask=here, other=0)
        k_cd = _gathered(k + session * k_s + head * k_h, column, k_n, k_d, here, D, WIDE)
        v_cd = _gathered(v + session * v_s + head * v_h, column, v_n, v_d, here, D, WIDE)
        logit = tl.dot(q_rd, tl.trans(k_cd), input_precision=PRECISION).to(ACC) * (SCALE * LOG2E)
        weight = tl.where(here[None, :], tl.exp2(tl.where(here[None, :], logit, FAR) - sum_r[:, None]), 0.0)
        moved = weight * (tl.dot(do_rd, tl.trans(v_cd), input_precision=PRECISION).to(ACC) - delta_r[:, None]) * SCALE
        dq_rd += tl.dot(moved.to(k_cd.dtype), k_cd, input_precision=PRECISION)
    place = ((session * N + row) * H + head)[:, None] * D + d[None, :]
    tl.store(dq + place, dq_rd.to(dq.dtype.element_ty), mask=there[:, None] & (d < D)[None, :])


@jit
def _by_key(
    q, k, v, order, counts, do, lse, delta, dk, dv, N, q_s, q_n, q_h, q_d, k_s, k_n, k_h, k_d, v_s, v_n, v_h, v_d,
    H: tl.constexpr, D: tl.constexpr, SCALE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, WIDE: tl.constexpr,
    FAR: tl.constexpr, LOG2E: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    session, head, first, count = _work(counts, N, H, ROWS)
    if first >= count:
        return
    answers, c, d = first + tl.arange(0, ROWS), tl.arange(0, COLUMNS), tl.arange(0, WIDE)
    there = answers < count
    row = tl.load(order + session * N + answers, mask=there, other=0)
    k_rd = _gathered(k + session * k_s + head * k_h, row, k_n, k_d, there, D, WIDE)
    v_rd = _gathered(v + session * v_s + head * v_h, row, v_n, v_d, there, D, WIDE)
    dk_rd, dv_rd = tl.zeros((ROWS, WIDE), ACC), tl.zeros((ROWS, WIDE), ACC)
    for at in range(0, count, COLUMNS):
        asked = at + c
        here = asked < count
        column = tl.load(order + session * N + asked, mask=here, other=0)
        q_cd = _gathered(q + session * q_s + head * q_h, column, q_n, q_d, here, D, WIDE)
        do_cd = _gathered(do + (session * N * H + head) * D, column, H * D, 1, here, D, WIDE)
        sum_c = tl.load(lse + (session * H + head) * N + asked, mask=here, other=0.0)
        delta_c = tl.load(delta + (session * N + column) * H + head, mask=here, other=0.0)
        logit = tl.dot(k_rd, tl.trans(q_cd), input_precision=PRECISION).to(ACC) * (SCALE * LOG2E)
        seen = there[:, None] & here[None, :]
        weight = tl.where(seen, tl.exp2(tl.where(seen, logit, FAR) - sum_c[None, :]), 0.0)
        dv_rd += tl.dot(weight.to(do_cd.dtype), do_cd, input_precision=PRECISION)
        moved = weight * (tl.dot(v_rd, tl.trans(do_cd), input_precision=PRECISION).to(ACC) - delta_c[None, :]) * SCALE
        dk_rd += tl.dot(moved.to(q_cd.dtype), q_cd, input_precision=PRECISION)
    place = ((session * N + row) * H + head)[:, None] * D + d[None, :]
    tl.store(dk + place, dk_rd.to(dk.dtype.element_ty), mask=there[:, None] & (d < D)[None, :])
    tl.store(dv + place, dv_rd.to(dv.dtype.element_ty), mask=there[:, None] & (d < D)[None, :])
