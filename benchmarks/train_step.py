"""A whole training step of the ranker (forward, losses, backward) against the least that the device can need, with and without its kernels.

Run: PYTHONPATH=. python benchmarks/train_step.py            shape M on a GPU; --shape S or L; torch and triton alone, under 8 minutes.
     PYTHONPATH=. python benchmarks/train_step.py --tiny     anywhere: the reference path at a tiny shape.
Prints the roofline of each part from the shape, the steps' times, and where the time of our step goes; writes
benchmarks/results/train_step-DATE-DEVICE.json.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import torch
from torch import Tensor

from models.kernels import dispatch
from models.kernels.rooflines import Peak, peak_of, step_work
from models.kernels.shapes import SHAPES, TINY, Shape
from models.ranker.losses import disagreement, squares, wrong_pairs
from models.ranker.network import Network

RUNS = 20
NOT_WORSE = 3.0  # times the error of torch's own step in 16 bits: our stream between the parts is in 16 bits too, torch's in 32
NEAR = 1e-4  # relative error of a gradient that is near enough in any case
Step = Callable[[], Tensor]


@dataclass
class Ranker:
    """What the network asks of the settings."""

    lookback: int
    width: int
    layers: int
    time_heads: int
    time_inner: int
    cross_layers: int
    cross_heads: int
    experts: int
    active: int
    expert_width: int
    gate: float = 5.0
    film: bool = True
    chained: bool = True
    straight: bool = False  # it has no part in a step
    dropout: float = 0.0  # so that two paths can be compared
    points: int = 0
    learns_routes: bool = True


@dataclass
class Batch:
    """What lies on the device: the panel, and what a step reads of it."""

    x_QF: Tensor
    row_SNT: Tensor
    m_SM: Tensor
    y_SNH: Tensor
    known_SNH: Tensor
    shifts: Tensor


def network(shape: Shape, device: str) -> Network:
    """Float32 weights from a seed."""
    torch.manual_seed(0)
    sizes = {"lookback": shape.lookback, "width": shape.width, "layers": shape.layers, "time_heads": shape.time_heads, "time_inner": shape.inner}
    sizes |= {"cross_layers": shape.cross_layers, "cross_heads": shape.cross_heads, "experts": shape.experts}
    settings = Ranker(**sizes, active=shape.active, expert_width=shape.inner)
    return Network(settings, factors=shape.factors, flags=shape.flags, gauges=shape.gauges, horizons=shape.horizons).to(device)


def batch(shape: Shape, device: str, dtype: torch.dtype) -> Batch:
    """Sessions side by side on one panel; a twentieth of the rows is absent."""
    stocks, days = shape.stocks, shape.sessions + shape.lookback
    x_QF = torch.randn(days * stocks + 1, shape.inputs, device=device).to(dtype)
    x_QF[0] = 0
    day_S1T = torch.arange(shape.sessions, device=device)[:, None, None] + torch.arange(shape.lookback, device=device)
    row_SNT = day_S1T * stocks + torch.arange(stocks, device=device)[None, :, None] + 1
    row_SNT = torch.where(torch.rand(row_SNT.shape, device=device) < 0.95, row_SNT, 0)
    y_SNH = torch.randn(shape.sessions, stocks, shape.horizons, device=device)
    known_SNH = (row_SNT[..., -1:] > 0).expand(y_SNH.shape).contiguous()
    shifts = torch.arange(1, min(9, stocks), device=device)
    return Batch(x_QF, row_SNT, torch.randn(shape.sessions, shape.gauges, device=device), y_SNH, known_SNH, shifts)


def forward(net: Network, seen: Batch) -> Tensor:
    """The loss as the training weighs it."""
    p_SNH = net(seen.x_QF, seen.row_SNT, seen.m_SM).score_SNH.float()
    parts = 0.6 * disagreement(p_SNH, seen.y_SNH, seen.known_SNH) + 0.2 * squares(p_SNH, seen.y_SNH, seen.known_SNH)
    return (parts + 0.2 * wrong_pairs(p_SNH, seen.y_SNH, seen.known_SNH, seen.shifts)).mean()


def step_of(net: Network, seen: Batch, path: dispatch.Path, run: Callable[[Network, Batch], Tensor] = forward) -> Step:
    """Forward and backward into gradients that stay where they are, as a CUDA graph wants them; in 16 bits where the panel is."""

    def step() -> Tensor:
        for parameter in net.parameters():
            if parameter.grad is not None:
                parameter.grad.zero_()
        mixed = torch.autocast("cuda", torch.bfloat16) if seen.x_QF.dtype == torch.bfloat16 else nullcontext()
        with dispatch.forced(path):
            with mixed:
                loss = run(net, seen)
            torch.autograd.backward(loss)
        return loss.detach()

    return step


def captured(step: Step) -> Step:
    """The step as a CUDA graph; raises RuntimeError where it asks the device for a number on its way."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()

    def replay() -> Tensor:
        graph.replay()
        return loss

    return replay


def seconds(step: Step, device: str) -> float:
    """Median time of a step, after three to warm up; its own activations push the inputs out of the cache."""
    times = []
    for run in range(RUNS + 3 if device == "cuda" else 3):
        if device == "cuda":
            torch.cuda.synchronize()
        began = time.perf_counter()
        step()
        if device == "cuda":
            torch.cuda.synchronize()
        if run > (2 if device == "cuda" else 0):
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def compare(net: Network, seen: Batch, path: dispatch.Path) -> dict[str, float]:
    """Relative errors of our step's gradient and of torch's, against torch in float32; raises ValueError where ours is too large."""
    exact = replace(seen, x_QF=seen.x_QF.float())
    gradients = []
    for batch, way in ((exact, "ref"), (seen, path), (seen, "ref")):
        step_of(net, batch, way)()
        gradients.append(torch.cat([one.grad.flatten() for one in net.parameters() if one.grad is not None]).clone())
    ours, theirs = (float((one - gradients[0]).norm() / gradients[0].norm()) for one in gradients[1:])
    if not ours <= max(NOT_WORSE * theirs, NEAR):
        raise ValueError(f"the gradient of our step has an error of {ours:.1e}, torch's own in the same type {theirs:.1e}")
    return {"kestrel": ours, "torch": theirs}


def shares(step: Step) -> list[dict[str, object]]:
    """Kernels of a step by the device time they take."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        step()
        torch.cuda.synchronize()
    found = [(event.key, event.device_time_total / 1e6, event.count) for event in seen.key_averages() if event.device_time_total]
    return [{"kernel": name[:90], "seconds": spent, "launches": count} for name, spent, count in sorted(found, key=lambda one: -one[1])[:25]]


def roofline(shape: Shape, peak: Peak | None) -> list[dict[str, object]]:
    """The least time of each part; without a listed device, that of an H100."""
    peak = peak or peak_of("H100")
    assert peak is not None
    return [
        {"part": part, "GB": work.bytes / 1e9, "GFLOP": work.operations / 1e9, "seconds": work.seconds(peak)}
        for part, work in step_work(shape).items()
    ]


def measure(shape: Shape, device: str) -> dict[str, object]:
    """Errors, times and shares of a step at a shape."""
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    net, seen = network(shape, device), batch(shape, device, dtype)
    path: dispatch.Path = "triton" if device == "cuda" else "ref"
    errors = compare(net, batch(replace(shape, sessions=1), device, dtype), path)
    ours, plain = step_of(net, seen, path), step_of(net, seen, "ref")
    print(f"error of the gradient {errors}")
    steps: dict[str, Callable[[], Step]] = {"torch": lambda: plain, "kestrel": lambda: ours}
    if device == "cuda":
        steps |= {
            "torch compiled": lambda: step_of(net, seen, "ref", torch.compile(forward)),
            "kestrel, graph": lambda: captured(ours),
            "kestrel compiled, graph": lambda: captured(step_of(net, seen, path, torch.compile(forward))),
        }
    times: dict[str, float | str] = {}
    for name, make in steps.items():
        try:
            times[name] = seconds(make(), device)
        except Exception as error:  # what can't be compiled or captured is a result, too
            times[name] = f"failed: {type(error).__name__}: {error}"[:200]
        print(f"{name:24} {times[name]}", flush=True)
    return {"shape": vars(shape), "errors": errors, "seconds": times, "kernels": shares(ours) if device == "cuda" else []}


def main() -> None:
    """Check, time, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=("S", "M", "L"), default="M")
    parser.add_argument("--tiny", action="store_true", help="a tiny shape in the reference path, on the CPU")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    asked = parser.parse_args()
    if not asked.tiny and not torch.cuda.is_available():
        parser.error("no CUDA device here; --tiny runs the reference path at a tiny shape")
    shape, device = (TINY, "cpu") if asked.tiny else (SHAPES[asked.shape], "cuda")
    name = platform.machine() if asked.tiny else torch.cuda.get_device_name()
    floor = roofline(shape, peak_of(name))
    print(f"{shape}\nroofline on {name if peak_of(name) else 'an H100'}:")
    for part in floor:
        print(f"  {part['part']:28} {part['GB']:8.3f} GB {part['GFLOP']:9.1f} GFLOP {1e3 * float(str(part['seconds'])):8.3f} ms")
    least = sum(float(str(part["seconds"])) for part in floor)
    print(f"  {'together':28} {1e3 * least:39.3f} ms")
    found = measure(shape, device)
    for kernel in found["kernels"]:  # type: ignore[attr-defined]
        print(f"  {1e3 * kernel['seconds']:8.3f} ms {kernel['launches']:4} x {kernel['kernel']}")
    facts = {"device": name, "torch": torch.__version__, "date": date.today().isoformat(), "tiny": asked.tiny, "least": least, "roofline": floor}
    asked.out.mkdir(exist_ok=True, parents=True)
    kept = asked.out / f"train_step-{facts['date']}-{shape.name}-{name.replace(' ', '_')}.json"
    kept.write_text(json.dumps({**facts, **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
