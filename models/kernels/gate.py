"""The compile gate: every kernel as it is shipped, compiled for Hopper without a GPU, and what the machine code must show.

Run: python -m models.kernels.gate          Prints the table of docs/kernels.md; exits 1 where a kernel fails.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.kernels.cross import cross_attention
from models.kernels.experts import moe_ffn
from models.kernels.fp8 import moe_ffn_fp8, quantised
from models.kernels.launch import Launch, written_down
from models.kernels.pairs import pair_loss
from models.kernels.routing import moe_route
from models.kernels.shapes import LARGE, LONG, MIDDLE, SMALL, Shape
from models.kernels.sublayer import Weights, time_sublayer
from models.kernels.sublayer import shape_class as sublayer_class
from models.kernels.temporal import shape_class as temporal_class
from models.kernels.temporal import temporal_attention
from models.kernels.windows import embed_windows

TARGET = ("cuda", 90, 32)
NAMES = {torch.float64: "fp64", torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16", torch.float8_e4m3fn: "fp8e4nv"}
NAMES |= {torch.int64: "i64", torch.int32: "i32", torch.bool: "i1"}
TILES = ("ROWS", "COLUMNS", "DEEP", "TALL", "PADDED", "WIDE", "LATENT", "SIDE", "STOCKS", "TOKENS")  # constants that say how a kernel is cut
MOST_SHARED = 227 * 1024  # bytes of a program on Hopper


class Verdict(NamedTuple):
    """What the machine code of a kernel shows."""

    kernel: str
    tile: str
    dtype: str
    warps: int
    stages: int
    registers: int
    shared: int  # bytes
    spills: int  # loads from and stores to local memory
    products: int  # tensor-core instructions
    copies: int  # asynchronous loads into shared memory: a pipelined loop
    faults: tuple[str, ...]


def judge(launch: Launch) -> Verdict:
    """Compile a launch that was written down, and read its machine code.

    A kernel that multiplies matrices must do so on tensor cores, and one that loads them in a loop must load ahead.  No kernel may spill.
    """
    compiled = _compile(launch)
    code, usage = _read(compiled.asm["cubin"])
    spills = len(re.findall(r"\b(?:LDL|STL)\b", code))
    products = len(re.findall(r"\b(?:[HQ]GMMA|HMMA|QMMA)\b", code))
    copies = len(re.findall(r"\b(?:LDGSTS|UBLKCP|UTMALDG)\b", code))
    registers = int(re.search(r"REG:(\d+)", usage)[1])  # type: ignore[index]
    shared = int(compiled.metadata.shared)
    multiplies, loops = "tt.dot" in compiled.asm["ttir"], bool(re.search(r"scf\.(for|while)", compiled.asm["ttir"]))
    checks = {
        f"{spills} spills": spills > 0,
        f"{shared} bytes of shared memory": shared > MOST_SHARED,
        "no tensor-core instruction": multiplies and not products,
        "no pipelined load": multiplies and loops and not copies,
    }
    faults = tuple(name for name, wrong in checks.items() if wrong)
    name = f"{launch.kernel.__module__.rsplit('.', 1)[-1]}.{launch.kernel.__name__.strip('_')}"
    return Verdict(name, _tile(launch), _dtype(launch), launch.warps, launch.stages, registers, shared, spills, products, copies, faults)


def shipped() -> list[Launch]:
    """Every configuration that is launched at the shapes of docs/kernels.md, once, at the largest that uses it."""
    launches = [launch for dtype in (torch.bfloat16, torch.float32) for shape in (LARGE, LONG, MIDDLE, SMALL) for launch in rehearse(shape, dtype)]
    found: dict[object, Launch] = {}
    for launch in launches:
        tile = tuple((name, value) for name, value in launch.arguments.items() if name in TILES)
        found.setdefault((id(launch.kernel), _dtype(launch), tile, launch.warps, launch.stages), launch)
    return list(found.values())


def rehearse(shape: Shape, dtype: torch.dtype) -> list[Launch]:
    """What every operation launches at a shape, forward and backward; nothing runs and nothing is held."""
    with written_down() as launches:
        for attempt in (_attention, _experts, _inputs_and_pairs):
            if shape is not LONG or attempt is _attention:
                attempt(shape, dtype)
    return launches


def _attention(shape: Shape, dtype: torch.dtype) -> None:
    sequences, keys, heads, width = shape.sessions * shape.stocks, shape.lookback, shape.time_heads, shape.width
    q, k, v = (_meta(dtype, sequences, keys, heads, width // heads) for _ in range(3))
    valid, bias = _meta(torch.bool, sequences, keys), _meta(torch.float32, heads, 2 * keys - 1)
    if temporal_class(q, k):
        _both(temporal_attention(q, k, v, valid, bias, path="triton"))
    q, k, v = _meta(dtype, shape.sessions, shape.stocks, 3 * width).unflatten(-1, (3 * shape.cross_heads, -1)).chunk(3, dim=2)
    _both(cross_attention(q, k, v, _meta(torch.bool, shape.sessions, shape.stocks), path="triton"))
    sides = (
        (width,),
        (width, width),
        (width // 4, width),
        (width // 4,),
        (width, width // 4),
        (width, width // 4),
        (heads, 2 * keys - 1),
        (width, width),
    )
    h, weights = _meta(dtype, sequences, keys, width), Weights(*(_meta(dtype, *side) for side in sides))
    if sublayer_class(h, weights):
        with torch.no_grad():
            time_sublayer(h, valid, weights, path="triton")


def _experts(shape: Shape, dtype: torch.dtype) -> None:
    tokens, experts, width, inner = shape.sessions * shape.stocks, shape.experts, shape.width, shape.inner
    logits, bias, present = _meta(torch.float32, tokens, experts), _meta(torch.float32, experts), _meta(torch.bool, tokens)
    route = moe_route(logits, bias, shape.active, present, path="triton")
    weights = _meta(dtype, experts, width, inner), _meta(dtype, experts, width, inner), _meta(dtype, experts, inner, width)
    _both(moe_ffn(_meta(dtype, tokens, width), *weights, route, path="triton"))
    if dtype == torch.bfloat16:
        with torch.no_grad():
            moe_ffn_fp8(_meta(dtype, tokens, width), quantised(*weights), route, path="triton")


def _inputs_and_pairs(shape: Shape, dtype: torch.dtype) -> None:
    sessions, stocks, factors, width = shape.sessions, shape.stocks, shape.inputs, shape.width
    panel = _meta(dtype, stocks * (sessions + shape.lookback) + 1, factors).detach()
    gate, weight, bias = _meta(torch.float32, sessions, factors), _meta(torch.float32, width, factors), _meta(torch.float32, width)
    _both(embed_windows(panel, _meta(torch.int64, sessions, stocks, shape.lookback), gate, weight, bias, path="triton"))
    scores = _meta(torch.float32, sessions, stocks, shape.horizons)
    _both(pair_loss(scores, scores.detach(), _meta(torch.bool, sessions, stocks, shape.horizons), _meta(torch.int64, 8), path="triton"))


def _meta(dtype: torch.dtype, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta", requires_grad=dtype.is_floating_point)


def _both(out: Tensor) -> None:
    torch.autograd.backward(out, torch.empty_like(out))


def _dtype(launch: Launch) -> str:
    """The type of the first number that a kernel reads; its name says so first."""
    return next((NAMES[value.dtype] for value in launch.arguments.values() if isinstance(value, Tensor) and value.is_floating_point()), "")


def _compile(launch: Launch) -> Any:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    signature, constants, attributes = _signature(launch)
    source = ASTSource(launch.kernel, signature, constexprs=constants, attrs=attributes)
    return triton.compile(source, target=GPUTarget(*TARGET), options={"num_warps": launch.warps, "num_stages": launch.stages})


def _signature(launch: Launch) -> tuple[dict[str, str], dict[tuple[int, ...], Any], dict[tuple[int, ...], Any]]:
    """Types, constants and alignment of the arguments, as Triton specialises them at a launch: 1 is a constant, multiples of 16 are known."""
    signature: dict[str, str] = {}
    constants: dict[tuple[int, ...], Any] = {}
    attributes: dict[tuple[int, ...], Any] = {}
    for place, parameter in enumerate(launch.kernel.params):
        value = launch.arguments[parameter.name]
        aligned = isinstance(value, Tensor) or (isinstance(value, int) and value % 16 == 0)
        if parameter.is_constexpr or (type(value) is int and value == 1):
            signature[parameter.name], constants[(place,)] = "constexpr", value
            continue
        if isinstance(value, Tensor):
            signature[parameter.name] = "*" + NAMES[value.dtype]
        else:
            signature[parameter.name] = "fp32" if isinstance(value, float) else "i32" if abs(value) < 2**31 else "i64"
        if aligned:
            attributes[(place,)] = [["tt.divisibility", 16]]
    return signature, constants, attributes


def _read(cubin: bytes) -> tuple[str, str]:
    """Machine code and resource usage, by the cuobjdump of triton's wheel."""
    import triton

    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        Path(file.name).write_bytes(cubin)
        outputs = [subprocess.run([tool, flag, file.name], check=True, capture_output=True, text=True).stdout for flag in ("-sass", "-res-usage")]
    return outputs[0], outputs[1]


def _tile(launch: Launch) -> str:
    return " ".join(f"{name.lower()} {value}" for name, value in launch.arguments.items() if name in TILES)


def main() -> None:
    """Compile everything and print the table."""
    print("| kernel | tile | type | warps | stages | registers | shared bytes | spills | tensor-core instructions | loads ahead | fault |")
    print("|" + "---|" * 11)
    wrong = False
    for launch in shipped():
        verdict = judge(launch)
        wrong |= bool(verdict.faults)
        print("| " + " | ".join(str(value) for value in verdict[:-1]) + f" | {', '.join(verdict.faults)} |", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
