"""The reference operations against loops in float64, and what each of them promises."""

import math

import pytest
import torch
from torch import Tensor

from models.kernels.cross import cross_attention
from models.kernels.pairs import pair_loss
from models.kernels.sublayer import Weights, time_sublayer
from models.kernels.temporal import temporal_attention
from models.kernels.windows import embed_windows


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def attend_by_loop(q: Tensor, k: Tensor, v: Tensor, valid: Tensor, bias: Tensor | None) -> Tensor:
    out = torch.zeros_like(q)
    keys, shift = k.shape[1], k.shape[1] - q.shape[1]
    for s in range(q.shape[0]):
        for t in range(q.shape[1]):
            for h in range(q.shape[2]):
                logits = {}
                for u in range(keys):
                    if valid[s, u]:
                        by_distance = 0.0 if bias is None else float(bias[h, u - (t + shift) + keys - 1])
                        logits[u] = float(q[s, t, h] @ k[s, u, h]) / math.sqrt(q.shape[-1]) + by_distance
                total = sum(math.exp(logit) for logit in logits.values())
                for u, logit in logits.items():
                    out[s, t, h] += math.exp(logit) / total * v[s, u, h]
    return out


def some_attention(sequences: int = 4, queries: int = 5, keys: int = 5, heads: int = 2, width: int = 3) -> tuple[Tensor, ...]:
    q, bias = normal(sequences, queries, heads, width), normal(heads, 2 * keys - 1)
    valid = torch.rand(sequences, keys) < 0.7
    valid[0] = False
    return q, normal(sequences, keys, heads, width), normal(sequences, keys, heads, width), valid, bias


@pytest.mark.parametrize(("queries", "keys"), [(5, 5), (1, 5), (3, 5), (1, 1)])
def test_temporal_attention_agrees_with_a_loop(queries: int, keys: int) -> None:
    q, k, v, valid, bias = some_attention(queries=queries, keys=keys)
    assert torch.allclose(temporal_attention(q, k, v, valid, bias), attend_by_loop(q, k, v, valid, bias), atol=1e-12)


def test_cross_attention_agrees_with_a_loop() -> None:
    q, k, v, present, _ = some_attention()
    expected = attend_by_loop(q, k, v, present, None) * present[..., None, None]
    assert torch.allclose(cross_attention(q, k, v, present), expected, atol=1e-12)


def test_a_key_that_is_not_valid_changes_nothing() -> None:
    q, k, v, valid, bias = some_attention()
    other_k, other_v = (torch.where(valid[..., None, None], one, 1e3 * normal(*one.shape)) for one in (k, v))
    assert torch.equal(temporal_attention(q, k, v, valid, bias), temporal_attention(q, other_k, other_v, valid, bias))
    assert torch.equal(cross_attention(q, k, v, valid), cross_attention(q, other_k, other_v, valid))


def test_a_sequence_without_a_valid_key_gives_zero_and_a_finite_gradient() -> None:
    q, k, v, valid, bias = some_attention()
    q.requires_grad_()
    out = temporal_attention(q, k, v, valid, bias)
    assert (out[0] == 0).all()
    out.sum().backward()
    assert q.grad is not None
    assert (q.grad[0] == 0).all()
    assert q.grad.isfinite().all()


def test_stocks_in_another_order_get_their_answers_in_that_order() -> None:
    q, k, v, valid, _ = some_attention(keys=7, queries=7)
    order = torch.randperm(7)
    permuted = cross_attention(q[:, order], k[:, order], v[:, order], valid[:, order])
    assert torch.allclose(permuted, cross_attention(q, k, v, valid)[:, order], atol=1e-12)


def test_attention_takes_tensors_that_are_not_contiguous() -> None:
    q, k, v, valid, bias = some_attention()
    turned = [one.transpose(1, 2).contiguous().transpose(1, 2) for one in (q, k, v)]
    assert torch.allclose(temporal_attention(*turned, valid, bias), temporal_attention(q, k, v, valid, bias), atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_attention_keeps_its_type(dtype: torch.dtype) -> None:
    q, k, v, valid, bias = some_attention()
    out = temporal_attention(q.to(dtype), k.to(dtype), v.to(dtype), valid, bias.to(dtype))
    assert out.dtype == dtype
    assert torch.allclose(out.double(), temporal_attention(q, k, v, valid, bias), atol=1e-5 if dtype == torch.float32 else 0.05)


def test_a_bias_of_another_length_is_refused() -> None:
    q, k, v, valid, bias = some_attention()
    with pytest.raises(ValueError, match="bias of 9 distances, not 8"):
        temporal_attention(q, k, v, valid, bias[:, :-1])


def test_gradients_of_attention_are_those_of_its_values() -> None:
    q, k, v, valid, bias = some_attention(sequences=2, queries=2, keys=3, heads=2, width=2)
    inputs = [one.requires_grad_() for one in (q, k, v, bias)]
    assert torch.autograd.gradcheck(lambda q, k, v, bias: temporal_attention(q, k, v, valid, bias), inputs)
    assert torch.autograd.gradcheck(lambda k, v: cross_attention(k, k, v, valid), inputs[1:3])


@pytest.mark.parametrize("gated", [True, False])
def test_windows_are_rows_times_gate_through_the_weights(gated: bool) -> None:
    panel, row = normal(8, 3), torch.randint(0, 8, (2, 4, 5))
    gate, weight, bias = normal(2, 3), normal(6, 3), normal(6)
    out = embed_windows(panel, row, gate if gated else None, weight, bias)
    for s, n, t in torch.cartesian_prod(torch.arange(2), torch.arange(4), torch.arange(5)).tolist():
        x = panel[row[s, n, t]] * (gate[s] if gated else 1)
        assert torch.allclose(out[s, n, t], weight @ x + bias, atol=1e-12)


def test_gradients_of_windows_are_those_of_their_values() -> None:
    panel, row = normal(5, 3), torch.randint(0, 5, (2, 2, 3))
    inputs = [one.requires_grad_() for one in (normal(2, 3), normal(4, 3), normal(4))]
    assert torch.autograd.gradcheck(lambda *inputs: embed_windows(panel, row, *inputs), inputs)


def test_pairs_agree_with_a_loop_whether_shifts_are_numbers_or_a_tensor() -> None:
    p, y, known = normal(2, 7, 2), normal(2, 7, 2).round(), torch.rand(2, 7, 2) < 0.8
    found = pair_loss(p, y, known, [2, 5])
    assert torch.equal(found, pair_loss(p, y, known, torch.tensor([2, 5])))
    for s, h in ((0, 0), (0, 1), (1, 0), (1, 1)):
        pairs = [(i, (i - shift) % 7) for shift in (2, 5) for i in range(7) if known[s, i, h] and known[s, (i - shift) % 7, h]]
        terms = [(float(y[s, i, h] - y[s, j, h]), float(p[s, i, h] - p[s, j, h])) for i, j in pairs]
        expected = sum(abs(gap) * math.log1p(math.exp(-margin * math.copysign(1, gap))) for gap, margin in terms) / sum(abs(gap) for gap, _ in terms)
        assert float(found[s, h]) == pytest.approx(expected)


def test_gradients_of_pairs_are_those_of_their_values() -> None:
    y, known = normal(1, 5, 2), torch.rand(1, 5, 2) < 0.8
    assert torch.autograd.gradcheck(lambda p: pair_loss(p, y, known, [1, 3]), [normal(1, 5, 2).requires_grad_()])


def a_sublayer(width: int = 8, heads: int = 2, keys: int = 4) -> tuple[Tensor, Tensor, Weights]:
    latent = width // 4
    sides = (width,), (width, width), (latent, width), (latent,), (width, latent), (width, latent), (heads, 2 * keys - 1), (width, width)
    valid = torch.rand(3, keys) < 0.7
    valid[0] = False
    return normal(3, keys, width), valid, Weights(*(normal(*side) for side in sides))


def rooted(x: Tensor, weight: Tensor) -> Tensor:
    return x / (x.square().mean() + torch.finfo(x.dtype).eps).sqrt() * weight


def test_the_sublayer_agrees_with_its_parts_one_by_one() -> None:
    h, valid, w = a_sublayer()
    x = torch.stack([torch.stack([rooted(row, w.norm_C) for row in one]) for one in h])
    latent = torch.stack([torch.stack([rooted(w.squeeze_BC @ row, w.latent_norm_B) for row in one]) for one in x])
    q, k, v = ((one @ weight.T).view(3, 4, 2, 4) for one, weight in ((x, w.query_CC), (latent, w.key_CB), (latent, w.value_CB)))
    expected = h + attend_by_loop(q, k, v, valid, w.bias_AL).flatten(2) @ w.out_CC.T
    assert torch.allclose(time_sublayer(h, valid, w), expected, atol=1e-10)


def test_gradients_of_the_sublayer_are_those_of_its_values() -> None:
    h, valid, weights = a_sublayer(width=4, heads=1, keys=2)
    inputs = [one.requires_grad_() for one in (h, *weights)]
    assert torch.autograd.gradcheck(lambda h, *weights: time_sublayer(h, valid, Weights(*weights)), inputs)
