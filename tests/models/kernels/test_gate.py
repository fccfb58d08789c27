"""What can be proved of the kernels on paper: they compile for Hopper as they must, and their wrappers never ask the device for a number."""

import pytest
import torch

pytest.importorskip("triton", reason="triton is not installed: pip install 'kestrel[gpu]'")

from models.kernels.gate import judge, rehearse, shipped
from models.kernels.launch import Launch, written_down
from models.kernels.shapes import LARGE, MIDDLE, SHAPES
from models.kernels.temporal import temporal_attention


def launched(name: str) -> Launch:
    return next(one for one in rehearse(MIDDLE, torch.bfloat16) if f"{one.kernel.__module__}.{one.kernel.__name__}" == f"models.kernels.{name}")


CONFIGURATIONS = [
    pytest.param(one, id=f"{place}-{one.kernel.__module__.rsplit('.')[-1]}{one.kernel.__name__}") for place, one in enumerate(shipped())
]


@pytest.mark.parametrize("launch", CONFIGURATIONS)
def test_every_shipped_configuration_passes_the_gate(launch: Launch) -> None:
    verdict = judge(launch)
    assert verdict.faults == (), str(verdict)


def test_a_configuration_that_spills_fails_the_gate() -> None:
    verdict = judge(launched("temporal._backward")._replace(warps=4))  # as many rows on half the registers
    assert verdict.spills > 0
    assert verdict.faults == (f"{verdict.spills} spills",)


def test_a_loop_that_does_not_load_ahead_fails_the_gate() -> None:
    assert judge(launched("experts._ragged")._replace(stages=1)).faults == ("no pipelined load",)


def test_products_off_the_tensor_cores_fail_the_gate() -> None:
    launch = next(one for one in rehearse(MIDDLE, torch.float32) if one.kernel.__name__ == "_ragged")
    assert "no tensor-core instruction" in judge(launch._replace(arguments={**launch.arguments, "PRECISION": "ieee"})).faults


@pytest.mark.parametrize("shape", ["S", "M", "L"])
def test_wrappers_never_wait_for_the_device(shape: str) -> None:
    launches = rehearse(SHAPES[shape], torch.bfloat16)  # tensors without numbers: asking for one would raise
    assert len({one.kernel for one in launches}) == 20


def test_a_grid_holds_millions_of_sequences() -> None:
    sequences = 5_000_000
    q = torch.empty(sequences, 32, 4, 64, device="meta", dtype=torch.bfloat16, requires_grad=True)
    valid, bias = torch.empty(sequences, 32, dtype=torch.bool, device="meta"), torch.empty(4, 63, device="meta")
    with written_down() as launches:
        o = temporal_attention(q, q, q, valid, bias, path="triton")
        torch.autograd.backward(o, torch.empty_like(o))
    for launch in launches:
        walks, tiles = launch.programs // 4, -(-sequences // 2)
        assert sum(len(range(walk, tiles, walks)) for walk in range(walks)) == tiles
    assert all(launch.programs < 2**31 for launch in rehearse(LARGE, torch.bfloat16))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("shape", ["S", "M", "L", "long"])
def test_every_launch_at_every_shape_passes_the_gate(shape: str, dtype: torch.dtype) -> None:
    for launch in rehearse(SHAPES[shape], dtype):
        verdict = judge(launch)
        assert verdict.faults == (), str(verdict)
