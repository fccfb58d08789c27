"""On a GPU: the kernels against float64, as benchmarks/kernels.py checks them, in a CUDA graph, the whole network, and a training."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from pydantic import BaseModel

from benchmarks import kernels as bench
from benchmarks import train_step
from models.dataset import Dataset
from models.folds import Fold
from models.kernels.shapes import SMALL, TINY, Shape
from models.ranker import training
from models.ranker.model import Ranker

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("make", bench.CASES)
@pytest.mark.parametrize("shape", [TINY, SMALL], ids=lambda shape: shape.name)
def test_kernels_are_as_exact_as_torch(shape: Shape, make: Callable[..., bench.Case], dtype: torch.dtype) -> None:
    case = make(shape, dtype, "cuda")
    if not case.shape_class:
        pytest.skip("no kernel for this shape and type")
    bench.check(case, "triton", dtype)


@pytest.mark.parametrize("make", bench.CASES)
def test_two_runs_are_the_same_to_the_bit(make: Callable[..., bench.Case]) -> None:
    case = make(SMALL, torch.bfloat16, "cuda")
    one, other = (bench.answers(lambda *inputs: case.ours(*inputs, path="triton"), case.inputs, case.learns) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_whole_step_agrees_with_the_reference_and_is_captured_in_a_graph() -> None:
    net, seen = train_step.network(SMALL, "cuda"), train_step.batch(SMALL, "cuda", torch.bfloat16)
    train_step.compare(net, seen, "triton")
    ours = train_step.step_of(net, seen, "triton")
    expected = ours().clone()
    assert torch.equal(train_step.captured(ours)(), expected)


def test_a_captured_training_is_that_of_single_launches(
    planted: Dataset, fold: Fold, small: dict[str, BaseModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small["ranker"].model_copy(update={"device": "cuda", "capture": True})
    rankers = []
    for steps in (training.Captured, partial(training.Captured, record=lambda work: work)):
        monkeypatch.setattr(training, "Captured", steps)
        rankers.append(Ranker(settings))
        rankers[-1].fit(planted, fold.train, fold.valid, seed=0)
    graph, single = rankers
    assert [epoch.loss for epoch in graph.epochs] == pytest.approx([epoch.loss for epoch in single.epochs], rel=1e-3)
    assert graph.epochs[-1].rank_ic == pytest.approx(single.epochs[-1].rank_ic, abs=0.01)
