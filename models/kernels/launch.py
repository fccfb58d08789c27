"""Triton where it is installed, how a kernel becomes an operation of torch, and the one place from which kernels are launched.

What torch asks about an operation without running it (shapes, for meta tensors, compilation and export) is answered by its own wrapper with
the launches left out.  So wrappers can be followed on meta tensors, of any size and without a device: that shows that they never wait
for the device, what grid they ask for, and what the compile gate has to compile.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor

tl: Any
jit: Callable[..., Any]
try:
    import triton
    import triton.language

    tl, jit, INSTALLED = triton.language, triton.jit, True
except ImportError:  # the reference paths work without it; kernels can be read and not launched
    tl, jit, INSTALLED = SimpleNamespace(constexpr=object), lambda function: function, False

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


class Launch(NamedTuple):
    """One launch of a kernel, as asked for."""

    kernel: Any
    programs: int
    arguments: dict[str, Any]
    warps: int
    stages: int


_written: list[Launch] | None = None
_asked = False  # torch asks for shapes alone


@contextmanager
def written_down() -> Iterator[list[Launch]]:
    """The launches that operations on meta tensors left out in this block, in order."""
    global _written
    _written, before = [], _written
    try:
        yield _written
    finally:
        _written = before


def operation(name: str, run: Callable[..., Any], *, save: Callable[..., None] | None = None, differentiate: Callable[..., Any] | None = None) -> Any:
    """`run` as torch's operation kestrel::name, which compiles and exports; it must not change its arguments, nor return one of them."""

    def ask(*arguments: Any) -> Any:
        global _asked
        _asked, before = True, _asked
        try:
            return run(*arguments)
        finally:
            _asked = before

    op = torch.library.custom_op(f"kestrel::{name}", run, mutates_args=())
    op.register_fake(ask)
    if differentiate is not None:
        op.register_autograd(differentiate, setup_context=save)
    return op


def launch(kernel: Any, programs: int, arguments: Mapping[str, Any], *, warps: int, stages: int) -> None:
    """Run so many programs of a kernel on its tensors' device; no program, no launch.  Every grid has one dimension: only that may pass 65,535."""
    if _asked:
        if _written is not None:
            _written.append(Launch(kernel, programs, dict(arguments), warps, stages))
    elif programs:
        with torch.cuda.device_of(next(value for value in arguments.values() if isinstance(value, Tensor))):
            kernel[(programs,)](**arguments, num_warps=warps, num_stages=stages)


def runs_on(device: torch.device) -> bool:
    """Whether kernels run there: on CUDA, in the interpreter on a CPU, or nowhere but on paper (meta)."""
    return INSTALLED and (device.type == "cuda" or (INTERPRETED and device.type == "cpu") or device.type == "meta")


def numbers(dtype: torch.dtype) -> dict[str, Any]:
    """What a kernel computes in: ACC, the type of sums (float32; float64 in the interpreter), and PRECISION of products of float32.

    Three TF32 products give a float32 product to about 1e-6 on tensor cores, where one gives 1e-3.
    """
    wide = dtype == torch.float64
    return {"ACC": tl.float64 if wide else tl.float32, "PRECISION": "tf32x3" if dtype == torch.float32 else "ieee"}


def sums(dtype: torch.dtype) -> torch.dtype:
    """ACC as torch calls it."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def computed(x: Tensor) -> torch.dtype:
    """The type an operation on x computes in: x's own, or autocast's where that is on."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if kind in ("cpu", "cuda") and torch.is_autocast_enabled(kind) and x.dtype != torch.float64 else x.dtype


def ceil_div(a: int, b: int) -> int:
    """A / b, rounded up."""
    return -(-a // b)


def padded(n: int, least: int = 16) -> int:
    """The power of two that holds n: the side of a tile, 16 at least for tensor cores."""
    return max(least, 1 << (max(int(n), 1) - 1).bit_length())
