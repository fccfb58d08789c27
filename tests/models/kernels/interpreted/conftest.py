import sys
from pathlib import Path

import pytest
import torch

from models.kernels.launch import INTERPRETED

sys.path.insert(0, str(Path(__file__).parent))  # oracle.py, in this process alone

if not INTERPRETED:
    pytest.exit("these checks run in a process with TRITON_INTERPRET=1: tests/models/kernels/test_interpreted.py starts it")
torch.set_num_threads(1)
