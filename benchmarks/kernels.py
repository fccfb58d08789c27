"""The ranker's kernels against torch: the same answers first, then the time of each at shapes S, M and L, forward and forward + backward.

Run: PYTHONPATH=. python benchmarks/kernels.py          on a GPU; needs torch and triton alone, under 8 minutes on an H100.
     PYTHONPATH=. python benchmarks/kernels.py --tiny   anywhere: the reference path at a tiny shape.
Prints a table and writes benchmarks/results/kernels-DATE-DEVICE.json, whose "wins" are the lines for models/kernels/dispatch.py.
Times are medians with a cold L2 cache (triton's do_bench clears it before each run); at S of a CUDA graph where one can be captured, since
launches cost more than the work there.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.cases import CASES, Case, Run, expert_inputs, normal, sublayer_case
from models.kernels import dispatch, experts, fp8
from models.kernels.rooflines import operation_work, peak_of
from models.kernels.shapes import SHAPES, TINY, Shape

LIMITS = {"float32": 1e-5, "bfloat16": 1e-2}  # relative norm of an error
NOT_WORSE = 1.5  # times the error of torch's own operation in the same type
BUDGET = 420.0  # seconds, after which no new case begins


def answers(run: Run, inputs: tuple[Tensor, ...], learns: int) -> list[Tensor]:
    """What an operation answers, and its gradients for a fixed gradient of the answer."""
    if not learns:
        with torch.no_grad():
            return [run(*inputs)]
    leaves = [one.detach().requires_grad_(place < learns) for place, one in enumerate(inputs)]
    out = run(*leaves)
    dout = torch.randn(out.shape, generator=torch.Generator().manual_seed(0)).to(out)
    return [out.detach(), *torch.autograd.grad(out, leaves[:learns], dout)]


def check(case: Case, path: dispatch.Path, dtype: torch.dtype) -> tuple[float, float]:
    """Relative errors of ours and of torch's own, the largest over answers and gradients; raises ValueError where ours is too large."""
    expected = answers(partial(case.ours, path="ref"), tuple(one.double() for one in case.inputs), case.learns)
    torch.use_deterministic_algorithms(True, warn_only=True)  # fills fresh memory with NaN: nothing may be left unwritten
    found = answers(partial(case.ours, path=path), case.inputs, case.learns)
    torch.use_deterministic_algorithms(False)
    plain = answers(partial(case.ours, path="ref"), case.inputs, case.learns)
    ours, theirs = (max(float((a.double() - b).norm() / (b.norm() + 1e-30)) for a, b in zip(some, expected, strict=True)) for some in (found, plain))
    limit = LIMITS[str(dtype).removeprefix("torch.")]
    if not ours <= limit or not ours <= max(NOT_WORSE * theirs, LIMITS["float32"]):
        raise ValueError(f"{case.name}: relative error {ours:.1e}; the limit is {limit:.0e}, torch's own error {theirs:.1e}")
    return ours, theirs


def seconds(work: Callable[[], object], graph: bool) -> float:
    """Median time of a run."""
    if not torch.cuda.is_available():
        times = []
        for _ in range(3):
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
        return statistics.median(times)
    from triton.testing import do_bench, do_bench_cudagraph

    if graph:
        try:
            return do_bench_cudagraph(work, rep=20, return_mode="median") / 1e3
        except RuntimeError:  # asks the device for a number, so it can't be captured
            torch.cuda.synchronize()
    return do_bench(work, warmup=10, rep=40, return_mode="median") / 1e3


def timed(case: Case, run: Run, graph: bool) -> dict[str, float | str | None]:
    """Seconds forward, and forward + backward."""
    try:
        with torch.no_grad():
            forward = seconds(lambda: run(*case.inputs), graph)
        if not case.learns:
            return {"forward": forward, "both": None}
        leaves = [one.detach().requires_grad_(place < case.learns) for place, one in enumerate(case.inputs)]
        dout = torch.randn_like(run(*leaves))
        return {"forward": forward, "both": seconds(lambda: torch.autograd.grad(run(*leaves), leaves[: case.learns], dout), graph)}
    except Exception as error:  # a rival that can't do this shape is a result, too
        return {"forward": None, "both": None, "failed": f"{type(error).__name__}: {error}"[:200]}


def measure(shape: Shape, make: Callable[..., Case], device: str, path: dispatch.Path) -> dict[str, object]:
    """One row: errors, times, and the share of the roofline."""
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    alone = replace(shape, sessions=1) if shape.name == "L" else shape  # float64 attention over all of L doesn't fit
    ours, theirs = check(make(alone, dtype, device), path, dtype)
    if device == "cuda":
        check(make(replace(shape, sessions=1), torch.float32, device), "ref" if make is sublayer_case else path, torch.float32)
    case = make(shape, dtype, device)
    runs = {"kestrel": partial(case.ours, path=path), "torch": partial(case.ours, path="ref"), **case.rivals}
    if device == "cuda":
        runs["torch compiled"] = torch.compile(partial(case.ours, path="ref"))
    elif "flex" in runs:
        del runs["flex"]  # has no backward on a CPU
    found = {name: timed(case, run, shape.name == "S") for name, run in runs.items()}
    key = "both" if case.learns else "forward"
    rivals = [float(one[key]) for name, one in found.items() if name != "kestrel" and one[key] is not None]
    mine = found["kestrel"][key]
    work = operation_work(shape)[case.name][1 if case.learns else 0]
    row: dict[str, object] = {
        "op": case.name,
        "shape": shape.name,
        "class": case.shape_class,
        "dtype": str(dtype).removeprefix("torch."),
        "path": path,
    }
    row |= {"error": ours, "torch_error": theirs, "seconds": found, "ratio": min(rivals) / float(mine) if mine and rivals else None}
    peak = peak_of(torch.cuda.get_device_name()) if device == "cuda" else None
    if mine:
        row |= {"bytes_per_s": work.bytes / float(mine), "operations_per_s": work.operations / float(mine)}
        row["roofline_share"] = work.seconds(peak) / float(mine) if peak else None
    return row


def eighths(shape: Shape, device: str, path: dispatch.Path) -> dict[str, object]:
    """The 8-bit experts against the 16-bit ones: Spearman's correlation of scores read from both by the same random head, and the times."""
    torch.manual_seed(0)
    shape = replace(shape, width=max(shape.width, 128), inner=max(shape.inner, 128), sessions=max(2000 // shape.stocks, shape.sessions))
    x, weights, route = expert_inputs(shape, torch.bfloat16, device)
    narrow = fp8.quantised(*weights)
    runs = {"fp8": lambda: fp8.moe_ffn_fp8(x, narrow, route, path=path), "bf16": lambda: experts.moe_ffn(x, *weights, route, path=path)}
    head = normal(torch.float32, device, shape.width)
    with torch.no_grad():
        ranks = {name: (run().float() @ head).argsort().argsort().double() for name, run in runs.items()}
        through = {name: ((x + run()).float() @ head).argsort().argsort().double() for name, run in runs.items()}
        found = {name: seconds(run, shape.name == "S") for name, run in runs.items()}
    spearman = {kind: float(torch.corrcoef(torch.stack([*both.values()]))[0, 1]) for kind, both in (("experts", ranks), ("with residual", through))}
    return {"op": "moe_ffn_fp8", "shape": shape.name, "tokens": len(x), "rank_correlation": spearman, "seconds": found, "path": path}


def main() -> None:
    """Check, time, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="a tiny shape in the reference path, on the CPU")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    asked = parser.parse_args()
    if not asked.tiny and not torch.cuda.is_available():
        parser.error("no CUDA device here; --tiny runs the reference path at a tiny shape")
    device, path = ("cpu", "ref") if asked.tiny else ("cuda", "triton")
    name = platform.machine() if asked.tiny else torch.cuda.get_device_name()
    torch.manual_seed(0)
    rows, began = [], time.perf_counter()
    for shape in (TINY,) if asked.tiny else (SHAPES[one] for one in "SML"):
        for make in CASES:
            if time.perf_counter() - began > BUDGET:
                print(f"{shape.name}: {make.__name__} left out, the time is up")
                continue
            try:
                row = measure(shape, make, device, path)
            except Exception as error:  # one wrong kernel must not hide the others
                row = {"op": make.__name__, "shape": shape.name, "failed": f"{type(error).__name__}: {error}"[:300]}
            rows.append(row)
            print(line(row), flush=True)
        rows.append(eighths(shape, device, path))
        print(line(rows[-1]), flush=True)
    wins = [row for row in rows if row.get("path") == "triton" and (row.get("ratio") or 0) >= dispatch.LEAST]
    lines = [f"    Case({row['op']!r}, {name!r}, {row['dtype']!r}, {row['class']!r}): {row['ratio']:.2f}," for row in wins]
    print("\n".join(["MEASURED of models/kernels/dispatch.py:", *(lines or ["    nothing"])]))
    facts = {"device": name, "torch": torch.__version__, "date": date.today().isoformat(), "tiny": asked.tiny}
    asked.out.mkdir(exist_ok=True, parents=True)
    kept = asked.out / f"kernels-{facts['date']}-{name.replace(' ', '_')}{'-tiny' if asked.tiny else ''}.json"
    kept.write_text(json.dumps({**facts, "rows": rows, "wins": lines}, indent=1) + "\n")


def line(row: dict[str, object]) -> str:
    """A row of the table."""
    head = f"{row['op']:20} {row['shape']:5}"
    if "failed" in row:
        return f"{head} FAILED {row['failed']}"
    if "rank_correlation" in row:
        return f"{head} rank correlation with BF16 {row['rank_correlation']}, seconds {row['seconds']}"
    times = []
    for name, one in row["seconds"].items():  # type: ignore[attr-defined]
        shown = "/".join("-" if one[key] is None else f"{1e6 * one[key]:.0f}" for key in ("forward", "both"))
        times.append(f"{name} {shown} us" if "failed" not in one else f"{name} failed")
    share = f"{row['roofline_share']:.0%} of the roofline" if row.get("roofline_share") else ""
    ratio = f"ratio {row['ratio']:.2f}" if row.get("ratio") else ""
    return f"{head} error {row['error']:.0e} (torch {row['torch_error']:.0e})  {'  '.join(times)}  {ratio}  {share}"


if __name__ == "__main__":
    main()
