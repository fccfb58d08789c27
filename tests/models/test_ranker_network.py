import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from models.kernels.experts import max_violation, moe_route
from models.ranker.bodies import build
from models.ranker.body import Body, Output
from models.ranker.network import Network
from models.ranker.parts import Experts, InducedBlock
from models.ranker.settings import BodyName, RankerSettings

SMALL = RankerSettings(width=16, lookback=4, time_inner=16, experts=4, expert_width=8, cross_head=8, layers=2, cross_layers=2)
FACTORS, FLAGS, GAUGES = 5, 2, 3


def network(settings: RankerSettings = SMALL) -> Network:
    """In float64, with no part left at the zero it starts from."""
    torch.manual_seed(0)
    made = Network(settings, factors=FACTORS, flags=FLAGS, gauges=GAUGES, horizons=2).double().eval()
    for parameter in made.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return made


@pytest.fixture
def seen() -> tuple[Tensor, Tensor, Tensor]:
    """(x_SNTF, valid_SNT, m_SM) of two sessions with seven slots, of which the last of the second is empty."""
    torch.manual_seed(1)
    valid = torch.rand(2, 7, 4) < 0.8
    valid[..., -1] = True
    valid[1, 6] = False
    return torch.randn(2, 7, 4, FACTORS + FLAGS).double(), valid, torch.randn(2, GAUGES).double()


def run(made: Body, x: Tensor, valid: Tensor, m: Tensor) -> Output:
    """Windows as a panel that holds each of their rows by itself."""
    x_QF = torch.cat([torch.zeros(1, x.shape[-1], dtype=x.dtype), x.flatten(0, 2)])
    row_SNT = (1 + torch.arange(valid.numel())).view(valid.shape) * valid
    found: Output = made(x_QF, row_SNT, m)
    return found


def scores(made: Body, x: Tensor, valid: Tensor, m: Tensor) -> Tensor:
    return run(made, x, valid, m).score_SNH.detach()


def test_permuting_stocks_permutes_their_scores(seen: tuple[Tensor, Tensor, Tensor]) -> None:
    x, valid, m = seen
    order = torch.randperm(7)
    made = network()
    assert torch.allclose(scores(made, x[:, order], valid[:, order], m), scores(made, x, valid, m)[:, order], atol=1e-12)


def test_an_absent_stock_changes_nobodys_score(seen: tuple[Tensor, Tensor, Tensor]) -> None:
    x, valid, m = seen
    made, present = network(), valid[..., -1]
    garbage = torch.where(present[..., None, None], x, 1e3 * torch.randn_like(x))
    assert torch.allclose(scores(made, garbage, valid, m)[present], scores(made, x, valid, m)[present], atol=1e-12)
    assert torch.allclose(scores(made, x[1:, :6], valid[1:, :6], m[1:]), scores(made, x, valid, m)[1:, :6], atol=1e-12)


def test_a_session_in_which_a_stock_was_absent_changes_nothing(seen: tuple[Tensor, Tensor, Tensor]) -> None:
    x, valid, m = seen
    made, present = network(), valid[..., -1]
    garbage = torch.where(valid[..., None], x, 1e3 * torch.randn_like(x))
    assert torch.allclose(scores(made, garbage, valid, m)[present], scores(made, x, valid, m)[present], atol=1e-12)


def test_other_sessions_of_a_batch_change_nothing(seen: tuple[Tensor, Tensor, Tensor]) -> None:
    x, valid, m = seen
    made = network()
    assert torch.allclose(scores(made, x[:1], valid[:1], m[:1]), scores(made, x, valid, m)[:1], atol=1e-12)


def test_each_part_of_the_network_reaches_the_scores(seen: tuple[Tensor, Tensor, Tensor]) -> None:
    x, valid, m = seen
    made = network()
    run(made, x, valid, m).score_SNH[valid[..., -1]].square().sum().backward()
    still = {name for name, parameter in made.named_parameters() if parameter.grad is None or not parameter.grad.any()}
    assert still == set()


def test_stocks_of_a_session_see_each_other_only_across_stocks(seen: tuple[Tensor, Tensor, Tensor]) -> None:
    x, valid, m = seen
    moved = x.clone()
    moved[:, 0] += 1
    for layers, others_move in ((1, True), (0, False)):
        made = network(SMALL.model_copy(update={"cross_layers": layers}))
        assert (not torch.allclose(scores(made, moved, valid, m)[:, 1:6], scores(made, x, valid, m)[:, 1:6], atol=1e-9)) == others_move


def test_the_gate_is_1_on_average_and_moves_with_the_market(seen: tuple[Tensor, Tensor, Tensor]) -> None:
    gate = network().embed.gate
    assert gate is not None
    gate_SF = gate(seen[2])
    assert torch.allclose(gate_SF.mean(1), torch.ones(2).double())
    assert not torch.allclose(gate_SF[0], gate_SF[1])


@pytest.mark.parametrize("off", [{"gate": 0.0}, {"film": False}, {"cross_layers": 0}, {"experts": 0}, {"layers": 0}, {"chained": False}])
def test_each_part_can_be_switched_off(off: dict[str, object], seen: tuple[Tensor, Tensor, Tensor]) -> None:
    made = network(SMALL.model_copy(update=off))
    assert scores(made, *seen).shape == (2, 7, 2)
    if off != {"chained": False}:
        assert sum(one.numel() for one in made.parameters()) < sum(one.numel() for one in network().parameters())


def test_a_chained_head_sees_the_one_before_it_and_not_the_one_after(seen: tuple[Tensor, Tensor, Tensor]) -> None:
    for chained in (True, False):
        made = network(SMALL.model_copy(update={"chained": chained}))
        before = scores(made, *seen)
        made.heads.mix[0].weight.data += 0.1  # type: ignore[operator]
        after = scores(made, *seen)
        assert not torch.equal(before[..., 0], after[..., 0])
        assert torch.equal(before[..., 1], after[..., 1]) != chained


def test_present_stocks_alone_count_as_load(seen: tuple[Tensor, Tensor, Tensor]) -> None:
    assert int(run(network(), *seen).load_E.sum()) == 13 * SMALL.active


def test_the_bias_brings_a_lopsided_router_into_balance() -> None:
    experts = Experts(SMALL, GAUGES)
    logits = torch.randn(500, 4) + torch.tensor([2.0, 0.0, 0.0, -2.0])
    first = max_violation(moe_route(logits, experts.bias_E, 2).counts_E)
    for _ in range(400):
        experts.rebalance(moe_route(logits, experts.bias_E, 2).counts_E, 0.005)
    assert first > 0.8
    assert max_violation(moe_route(logits, experts.bias_E, 2).counts_E) < 0.1


def test_the_heads_look_at_a_market_through_film_gate_and_router_alone(seen: tuple[Tensor, Tensor, Tensor]) -> None:
    x, valid, m = seen
    made = network(SMALL.model_copy(update={"gate": 0.0, "film": False, "experts": 0}))
    assert torch.equal(scores(made, x, valid, m), scores(made, x, valid, -m))
    assert not torch.equal(scores(network(), x, valid, m), scores(network(), x, valid, -m))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"width": 30, "time_heads": 4}, "multiple of time_heads"),
        ({"width": 200, "cross_head": 64}, "multiple of cross_head"),
        ({"experts": 2, "active": 3}, "more than the 2"),
        ({"concordance": 0.0, "squares": 0.0, "pairs": 0.0}, "a weight"),
        ({"laers": 2}, "Extra inputs"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        RankerSettings.model_validate(wrong)


def test_settings_come_from_lists_as_a_config_has_them() -> None:
    found = RankerSettings.model_validate({"heads": [1, 5], "market": {"means": ["reversal_5"], "styles": [["a", "b"]]}})
    assert (found.heads, found.market.styles) == ((1, 5), (("a", "b"),))
    assert RankerSettings.model_validate_json(found.model_dump_json()) == found


def test_through_inducing_points_stocks_still_permute_and_absent_ones_change_nothing(seen: tuple[Tensor, Tensor, Tensor]) -> None:
    x, valid, m = seen
    made = network(SMALL.model_copy(update={"inducing": 3}))
    assert any(isinstance(block, InducedBlock) for block in made.over_stocks)
    before = scores(made, x, valid, m)
    order = torch.randperm(7)
    assert torch.allclose(scores(made, x[:, order], valid[:, order], m), before[:, order], atol=1e-12)
    present = valid[..., -1]
    garbage = torch.where(present[..., None, None], x, 1e3 * torch.randn_like(x))
    assert torch.allclose(scores(made, garbage, valid, m)[present], before[present], atol=1e-12)
    moved = x.clone()
    moved[:, 0] += 1
    assert not torch.allclose(scores(made, moved, valid, m)[:, 1:6], before[:, 1:6], atol=1e-9)


@pytest.mark.parametrize("body", ["transformer", "gru", "mlp"])
def test_plain_bodies_score_each_stock_by_itself(body: BodyName, seen: tuple[Tensor, Tensor, Tensor]) -> None:
    x, valid, m = seen
    torch.manual_seed(0)
    made = build(SMALL.model_copy(update={"body": body}), factors=FACTORS, flags=FLAGS, gauges=GAUGES, horizons=2).double().eval()
    before = scores(made, x, valid, m)
    moved = x.clone()
    moved[:, 0] += 1
    after = scores(made, moved, valid, m)
    assert torch.allclose(after[:, 1:], before[:, 1:], atol=1e-12)
    assert not torch.allclose(after[:, 0], before[:, 0])
    assert not torch.allclose(scores(made, x, valid, -m), before)
    assert bool(before.isfinite().all())


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")  # torch says that its fused norm is for one type
def test_in_16_bits_the_router_stays_in_32(seen: tuple[Tensor, Tensor, Tensor]) -> None:
    x, valid, m = seen
    made = network().float()
    exact = run(made, x.float(), valid, m.float())
    with torch.autocast("cpu", torch.bfloat16):
        rough = run(made, x.float(), valid, m.float())
    assert torch.equal(rough.load_E.sum(), exact.load_E.sum())
    assert torch.allclose(rough.score_SNH.float(), exact.score_SNH, atol=0.1, rtol=0.1)
    assert not torch.equal(rough.score_SNH.float(), exact.score_SNH)
