import math

import pytest
import torch
from torch import Tensor

from models.ranker.losses import disagreement, squares, wrong_pairs


def column(*values: float) -> Tensor:
    """One session and one horizon."""
    return torch.tensor(values, dtype=torch.float64).view(1, -1, 1)


Y = column(-1.0, 0.0, 1.0)
ALL = torch.ones(1, 3, 1, dtype=torch.bool)


@pytest.mark.parametrize(("p", "expected"), [(Y, 0.0), (-Y, 2.0), (0 * Y, 1.0), (2 * Y, 1 - 2 * 2 / (4 + 1)), (Y + 1, 1 - 2 * (2 / 3) / (4 / 3 + 1))])
def test_disagreement_is_1_less_the_concordance(p: Tensor, expected: float) -> None:
    assert float(disagreement(p, Y, ALL)) == pytest.approx(expected, abs=1e-7)


def test_squares_are_averaged_over_the_known() -> None:
    assert float(squares(column(1, 1, 1), Y, ALL)) == pytest.approx(5 / 3)
    assert float(squares(column(1, 1, 1), Y, torch.tensor([True, True, False]).view(1, 3, 1))) == pytest.approx(5 / 2)


def test_pairs_count_by_the_gap_of_their_labels() -> None:
    p = column(0.5, 0.0, 1.0)
    # a shift of 1 pairs each stock with the one before: (1, 0) wrong by .5, (2, 1) right by 1, (0, 2) right by .5
    terms = [(1, -0.5), (1, 1.0), (2, 0.5)]
    expected = sum(gap * math.log1p(math.exp(-margin)) for gap, margin in terms) / 4
    assert float(wrong_pairs(p, Y, ALL, [1])) == pytest.approx(expected)
    assert float(wrong_pairs(p, Y, ALL, [1, 2])) == pytest.approx(expected)


@pytest.mark.parametrize("loss", [disagreement, squares, lambda p, y, known: wrong_pairs(p, y, known, [1, 2])])
def test_what_is_not_known_changes_nothing(loss: "object") -> None:
    known = torch.tensor([True, True, False, True]).view(1, 4, 1)
    p, y = column(0.3, -0.2, 0.0, 0.5), column(1.0, -1.0, 0.0, 0.2)
    other = torch.where(known, p, torch.full_like(p, 77.0))
    assert torch.equal(loss(p, y, known), loss(other, y, known))  # type: ignore[operator]


@pytest.mark.parametrize("loss", [disagreement, squares, lambda p, y, known: wrong_pairs(p, y, known, [1])])
def test_sessions_and_horizons_are_judged_apart(loss: "object") -> None:
    torch.manual_seed(0)
    p, y, known = torch.randn(3, 9, 2), torch.randn(3, 9, 2), torch.rand(3, 9, 2) < 0.8
    whole = loss(p, y, known)  # type: ignore[operator]
    assert whole.shape == (3, 2)
    alone = loss(p[1:2, :, 1:], y[1:2, :, 1:], known[1:2, :, 1:])  # type: ignore[operator]
    assert torch.allclose(whole[1, 1], alone[0, 0])


def test_a_session_without_labels_has_a_finite_loss_and_gradient() -> None:
    p = column(1, 2, 3).requires_grad_()
    nothing = torch.zeros_like(ALL)
    total = disagreement(p, 0 * Y, nothing) + squares(p, 0 * Y, nothing) + wrong_pairs(p, 0 * Y, nothing, [1])
    total.sum().backward()
    assert total.isfinite().all()
    assert p.grad is not None
    assert not p.grad.any()
