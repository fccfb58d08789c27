"""Kernels in Triton's interpreter, which a process chooses before it imports them: interpreted/check_*.py run in one of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "interpreted"


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_kernels_agree_with_the_references_in_the_interpreter(every: int) -> None:
    pytest.importorskip("triton", reason="triton is not installed: pip install 'kestrel[gpu]'")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1", "KESTREL_CASES_EVERY": str(every)}
    for worker in [name for name in environment if name.startswith("PYTEST_XDIST")]:
        del environment[worker]
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", f"pythonpath=. {HERE}"]
    command = [sys.executable, "-m", "pytest", *options, *map(str, sorted(HERE.glob("check_*.py")))]
    found = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=Path(__file__).parents[3], check=False)
    assert found.returncode == 0, found.stdout[-20000:] + found.stderr[-4000:]
    assert " passed" in found.stdout
    assert "skipped" not in found.stdout
