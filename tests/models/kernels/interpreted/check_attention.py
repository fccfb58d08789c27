"""Both attentions and the fused sub-layer in the interpreter."""

import pytest
import torch
from oracle import Draw, agree
from torch import Tensor

from models.kernels import cross, temporal
from models.kernels.cross import cross_attention
from models.kernels.sublayer import Weights, time_sublayer
from models.kernels.temporal import temporal_attention


def a_history(draw: Draw) -> tuple[list[Tensor], Tensor]:
    sequences, keys, heads, width = draw.size(1, 9), draw.size(1, 20), draw.size(1, 2), draw.some(1, 8, 16, 20)
    queries = draw.some(keys, keys, 1, draw.size(1, keys))
    kv = [draw.normal(sequences, keys, heads, width) for _ in range(2)]
    return [draw.normal(sequences, queries, heads, width), *kv, draw.normal(heads, 2 * keys - 1)], draw.mask(sequences, keys)


@pytest.mark.parametrize("seed", range(30))
def test_temporal_attention(seed: int) -> None:
    inputs, valid = a_history(Draw(seed))
    agree(lambda q, k, v, bias, path: temporal_attention(q, k, v, valid, bias, path=path), inputs, twice=seed % 5 == 0)


def test_one_walk_goes_through_many_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporal, "WALKS", 2)
    inputs, valid = a_history(Draw(3))
    inputs = [torch.cat([one] * 5) for one in inputs[:3]] + inputs[3:]
    agree(lambda q, k, v, bias, path: temporal_attention(q, k, v, torch.cat([valid] * 5), bias, path=path), inputs, twice=True)


def test_a_kernel_without_its_mask_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = temporal.launch
    blind = lambda kernel, programs, arguments, **run: right(kernel, programs, {**arguments, "valid": torch.ones_like(arguments["valid"])}, **run)  # noqa: E731
    monkeypatch.setattr(temporal, "launch", blind)
    inputs, valid = a_history(Draw(0))
    valid[:, 0] = False
    with pytest.raises(AssertionError, match="relative error"):
        agree(lambda q, k, v, bias, path: temporal_attention(q, k, v, valid, bias, path=path), inputs)


def test_offsets_beyond_32_bits_are_read_where_they_point() -> None:
    far = 2**31 + 64  # numbers between two sequences; pages that nobody touches are never held
    q, k, v = (torch.as_strided(torch.empty(far + 64, dtype=torch.float16), (2, 3, 1, 4), (far, 4, 4, 1)) for _ in range(3))
    for one in (q, k, v):
        one.copy_(torch.randn(one.shape))
    valid, bias = torch.ones(2, 3, dtype=torch.bool), torch.zeros(1, 5)
    near = temporal_attention(q.clone(), k.clone(), v.clone(), valid, bias, path="triton")
    assert torch.equal(temporal_attention(q, k, v, valid, bias, path="triton"), near)


@pytest.mark.parametrize("seed", range(30))
def test_cross_attention(seed: int) -> None:
    draw = Draw(seed)
    shape = draw.size(1, 3), draw.some(1, 5, 64, 70, 130), draw.size(1, 2), draw.some(1, 8, 16, 20)
    present = draw.mask(*shape[:2])
    agree(lambda q, k, v, path: cross_attention(q, k, v, present, path=path), [draw.normal(*shape) for _ in range(3)], twice=seed % 5 == 0)


@pytest.mark.parametrize("seed", range(12))
def test_time_sublayer(seed: int) -> None:
    draw = Draw(seed)
    draw.dtype = torch.float64 if seed % 2 else torch.float32
    sequences, keys, heads = draw.size(1, 6), draw.size(1, 20), draw.some(1, 2, 4)
    sides = (64,), (64, 64), (16, 64), (16,), (64, 16), (64, 16), (heads, 2 * keys - 1), (64, 64)
    valid = draw.mask(sequences, keys)
    inputs = [draw.normal(sequences, keys, 64), *(0.3 * draw.normal(*side) for side in sides)]
    agree(lambda h, *weights, path: time_sublayer(h, valid, Weights(*weights), path=path), inputs, learns=False, twice=seed % 5 == 0)


def test_operations_keep_torchs_rules() -> None:
    q, k, v, bias = (torch.randn(shape, requires_grad=True) for shape in ((3, 4, 1, 8), (3, 4, 1, 8), (3, 4, 1, 8), (1, 7)))
    torch.library.opcheck(temporal.ATTENTION, (q, k, v, torch.rand(3, 4) < 0.8, bias))
    torch.library.opcheck(cross.ATTENTION, (q, k, v, torch.rand(3, 4) < 0.8))
