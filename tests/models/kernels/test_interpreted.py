"""Kernels in Triton's interpreter, which a process chooses before it imports them: interpreted/check_*.py run in one of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKS = sorted((Path(__file__).parent / "interpreted").glob("check_*.py"))


def test_kernels_agree_with_the_references_in_the_interpreter() -> None:
    pytest.importorskip("triton", reason="triton is not installed: pip install 'kestrel[gpu]'")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    for worker in [name for name in environment if name.startswith("PYTEST_XDIST")]:
        del environment[worker]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--durations=5", *map(str, CHECKS)]
    found = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=Path(__file__).parents[3], check=False)
    assert found.returncode == 0, found.stdout[-20000:] + found.stderr[-4000:]
