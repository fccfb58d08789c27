"""The operations of models/kernels at a shape: inputs, ours, and what else in torch computes the same."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from models.kernels import cross, dispatch, experts, pairs, routing, sublayer, temporal, windows
from models.kernels.shapes import Shape

Run = Callable[..., Tensor]


class Case(NamedTuple):
    """One operation at one shape: its inputs, those that learn first; ours(*inputs, path=...) and what else computes the same."""

    name: str
    inputs: tuple[Tensor, ...]
    learns: int
    ours: Run
    rivals: dict[str, Run]
    shape_class: str


def normal(dtype: torch.dtype, device: str, *shape: int) -> Tensor:
    """Numbers of deviation 1."""
    return torch.randn(shape, device=device).to(dtype)


def temporal_case(shape: Shape, dtype: torch.dtype, device: str) -> Case:
    """Histories with a tenth of their sessions missing."""
    sequences, keys, heads = shape.sessions * shape.stocks, shape.lookback, shape.time_heads
    q, k, v = (normal(dtype, device, sequences, keys, heads, shape.width // heads) for _ in range(3))
    bias, valid = normal(torch.float32, device, heads, 2 * keys - 1), torch.rand(sequences, keys, device=device) < 0.9
    distance = torch.arange(keys, device=device)[None, :] - torch.arange(keys, device=device)[:, None] + keys - 1

    def ours(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, path: dispatch.Path | None = None) -> Tensor:
        return temporal.temporal_attention(q, k, v, valid, bias, path=path)

    def masked(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        mask = bias[:, distance].to(q.dtype) + torch.where(valid, 0.0, -1e30).to(q.dtype)[:, None, None, :]
        return functional.scaled_dot_product_attention(*(one.transpose(1, 2) for one in (q, k, v)), attn_mask=mask).transpose(1, 2)

    def flex(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        from torch.nn.attention.flex_attention import flex_attention

        def score(value: Tensor, s: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
            return torch.where(valid[s, j], value + bias[h, j - i + keys - 1], -1e30)

        return flex_attention(*(one.transpose(1, 2) for one in (q, k, v)), score_mod=score).transpose(1, 2)

    rivals = {"sdpa": masked, "flex": torch.compile(flex)}
    return Case("temporal_attention", (q, k, v, bias), 4, ours, rivals, temporal.shape_class(q, k))


def cross_case(shape: Shape, dtype: torch.dtype, device: str) -> Case:
    """Sessions with a tenth of their slots empty."""
    q, k, v = (normal(dtype, device, shape.sessions, shape.stocks, shape.cross_heads, shape.width // shape.cross_heads) for _ in range(3))
    present = torch.rand(shape.sessions, shape.stocks, device=device) < 0.9

    def ours(q: Tensor, k: Tensor, v: Tensor, path: dispatch.Path | None = None) -> Tensor:
        return cross.cross_attention(q, k, v, present, path=path)

    def masked(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        mask = present[:, None, None, :]
        o = functional.scaled_dot_product_attention(*(one.transpose(1, 2) for one in (q, k, v)), attn_mask=mask).transpose(1, 2)
        return o * present[:, :, None, None]

    return Case("cross_attention", (q, k, v), 3, ours, {"sdpa": masked}, cross.shape_class(q))


def route_case(shape: Shape, dtype: torch.dtype, device: str) -> Case:
    """Scores are float32 in every type."""
    logits = normal(torch.float32, device, shape.sessions * shape.stocks, shape.experts)
    bias, present = torch.zeros(shape.experts, device=device), torch.rand(len(logits), device=device) < 0.9

    def ours(logits: Tensor, path: dispatch.Path | None = None) -> Tensor:
        return routing.moe_route(logits, bias, shape.active, present, path=path).weight_RK

    return Case("moe_route", (logits,), 1, ours, {}, routing.shape_class(logits))


def expert_inputs(shape: Shape, dtype: torch.dtype, device: str) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor], routing.Route]:
    """(x, weights, route) of all tokens."""
    tokens, count, width, inner = shape.sessions * shape.stocks, shape.experts, shape.width, shape.inner
    gate, up = (normal(dtype, device, count, width, inner) / width**0.5 for _ in range(2))
    down = normal(dtype, device, count, inner, width) / inner**0.5
    route = routing.moe_route(normal(torch.float32, device, tokens, count), torch.zeros(count, device=device), shape.active)
    return normal(dtype, device, tokens, width), (gate, up, down), route


def grouped(x: Tensor, gate: Tensor, up: Tensor, down: Tensor, weight: Tensor, route: routing.Route) -> Tensor:
    """Torch's grouped products on rows sorted by expert; no host sync either."""
    product = getattr(functional, "grouped_mm", None) or torch._grouped_mm
    ends = route.counts_E.cumsum(0).to(torch.int32)
    x_PC = x[route.order_P // weight.shape[1]]
    inner = functional.silu(product(x_PC, gate, offs=ends)) * product(x_PC, up, offs=ends)
    y_PC = product(inner, down, offs=ends)[route.order_P.argsort()]
    return (y_PC.view(*weight.shape, -1) * weight[..., None].to(y_PC.dtype)).sum(1)


def expert_case(shape: Shape, dtype: torch.dtype, device: str) -> Case:
    """Every token on its experts."""
    x, weights, route = expert_inputs(shape, dtype, device)

    def ours(x: Tensor, gate: Tensor, up: Tensor, down: Tensor, weight: Tensor, path: dispatch.Path | None = None) -> Tensor:
        return experts.moe_ffn(x, gate, up, down, route._replace(weight_RK=weight), path=path)

    plain = partial(grouped, route=route)
    rivals: dict[str, Run] = {"grouped_mm": plain, "grouped_mm compiled": torch.compile(plain)} if dtype == torch.bfloat16 and device != "cpu" else {}
    return Case("moe_ffn", (x, *weights, route.weight_RK), 5, ours, rivals, experts.shape_class(x, weights[0]))


def window_case(shape: Shape, dtype: torch.dtype, device: str) -> Case:
    """Sessions side by side, so that their windows overlap."""
    days, stocks = shape.sessions + shape.lookback, shape.stocks
    x = normal(dtype, device, days * stocks + 1, shape.inputs)
    day = torch.arange(shape.sessions, device=device)[:, None, None] + torch.arange(shape.lookback, device=device)
    row = day * stocks + torch.arange(stocks, device=device)[None, :, None] + 1
    gate, weight, bias = (
        normal(torch.float32, device, *sides) for sides in ((shape.sessions, shape.inputs), (shape.width, shape.inputs), (shape.width,))
    )

    def ours(gate: Tensor, weight: Tensor, bias: Tensor, path: dispatch.Path | None = None) -> Tensor:
        panel = x.double() if gate.dtype == torch.float64 else x
        same = panel.dtype if path == "ref" else weight.dtype
        return windows.embed_windows(panel, row, gate.to(same), weight.to(same), bias.to(same), path=path)

    return Case("embed_windows", (gate, weight, bias), 3, ours, {}, windows.shape_class(x, weight))


def pair_case(shape: Shape, dtype: torch.dtype, device: str) -> Case:
    """Eight pairs of each stock."""
    sides = shape.sessions, shape.stocks, shape.horizons
    p, y = (normal(torch.float32, device, *sides) for _ in range(2))
    known, shifts = torch.rand(sides, device=device) < 0.9, torch.arange(1, 9, device=device)

    def ours(p: Tensor, path: dispatch.Path | None = None) -> Tensor:
        return pairs.pair_loss(p, y.to(p.dtype), known, shifts, path=path)

    return Case("pair_loss", (p,), 1, ours, {}, pairs.shape_class(p))


def sublayer_case(shape: Shape, dtype: torch.dtype, device: str) -> Case:
    """Inference alone."""
    width, keys, latent = shape.width, shape.lookback, shape.width // 4
    sides = (width,), (width, width), (latent, width), (latent,), (width, latent), (width, latent), (shape.time_heads, 2 * keys - 1), (width, width)
    h, weights = normal(dtype, device, shape.sessions * shape.stocks, keys, width), [normal(dtype, device, *side) / side[-1] ** 0.5 for side in sides]
    valid = torch.rand(h.shape[:2], device=device) < 0.9

    def ours(h: Tensor, *weights: Tensor, path: dispatch.Path | None = None) -> Tensor:
        return sublayer.time_sublayer(h, valid, sublayer.Weights(*weights), path=path)

    return Case("time_sublayer", (h, *weights), 0, ours, {}, sublayer.shape_class(h, sublayer.Weights(*weights)))


CASES = (temporal_case, route_case, expert_case, window_case, pair_case, cross_case, sublayer_case)
