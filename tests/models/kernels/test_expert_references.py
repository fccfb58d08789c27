"""Routing and experts against loops in float64, and what each of them promises."""

import pytest
import torch
from torch import Tensor

from models.kernels import fp8
from models.kernels.experts import max_violation, moe_ffn
from models.kernels.routing import Route, moe_route


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def some_experts(tokens: int = 9, experts: int = 5, channels: int = 4, inner: int = 3) -> tuple[Tensor, ...]:
    weights = normal(experts, channels, inner), normal(experts, channels, inner), normal(experts, inner, channels)
    return normal(tokens, channels), normal(tokens, experts), *weights


def answer_by_loop(x: Tensor, gate: Tensor, up: Tensor, down: Tensor, route: Route) -> Tensor:
    out = torch.zeros_like(x)
    for token in range(x.shape[0]):
        for expert, weight in zip(route.expert_RK[token].tolist(), route.weight_RK[token], strict=True):
            inner = torch.nn.functional.silu(x[token] @ gate[expert]) * (x[token] @ up[expert])
            out[token] += weight * (inner @ down[expert])
    return out


@pytest.mark.parametrize("k", [1, 2, 5])
def test_experts_agree_with_a_loop(k: int) -> None:
    x, logits, gate, up, down = some_experts()
    route = moe_route(logits, torch.zeros(5), k)
    assert torch.allclose(moe_ffn(x, gate, up, down, route), answer_by_loop(x, gate, up, down, route), atol=1e-12)


def test_no_token_is_dropped_even_when_all_want_the_same_expert() -> None:
    x, logits, gate, up, down = some_experts()
    logits[:, 3] = 50.0
    route = moe_route(logits, torch.zeros(5), 1)
    assert route.counts_E.tolist() == [0, 0, 0, 9, 0]
    assert torch.allclose(moe_ffn(x, gate, up, down, route), answer_by_loop(x, gate, up, down, route), atol=1e-12)


def test_the_bias_decides_who_is_chosen_but_not_with_what_weight() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    plain, moved = moe_route(logits, torch.zeros(4), 2), moe_route(logits, torch.tensor([0.0, 0.0, 0.0, 1.0]), 2)
    assert plain.expert_RK.tolist() == [[0, 1]]
    assert moved.expert_RK.tolist() == [[3, 0]]
    chosen = logits.sigmoid()[0, [3, 0]]
    assert torch.allclose(moved.weight_RK[0], chosen / chosen.sum())


def test_among_equals_the_lowest_index_is_chosen() -> None:
    assert moe_route(torch.zeros(2, 6), torch.zeros(6), 3).expert_RK.tolist() == [[0, 1, 2]] * 2


def test_places_are_sorted_by_expert_and_then_by_token() -> None:
    _, logits, *_ = some_experts()
    route = moe_route(logits, torch.zeros(5), 2)
    sorted_experts = route.expert_RK.flatten()[route.order_P]
    assert sorted_experts.tolist() == sorted(route.expert_RK.flatten().tolist())
    assert route.counts_E.tolist() == torch.bincount(sorted_experts, minlength=5).tolist()
    for expert in range(5):
        places = route.order_P[sorted_experts == expert]
        assert places.tolist() == sorted(places.tolist())


def test_tokens_in_another_order_get_their_answers_in_that_order() -> None:
    x, logits, *weights = some_experts()
    order = torch.randperm(9)
    straight = moe_ffn(x, *weights, moe_route(logits, torch.zeros(5), 2))
    permuted = moe_ffn(x[order], *weights, moe_route(logits[order], torch.zeros(5), 2))
    assert torch.allclose(permuted, straight[order], atol=1e-12)


def test_no_token_gives_no_answer() -> None:
    x, logits, *weights = some_experts(tokens=0)
    assert moe_ffn(x, *weights, moe_route(logits, torch.zeros(5), 2)).shape == (0, 4)


def test_gradients_of_the_experts_are_those_of_their_values() -> None:
    inputs = [one.requires_grad_() for one in some_experts(tokens=4, experts=3, channels=2, inner=2)]
    assert torch.autograd.gradcheck(lambda x, logits, *weights: moe_ffn(x, *weights, moe_route(logits, torch.zeros(3), 2)), inputs)


def test_the_same_experts_twice_give_the_same_gradients_to_the_bit() -> None:
    found = []
    x, logits, *weights = (one.float() for one in some_experts(tokens=4000, channels=16))
    for _ in range(2):
        leaf = x.clone().requires_grad_()
        moe_ffn(leaf, *weights, moe_route(logits, torch.zeros(5), 4)).square().sum().backward()
        found.append(leaf.grad)
    assert torch.equal(*found)  # type: ignore[arg-type]


def test_the_largest_violation_is_0_in_balance_and_experts_over_active_less_1_at_worst() -> None:
    assert max_violation(torch.tensor([4, 4, 4])) == 0
    assert max_violation(torch.tensor([12, 0, 0])) == 2


def test_a_token_that_is_not_present_goes_nowhere_and_changes_nobody() -> None:
    x, logits, *weights = some_experts()
    present = torch.arange(9) % 3 > 0
    route = moe_route(logits, torch.zeros(5), 2, present)
    alone = moe_route(logits[present], torch.zeros(5), 2)
    assert route.counts_E.tolist() == alone.counts_E.tolist()
    assert (route.expert_RK[~present] == 5).all()
    assert (route.weight_RK[~present] == 0).all()
    assert (route.order_P[-6:] // 2).tolist() == [0, 0, 3, 3, 6, 6]
    y = moe_ffn(x, *weights, route)
    assert torch.equal(y[present], moe_ffn(x[present], *weights, alone))
    assert (y[~present] == 0).all()


def test_gradients_of_the_experts_reach_present_tokens_alone() -> None:
    x, logits, *weights = (one.requires_grad_() for one in some_experts(tokens=4, experts=3, channels=2, inner=2))
    present = torch.tensor([True, False, True, True])
    assert torch.autograd.gradcheck(lambda x, *weights: moe_ffn(x, *weights, moe_route(logits, torch.zeros(3), 2, present)), (x, *weights))


def test_eight_bits_keep_what_they_can_hold_and_round_the_rest_to_a_sixteenth() -> None:
    held = torch.tensor([[448.0, 1.0, -0.875, 0.0] * 32])
    x8, scale = fp8.rows(held)
    assert torch.equal(x8.float() * scale, held)
    x = torch.randn(5, 256)
    x8, scale = fp8.rows(x)
    restored = (x8.float().view(5, 2, 128) * scale[..., None]).view(5, 256)
    assert ((restored - x).abs() <= x.abs() / 16 + scale.repeat_interleave(128, 1) / 512).all()


def test_experts_in_8_bits_are_near_those_in_full() -> None:
    x, (gate, up, down) = torch.randn(300, 128), (torch.randn(4, 128, 128) / 11 for _ in range(3))
    route = moe_route(torch.randn(300, 4), torch.zeros(4), 2, torch.rand(300) < 0.9)
    full, eighths = moe_ffn(x, gate, up, down, route), fp8.moe_ffn_fp8(x, fp8.quantised(gate, up, down), route)
    assert float((eighths - full).norm() / full.norm()) < 0.08
    assert (eighths[route.expert_RK[:, 0] == 4] == 0).all()


def test_experts_of_a_width_that_blocks_do_not_fill_are_refused_in_8_bits() -> None:
    with pytest.raises(ValueError, match="multiples of 128, not 64 and 128"):
        fp8.quantised(torch.zeros(1, 64, 128), torch.zeros(1, 64, 128), torch.zeros(1, 128, 64))
