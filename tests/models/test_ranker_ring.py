"""Several processes train one network: the same gradients, and so the same weights, as one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
TRAIN = """
import sys
from pathlib import Path
import numpy as np
import torch
from safetensors.torch import save_file
from models.ranker.bodies import build
from models.ranker.course import begin
from models.ranker.panel import Panel
from models.ranker.ring import current, joined
from models.ranker.settings import RankerSettings
from models.ranker.step import Lessons, Step, loss_of
from models.ranker.training import torch_state, train

rng = np.random.default_rng(0)
D, N, T = 24, 30, 3
settings = RankerSettings(width=8, cross_head=8, lookback=T, time_inner=8, experts=4, expert_width=8, dropout=0.0, epochs=2, batch=3)
present = rng.random((D, N)) < 0.9
row = np.zeros((D + T - 1, N), dtype=np.int64)
row[T - 1 :][present] = np.arange(1, present.sum() + 1)
x = rng.normal(size=(present.sum() + 1, 5)).astype(np.float32)
x[0] = 0
panel = Panel(torch.from_numpy(x), torch.from_numpy(row), torch.from_numpy(rng.normal(size=(D, 2)).astype(np.float32)), T)
y = rng.normal(size=(D, N, 2)).astype(np.float32)
y[~present] = np.nan
train_S, valid_S = np.arange(0, 16), np.arange(18, 24)
lessons = Lessons(panel, train_S, y[train_S], np.ones(16, dtype=np.float32), valid_S, y[valid_S, :, 0], (1, 5))
with joined() as ring, torch_state(1, 0):
    network = build(settings, factors=4, flags=1, gauges=2, horizons=2)
    seen = Step.of(lessons, np.arange(3), current(), pairs=True)
    loss, load = loss_of(network, lessons, seen, settings)
    loss.backward()
    lone = Step.of(lessons, np.arange(1), current(), pairs=True)  # with two members one of them looks on
    alone_load = loss_of(network, lessons, lone, settings)[1].float()
    load = load.float()
    current().add([load, alone_load])
    current().add_gradients([*network.parameters()])
    gradients = {name: value.grad.clone() for name, value in network.named_parameters()}
    network.zero_grad()
    [course] = train({7: network}, lessons, settings)
    if ring.rank == 0:
        trained = {f"trained.{name}": value.contiguous() for name, value in course.network.state_dict().items()}
        save_file({**gradients, **trained, "load": load, "alone_load": alone_load}, sys.argv[1])
"""


def trained(folder: Path, processes: int) -> dict[str, torch.Tensor]:
    """Gradients of a step, and the weights after two epochs, as that many processes find them."""
    script, out = folder / "train.py", folder / f"{processes}.safetensors"
    script.write_text(TRAIN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else [sys.executable]
    subprocess.run([*start, script, out], check=True, timeout=300, env=environment, capture_output=True)
    return load_file(out)


def test_two_processes_find_the_gradients_and_weights_of_one(tmp_path: Path) -> None:
    alone, together = trained(tmp_path, 1), trained(tmp_path, 2)
    assert alone.keys() == together.keys()
    for name, value in alone.items():
        within = 1e-3 if name.startswith("trained.") else 1e-6
        assert together[name] == pytest.approx(value, abs=within), name
    assert any(value.abs().max() > 1e-3 for name, value in alone.items() if not name.startswith(("trained.", "load", "alone_load")))
