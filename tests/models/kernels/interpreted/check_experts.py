"""Routing and experts in the interpreter, in full and in eighths of a word."""

from typing import Any

import pytest
import torch
import triton.language as tl
from oracle import Draw, agree
from torch import Tensor
from triton.runtime import interpreter

from models.kernels import experts, fp8, routing
from models.kernels.experts import moe_ffn
from models.kernels.routing import Route, moe_route


def a_route(draw: Draw, tokens: int, count: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """(logits, bias, present): with ties, and at times with every token on the same experts."""
    logits = draw.normal(tokens, count).double().mul(4).round().div(4).to(draw.dtype)
    if draw.size(0, 3) == 0:
        logits[:, draw.size(0, count - 1)] = 9.0
    return logits, 0.1 * draw.normal(count), draw.mask(tokens) if draw.size(0, 1) else None


@pytest.mark.parametrize("seed", range(30))
def test_moe_route(seed: int) -> None:
    draw = Draw(seed)
    tokens, count = draw.some(1, 7, 64, 65, 150), draw.some(1, 3, 8, 16, 33)
    active = draw.size(1, min(count, 4))
    logits, bias, present = a_route(draw, tokens, count)
    logits = logits.to(torch.float32 if draw.dtype == torch.float16 else draw.dtype)  # near ties, a half's scores may be in another order
    ours, theirs = (moe_route(logits, bias, active, present, path=path) for path in ("triton", "ref"))
    assert torch.equal(ours.expert_RK, theirs.expert_RK)
    assert torch.equal(ours.order_P, theirs.order_P)
    assert torch.equal(ours.counts_E, theirs.counts_E)
    agree(lambda logits, path: moe_route(logits, bias, active, present, path=path).weight_RK, [logits], twice=seed % 5 == 0)


@pytest.mark.parametrize("seed", range(30))
def test_moe_ffn(seed: int) -> None:
    draw = Draw(seed)
    tokens, count, channels, inner = draw.some(0, 1, 9, 40, 70), draw.some(1, 3, 5), draw.some(1, 8, 20, 70), draw.some(1, 8, 17, 40)
    active = draw.size(1, min(count, 3))
    logits, bias, present = a_route(draw, tokens, count)
    route = moe_route(logits.double(), bias.double(), active, present, path="ref")
    weights = draw.normal(count, channels, inner), draw.normal(count, channels, inner), draw.normal(count, inner, channels)
    inputs = [draw.normal(tokens, channels), *(0.3 * one for one in weights), route.weight_RK.to(draw.dtype)]

    def answer(x: Tensor, gate: Tensor, up: Tensor, down: Tensor, weight: Tensor, path: routing.Path) -> Tensor:
        return moe_ffn(x, gate, up, down, route._replace(weight_RK=weight), path=path)

    agree(answer, inputs, twice=seed % 5 == 0)


def test_a_place_in_the_wrong_slot_would_be_found() -> None:
    draw = Draw(1)
    route = moe_route(draw.normal(20, 3), torch.zeros(3), 2, path="ref")
    weights = draw.normal(3, 8, 8), draw.normal(3, 8, 8), draw.normal(3, 8, 8)
    wrong = route._replace(order_P=route.order_P.roll(1))
    with pytest.raises(AssertionError, match="relative error"):
        agree(lambda *inputs, path: moe_ffn(*inputs, route if path == "ref" else wrong, path=path), [draw.normal(20, 8), *weights])


@pytest.fixture
def _rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    """e4m3 as a GPU and torch round: to the nearest, where the interpreter cuts."""
    plain = interpreter._convert_float

    def convert(numbers: Any, source: Any, target: Any, mode: Any) -> Any:
        if (source, target) != (tl.float32, tl.float8e4nv):
            return plain(numbers, source, target, mode)
        return torch.from_numpy(numbers.copy()).to(torch.float8_e4m3fn).view(torch.uint8).numpy()

    monkeypatch.setattr(interpreter, "_convert_float", convert)


@pytest.mark.usefixtures("_rounding")
@pytest.mark.parametrize("seed", range(6))
def test_moe_ffn_in_8_bits(seed: int) -> None:
    draw = Draw(seed)
    draw.dtype = torch.float32
    tokens, channels, inner = draw.size(1, 120), draw.some(128, 256), draw.some(128, 256)
    route: Route = moe_route(*a_route(draw, tokens, 3)[:2], 2, draw.mask(tokens), path="ref")
    weights = fp8.quantised(*(draw.normal(3, *sides) / 12 for sides in ((channels, inner), (channels, inner), (inner, channels))))
    x = draw.normal(tokens, channels).contiguous()
    ours, theirs = (fp8.moe_ffn_fp8(x, weights, route, path=path) for path in ("triton", "ref"))
    assert float((ours - theirs).norm()) < 2e-3 * float(theirs.norm()) + 1e-9  # a sum's last bit can move a rounding


def test_operations_keep_torchs_rules() -> None:
    draw = Draw(1)
    logits = draw.normal(9, 5).contiguous().requires_grad_()
    torch.library.opcheck(routing.ROUTE, (logits, torch.zeros(5), torch.arange(9) > 2, 2))
    route = moe_route(logits.detach(), torch.zeros(5), 2, path="ref")
    x, *weights = (torch.randn(shape, requires_grad=True) for shape in ((9, 8), (5, 8, 8), (5, 8, 8), (5, 8, 8)))
    torch.library.opcheck(experts.FFN, (x, *weights, route.expert_RK, route.weight_RK.float().requires_grad_(), route.order_P, route.counts_E))
