"""Which path is taken, and what the kernels and their network need to be imported."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.kernels import dispatch
from models.kernels.dispatch import Case, forced, kernels_run
from models.kernels.pairs import pair_loss
from models.kernels.temporal import shape_class, temporal_attention

ROOT = Path(__file__).parents[3]
BARE = """
import sys
for name in {blocked!r}:
    sys.modules[name] = None
import torch
from models.kernels import cross, experts, fp8, pairs, sublayer, temporal, windows
from models.kernels.dispatch import forced
from models.ranker.network import Network
import models.ranker.losses
q = torch.randn(2, 3, 1, 4)
temporal.temporal_attention(q, q, q, torch.ones(2, 3, dtype=torch.bool), torch.zeros(1, 5))
"""


def some() -> tuple[torch.Tensor, ...]:
    q = torch.randn(2, 3, 1, 4)
    return q, q, q, torch.ones(2, 3, dtype=torch.bool), torch.zeros(1, 5)


def test_what_was_never_measured_goes_to_torch() -> None:
    assert dispatch.MEASURED == {}
    assert not kernels_run("temporal_attention", torch.empty(1), "T16 D16 all", None)


def test_a_kernel_is_chosen_only_where_it_won(monkeypatch: pytest.MonkeyPatch) -> None:
    class OnGpu:
        device, dtype, shape = torch.device("cuda"), torch.bfloat16, (1,)

    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100 80GB HBM3")
    won, lost = (Case("moe_ffn", "NVIDIA H100 80GB HBM3", "bfloat16", shape) for shape in ("C256 I256 E16", "C128 I128 E16"))
    monkeypatch.setattr(dispatch, "MEASURED", {won: 1.4, lost: 1.05})
    chosen = [kernels_run("moe_ffn", OnGpu(), shape, None) for shape in (won.shape, lost.shape, "C512 I512 E16")]  # type: ignore[arg-type]
    assert chosen == [True, False, False]
    with forced("ref"):
        assert not kernels_run("moe_ffn", OnGpu(), won.shape, None)  # type: ignore[arg-type]


def test_kernels_asked_for_where_they_cannot_run_are_refused() -> None:
    with pytest.raises(ValueError, match=r"temporal_attention: no kernels on cpu. They need triton and CUDA, or TRITON_INTERPRET=1"):
        temporal_attention(*some(), path="triton")
    with forced("triton"), pytest.raises(ValueError, match="pair_loss: no kernels on cpu"):
        pair_loss(torch.zeros(1, 2, 1), torch.zeros(1, 2, 1), torch.ones(1, 2, 1, dtype=torch.bool), [1])


def test_a_call_decides_against_what_is_forced_around_it() -> None:
    with forced("triton"):
        assert torch.equal(temporal_attention(*some()[:3], *some()[3:], path="ref").isfinite(), torch.ones(2, 3, 1, 4, dtype=torch.bool))
    assert temporal_attention(*some()).shape == (2, 3, 1, 4)


def test_shapes_that_no_tile_holds_have_no_class() -> None:
    q = torch.empty(1, 65, 1, 16, device="meta", dtype=torch.bfloat16)
    assert shape_class(q, q) == ""
    with pytest.raises(ValueError, match=r"no kernel for shapes like \(1, 65, 1, 16\). path='ref' takes any"):
        temporal_attention(q, q, q, torch.empty(1, 65, device="meta", dtype=torch.bool), torch.empty(1, 129, device="meta"), path="triton")


@pytest.mark.parametrize("blocked", [["triton"], ["polars", "pydantic", "numpy", "pandas", "numba", "click"]])
def test_operations_and_network_need_torch_alone(blocked: list[str]) -> None:
    script = BARE.format(blocked=blocked)
    found = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert found.returncode == 0, found.stderr
