"""The GPU's benchmarks run to their end on a CPU, in the reference path, from a copy that has torch alone."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from models.kernels.rooflines import operation_work, peak_of, step_work
from models.kernels.shapes import LARGE, MIDDLE

ROOT = Path(__file__).parents[3]
BLOCKED = ("polars", "pydantic", "pandas", "numba", "click", "duckdb", "lightgbm", "mlflow")


@pytest.mark.parametrize("script", [pytest.param("kernels", marks=pytest.mark.slow), "train_step"])
def test_a_benchmark_runs_to_its_end_on_a_cpu(script: str, tmp_path: Path) -> None:
    path = str(ROOT / "benchmarks" / f"{script}.py")
    blind = (
        f"import runpy, sys; sys.modules.update(dict.fromkeys({BLOCKED!r})); sys.argv[0] = {script!r}; runpy.run_path({path!r}, run_name='__main__')"
    )
    command = [sys.executable, "-W", "ignore", "-c", blind, "--tiny", "--out", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "FAILED" not in found.stdout
    assert "failed" not in found.stdout
    (kept,) = tmp_path.glob(f"{script}-*.json")
    facts = json.loads(kept.read_text())
    assert facts["device"]
    if script == "kernels":
        assert len({row["op"] for row in facts["rows"]}) == 8
        assert facts["wins"] == []  # nothing wins on a CPU
    else:
        assert facts["seconds"]["kestrel"] > 0
        assert facts["least"] == pytest.approx(sum(part["seconds"] for part in facts["roofline"]))


def test_without_a_gpu_a_benchmark_says_what_runs_here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    monkeypatch.setattr(sys, "argv", ["kernels.py"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / "benchmarks" / "kernels.py"), run_name="__main__")
    assert "--tiny runs the reference path" in capsys.readouterr().err


def test_the_roofline_of_attention_over_time_is_its_bytes() -> None:
    peak = peak_of("NVIDIA H100 80GB HBM3")
    assert peak is not None
    forward, both = operation_work(MIDDLE)["temporal_attention"]
    assert forward.bytes == 4 * 4 * 2000 * 16 * 256 * 2
    assert forward.seconds(peak) == forward.bytes / 3.35e12
    assert both.seconds(peak) == pytest.approx(3 * forward.seconds(peak))


def test_a_step_needs_more_the_larger_it_is() -> None:
    peak = peak_of("H100")
    assert peak is not None
    small, large = (sum(work.seconds(peak) for work in step_work(shape).values()) for shape in (MIDDLE, LARGE))
    assert 8 < large / small < 20  # ten times the rows, and sessions of 2.5 times the stocks
