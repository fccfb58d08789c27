"""Windows of a panel, weighed by the market and projected into the width: the windows themselves are never written.

Dims: Q rows of the panel, F inputs of a row, S sessions, N stocks, T lookback, C channels, W = N T rows of a session's windows, P parts of W.

Kernels: forward gathers a tile of a session's rows, and multiplies it by that session's own matrix (gate times weights), made tile by tile.
Backward needs one product per session, inputs' x gradient, in P parts that are added up in order; the gradients of gate and weights follow
from it.  A column of ones beside the inputs gives the bias its gradient in the same product.  The gate: MASTER, Li et al. 2024.
"""

from typing import Any

from torch import Tensor
from torch.nn.functional import linear

from models.kernels.dispatch import Path, kernels_run
from models.kernels.launch import ceil_div, computed, jit, launch, numbers, operation, padded, sums, tl

PART = 2048  # rows of a part


def embed_windows(x_QF: Tensor, row_SNT: Tensor, gate_SF: Tensor | None, weight_CF: Tensor, bias_C: Tensor, *, path: Path | None = None) -> Tensor:
    """h_SNTC: rows of the panel, times the session's gate (1 without), through the weights; of the panel's type, or autocast's.

    row_SNT: int64, positions in the panel, which gets no gradient.  Saved for backward: the inputs.
    """
    if not kernels_run("embed_windows", x_QF, shape_class(x_QF, weight_CF), path):
        return project(x_QF.index_select(0, row_SNT.flatten()).view(*row_SNT.shape, -1), gate_SF, weight_CF, bias_C)
    gate_SF = weight_CF.new_ones((row_SNT.shape[0], x_QF.shape[1])) if gate_SF is None else gate_SF
    return WINDOWS(x_QF.to(computed(x_QF)), row_SNT, gate_SF, weight_CF, bias_C)


def project(x_SNTF: Tensor, gate_SF: Tensor | None, weight_CF: Tensor, bias_C: Tensor) -> Tensor:
    """The same of windows that lie there already, in plain torch and any type."""
    if gate_SF is None:
        return linear(x_SNTF, weight_CF, bias_C)
    # (gate x) W' = x (gate W'): a session's gate goes into its matrix, which is far smaller than its inputs.
    weight_SFC = gate_SF[:, :, None] * weight_CF.T
    h_SNTC = (x_SNTF.flatten(1, 2) @ weight_SFC).view(*x_SNTF.shape[:3], -1)
    return h_SNTC + bias_C


def shape_class(x_QF: Tensor, weight_CF: Tensor) -> str:
    """The class that paths are measured by."""
    return f"F{padded(x_QF.shape[1])} C{padded(weight_CF.shape[0])}"


def _windows(x: Tensor, row: Tensor, gate: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """h_SNTC."""
    h = x.new_empty((*row.shape, weight.shape[0]))
    inner, constants, run = _tiling(x, row, weight)
    tensors = {"x": x.contiguous(), "row": row.contiguous(), "gate": gate.contiguous(), "weight": weight.contiguous(), "bias": bias.contiguous()}
    programs = row.shape[0] * ceil_div(inner, constants["ROWS"]) * ceil_div(weight.shape[0], constants["COLUMNS"])
    launch(_forward, programs, {**tensors, "h": h, "inner": inner, **constants}, **run)
    return h


def _gradient(dh: Tensor, x: Tensor, row: Tensor, gate: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(dgate_SF, dweight_CF, dbias_C) in float32 at least."""
    inner, constants, _ = _tiling(x, row, weight)
    (channels, factors), sessions = weight.shape, row.shape[0]
    parts = ceil_div(inner, PART)
    product_PSFC = x.new_empty((parts, sessions, factors + 1, channels), dtype=sums(x.dtype))
    tensors = {"x": x.contiguous(), "row": row.contiguous(), "dh": dh.contiguous(), "product": product_PSFC}
    settings = {**{name: constants[name] for name in ("F", "C", "ACC", "PRECISION", "COLUMNS")}, "TALL": 64, "DEEP": 32, "PART": PART}
    programs = parts * sessions * ceil_div(factors + 1, 64) * ceil_div(channels, constants["COLUMNS"])
    launch(_backward, programs, {**tensors, "sessions": sessions, "inner": inner, **settings}, warps=4, stages=3)
    product_SFC = product_PSFC.sum(0)
    wide = product_SFC.dtype
    dgate_SF = (product_SFC[:, :factors] * weight.T.to(wide)).sum(2)
    dweight_CF = (product_SFC[:, :factors] * gate.to(wide)[:, :, None]).sum(0).T.contiguous()
    return dgate_SF, dweight_CF, product_SFC[:, factors].sum(0)


def _tiling(x: Tensor, row: Tensor, weight: Tensor) -> tuple[int, dict[str, Any], dict[str, int]]:
    """Rows of a session's windows, constants of the kernels, and how they are run."""
    narrow = x.element_size() == 2
    columns = min(128 if narrow else 64, padded(weight.shape[0]))
    constants = {"F": x.shape[1], "C": weight.shape[0], "ROWS": 128 if narrow else 64, "COLUMNS": columns, "DEEP": 32}
    return row.shape[1] * row.shape[2], {**constants, **numbers(x.dtype)}, {"warps": 8 if narrow else 4, "stages": 3}


def _save(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:4])
    ctx.types = [one.dtype for one in inputs[2:]]


def _differentiate(ctx: Any, dh: Tensor) -> tuple[Tensor | None, ...]:
    return None, None, *(one.to(dtype) for one, dtype in zip(GRADIENT(dh, *ctx.saved_tensors), ctx.types, strict=True))


GRADIENT = operation("embed_windows_backward", _gradient)
WINDOWS = operation("embed_windows", _windows, save=_save, differentiate=_differentiate)


@jit
def _forward(
    x, row, gate, weight, bias, h, inner, F: tl.constexpr, C: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEEP: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    across: tl.constexpr = (C + COLUMNS - 1) // COLUMNS
    tile, blocks = tl.program_id(0) // across, tl.cdiv(inner, ROWS)
    session, r = (tile // blocks).to(tl.int64), tile % blocks * ROWS + tl.arange(0, ROWS)
    c, f = tl.program_id(0) % across * COLUMNS + tl.arange(0, COLUMNS), tl.arange(0, DEEP)
    source = tl.load(row + session * inner + r, mask=r < inner, other=0)
    sum_rc = tl.zeros((ROWS, COLUMNS), ACC)
    for at in range(0, F, DEEP):
        known = at + f < F
        x_rf = tl.load(x + source[:, None] * F + at + f[None, :], mask=(r < inner)[:, None] & known[None, :], other=0.0)
        w_cf = tl.load(weight + c[:, None] * F + at + f[None, :], mask=(c < C)[:, None] & known[None, :], other=0.0)
        w_cf = (w_cf * tl.load(gate + session * F + at + f, mask=known, other=0.0)[None, :]).to(x_rf.dtype)
        sum_rc += tl.dot(x_rf, tl.trans(w_cf), input_precision=PRECISION)
    sum_rc += tl.load(bias + c, mask=c < C, other=0.0).to(ACC)[None, :]
    there = (session * inner + r)[:, None] * C + c[None, :]
    tl.store(h + there, sum_rc.to(h.dtype.element_ty), mask=(r < inner)[:, None] & (c < C)[None, :])


@jit
def _backward(
    x, row, dh, product, sessions, inner, F: tl.constexpr, C: tl.constexpr, TALL: tl.constexpr, COLUMNS: tl.constexpr,
    DEEP: tl.constexpr, PART: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Of one part of a session: inputs' x dh, and in row F the sums of dh."""
    across: tl.constexpr = (C + COLUMNS - 1) // COLUMNS
    blocks: tl.constexpr = (F + TALL) // TALL * across
    # Blocks of one part lie side by side, so that what they share is read once.
    block, rest = tl.program_id(0) % blocks, (tl.program_id(0) // blocks).to(tl.int64)
    session, part = rest % sessions, rest // sessions
    f, c, r = block // across * TALL + tl.arange(0, TALL), block % across * COLUMNS + tl.arange(0, COLUMNS), tl.arange(0, DEEP)
    sum_fc = tl.zeros((TALL, COLUMNS), ACC)
    for at in range(0, PART, DEEP):
        place = part * PART + at + r
        here = place < inner
        source = tl.load(row + session * inner + place, mask=here, other=0)
        x_rf = tl.load(x + source[:, None] * F + f[None, :], mask=here[:, None] & (f < F)[None, :], other=0.0)
        x_rf = tl.where((f == F)[None, :], 1.0, x_rf).to(x_rf.dtype)
        dh_rc = tl.load(dh + (session * inner + place)[:, None] * C + c[None, :], mask=here[:, None] & (c < C)[None, :], other=0.0)
        sum_fc += tl.dot(tl.trans(x_rf), dh_rc, input_precision=PRECISION)
    there = (rest * (F + 1) + f)[:, None] * C + c[None, :]
    tl.store(product + there, sum_fc, mask=(f <= F)[:, None] & (c < C)[None, :])
