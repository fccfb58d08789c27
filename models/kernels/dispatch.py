"""Which path an operation takes: plain torch, or its kernels where they were measured to be faster.

A kernel is the default for a shape class only where `benchmarks/kernels.py` measured it at least 1.1 times as fast, forward and backward,
as the best torch path on that device.  Nothing was measured so far, so everything goes to torch unless a path is forced.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from models.kernels.launch import runs_on

Path = Literal["triton", "ref"]
LEAST = 1.1  # times the best torch path


class Case(NamedTuple):
    """What was measured: an operation on a device, in a type, for a class of shapes (each operation says which in its `shape_class`)."""

    op: str
    device: str  # torch.cuda.get_device_name()
    dtype: str
    shape: str


# Copied from the "wins" of benchmarks/results/kernels-*.json, each with its ratio.
MEASURED: dict[Case, float] = {}

_forced: Path | None = None
_silent = False


@contextmanager
def forced(path: Path) -> Iterator[None]:
    """Every operation called in this block takes this path, backward included wherever that runs."""
    global _forced
    before, _forced = _forced, path
    try:
        yield
    finally:
        _forced = before


@contextmanager
def silent() -> Iterator[None]:
    """In this block no operation asks the device for a number on its way, as a CUDA graph demands; torch's paths then take more work instead."""
    global _silent
    before, _silent = _silent, True
    try:
        yield
    finally:
        _silent = before


def may_ask() -> bool:
    """Whether an operation may ask the device for a number here."""
    return not _silent


def kernels_run(op: str, x: Tensor, shape: str, path: Path | None) -> bool:
    """Whether this call goes to the kernels: as `path` says, else as `forced` says, else where that was measured to be faster.

    Raises ValueError where kernels are asked for on a device, or for a shape (shape ""), that they don't run on.
    """
    wanted = path or _forced
    if wanted == "ref":
        return False
    if wanted == "triton":
        if not runs_on(x.device):
            raise ValueError(f"{op}: no kernels on {x.device}. They need triton and CUDA, or TRITON_INTERPRET=1 on a CPU; path='ref' runs anywhere.")
        if not shape:
            raise ValueError(f"{op}: no kernel for shapes like {tuple(x.shape)}. path='ref' takes any.")
        return True
    if x.device.type != "cuda" or not MEASURED or not shape:
        return False
    case = Case(op, torch.cuda.get_device_name(x.device), str(x.dtype).removeprefix("torch."), shape)
    return MEASURED.get(case, 0.0) >= LEAST
