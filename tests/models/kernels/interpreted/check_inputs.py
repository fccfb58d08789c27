"""Windows of a panel and pairs of scores in the interpreter."""

import pytest
import torch
from oracle import Draw, agree

from models.kernels import pairs, windows
from models.kernels.pairs import pair_loss
from models.kernels.windows import embed_windows


@pytest.mark.parametrize("seed", range(30))
def test_embed_windows(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "PART", 64)  # so that small cases have several parts
    draw = Draw(seed)
    sessions, stocks, lookback, factors, channels = (
        draw.size(1, 3),
        draw.some(1, 7, 30),
        draw.some(1, 3, 5),
        draw.some(1, 8, 33),
        draw.some(1, 20, 70),
    )
    panel = draw.normal(20, factors)
    row = torch.randint(0, 20, (sessions, stocks, lookback), generator=draw.random)
    inputs = [draw.normal(sessions, factors), draw.normal(channels, factors), draw.normal(channels)]
    gated = bool(draw.size(0, 3))
    rounded = torch.float64 if draw.dtype == torch.float64 else draw.dtype

    def embedded(gate: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, path: windows.Path) -> torch.Tensor:
        return embed_windows(panel.to(gate.dtype if path == "ref" else rounded), row, gate if gated else None, weight, bias, path=path)

    agree(embedded, inputs, twice=seed % 5 == 0)


@pytest.mark.parametrize("seed", range(30))
def test_pair_loss(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "STOCKS", 16)
    draw = Draw(seed)
    draw.dtype = torch.float64 if seed % 2 else torch.float32
    shape = draw.size(1, 3), draw.some(2, 7, 16, 40), draw.size(1, 5)
    labels = draw.normal(*shape).mul(2).round()  # with ties
    known = draw.mask(*shape)
    shifts = torch.randint(1, shape[1], (draw.size(1, 6),), generator=draw.random)
    given = shifts if draw.size(0, 1) else shifts.tolist()
    agree(lambda p, path: pair_loss(p, labels.to(p.dtype), known, given, path=path), [draw.normal(*shape)], twice=seed % 5 == 0)


def test_all_pairs_are_the_shifts_up_to_half_the_circle() -> None:
    p, y = torch.randn(2, 7, dtype=torch.float64)
    loss = pair_loss(p.view(1, 7, 1), y.view(1, 7, 1), torch.ones(1, 7, 1, dtype=torch.bool), range(1, 4), path="triton")
    terms = [(abs(y[i] - y[j]), (p[i] - p[j]) * (y[i] - y[j]).sign()) for i in range(7) for j in range(i)]
    expected = sum(w * torch.nn.functional.softplus(-m) for w, m in terms) / sum(w for w, _ in terms)
    assert float(loss) == pytest.approx(float(expected))


def test_operations_keep_torchs_rules() -> None:
    draw = Draw(0)
    p = draw.normal(2, 5, 3).contiguous().requires_grad_()
    torch.library.opcheck(pairs.LOSS, (p, p.detach().flip(1), torch.ones(2, 5, 3, dtype=torch.bool), torch.tensor([1, 3])))
    gate, weight, bias = (draw.normal(*shape).contiguous().requires_grad_() for shape in ((2, 6), (8, 6), (8,)))
    torch.library.opcheck(windows.WINDOWS, (draw.normal(9, 6).contiguous(), torch.randint(0, 9, (2, 3, 4)), gate, weight, bias))
