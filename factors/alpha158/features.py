"""How the features of Alpha158 are registered: under Qlib's names, each as an expression, with one kernel for the values of all."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from factors.alpha158.names import NAMES, WINDOWS
from factors.alpha158.slabs import blocks
from factors.alpha158.tiles import Columns
from factors.expressions import Expr
from factors.registry import register

Floats = NDArray[np.float64]


def fused(columns: Mapping[str, Floats], names: Sequence[str], start: int, size: int) -> Iterator[tuple[int, dict[str, NDArray[np.float32]]]]:
    """(first session, {name: [B, N]}) of these features out of the kernel, block by block."""
    nothing = np.full(columns["close"].shape, np.nan)
    given = Columns(*(np.ascontiguousarray(columns.get(name, nothing), dtype=np.float64) for name in Columns._fields))
    for lo, x_BFN in blocks(given, start=start, size=size):
        yield lo, {name: x_BFN[:, NAMES.index(name)] for name in names}


def feature(define: Callable[[], Expr]) -> Callable[[], Expr]:
    """Register a feature of the session, its name in capitals."""
    register(define.__name__.upper(), "alpha158", define.__doc__ or "", define(), fused=fused)
    return define


def rolling(define: Callable[[int], Expr]) -> Callable[[int], Expr]:
    """Register a feature at each window, its name in capitals with the window behind; the paragraph's "n" becomes the window."""
    name = define.__name__.strip("_").upper()  # `max` and `min` are words of Python
    for n in WINDOWS:
        about = (define.__doc__ or "").replace(" n ", f" {n} ")
        register(f"{name}{n}", "alpha158", about, define(n), fused=fused)
    return define
