"""How fast news becomes factors: titles a second, 100,000 documents to the factor table, and the encoder's tables beside ONNX and torch.

Texts are random Chinese characters, so that nothing but the machine is needed; speed doesn't depend on what they say.  Ratios are of one run.

Run: OMP_NUM_THREADS=1 python -P benchmarks/throughput.py       Prints rows and writes benchmarks/results/throughput-DATE.json.
"""

import json
import os
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import date, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from data.calendar import seed
from factors.build import frames
from factors.panel import build_panel
from factors.registry import select
from models.sentiment.student.encoder import EncoderStudent
from models.sentiment.student.linear import LinearSettings, LinearStudent
from models.sentiment.student.losses import labelled
from models.sentiment.student.network import Network, _padded

TITLE, BODY, DOCUMENTS, REPEATS = 22, 225, 100_000, 3
NEWS = ["news_score", "news_level_1", "news_level_3", "news_surprise", "news_dispersion", "news_negative", "news_attention"]


def texts(count: int, length: int, rng: np.random.Generator) -> list[str]:
    """Random texts over 3,000 characters, the common ones more often."""
    codes = (0x4E00 + rng.integers(0, 3000, (count, length)) * rng.random((count, length)) ** 2).astype(np.uint32)
    return [row.tobytes().decode("utf-32-le") for row in codes]


def best(work: Callable[[], object]) -> float:
    """Seconds, the least of some runs."""
    spent = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return min(spent)


def halves(predict: Callable[[list[str]], object], given: list[str]) -> Callable[[], object]:
    """Two threads, a half of the texts each."""
    middle = len(given) // 2

    def work() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(predict, (given[:middle], given[middle:])))

    return work


def to_factors(student: LinearStudent) -> tuple[float, float, float]:
    """(seconds, those of the processor, GB at most) from 100,000 documents to the factor table of 500 stocks and 250 sessions."""
    rng = np.random.default_rng(1)
    days = [day for day in seed()["date"].to_list() if day >= date(2020, 1, 1)][:250]
    symbols = [f"{600000 + n}.SH" for n in range(500)]
    flat = dict.fromkeys(("open", "high", "low", "close", "pre_close", "raw_close", "adj"), 1.0) | {"volume": 100.0, "amount": 100.0}
    bars = pl.DataFrame({"date": days}).join(pl.DataFrame({"symbol": symbols}), how="cross")
    bars = bars.with_columns(*(pl.lit(value).alias(name) for name, value in flat.items()), limit_up=None, limit_down=None, is_trading=True)
    whole = texts(DOCUMENTS, TITLE + BODY, rng)
    first, minutes = datetime(2020, 1, 2, tzinfo=ZoneInfo("Asia/Shanghai")), np.sort(rng.integers(0, 360 * 1440, DOCUMENTS))
    about = [symbols[place] for place in rng.integers(0, 500, DOCUMENTS)]
    news = pl.DataFrame({"id": [f"{n:06}" for n in range(DOCUMENTS)], "published_at": [first + timedelta(minutes=int(m)) for m in minutes]})
    news = news.with_columns(pl.col("published_at").dt.convert_time_zone("Asia/Shanghai"), symbols=pl.Series([[one] for one in about]))
    calendar = seed()

    def work() -> None:
        p_NC = student.predict(whole)
        scores = pl.DataFrame({"id": news["id"], "symbol": about, "scorer": "student", "score": p_NC[:, 1] - p_NC[:, 0]})
        list(frames(select(NEWS), build_panel({"bars": bars, "calendar": calendar, "news": news, "news_scores": scores})))

    work()
    began, worked = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - worked, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def onnx_model(student: EncoderStudent) -> bytes:
    """The encoder as an ONNX graph: characters [B, T] to logits [B, C]."""
    from onnx import TensorProto, helper, numpy_helper

    w, nodes, pools = student.weights, [], []
    nodes.append(helper.make_node("Gather", ["embed.weight", "x"], ["e_BTE"]))
    nodes.append(helper.make_node("Transpose", ["e_BTE"], ["e_BET"], perm=[0, 2, 1]))
    for place in range(len(student.settings.widths)):
        name = f"convolutions.{place}"
        nodes.append(helper.make_node("Conv", ["e_BET", f"{name}.weight", f"{name}.bias"], [f"c{place}"]))
        nodes.append(helper.make_node("Relu", [f"c{place}"], [f"r{place}"]))
        nodes.append(helper.make_node("ReduceMax", [f"r{place}"], [f"p{place}"], axes=[2], keepdims=0))
        pools.append(f"p{place}")
    nodes.append(helper.make_node("Concat", pools, ["pooled"], axis=1))
    nodes.append(helper.make_node("Gemm", ["pooled", "head.weight", "head.bias"], ["z"], transB=1))
    kept = [numpy_helper.from_array(value, name) for name, value in w.items()]
    x, z = helper.make_tensor_value_info("x", TensorProto.INT64, ["B", "T"]), helper.make_tensor_value_info("z", TensorProto.FLOAT, ["B", "C"])
    model = helper.make_model(helper.make_graph(nodes, "encoder", [x], [z], kept), opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


def encoders(student: EncoderStudent, given: list[str]) -> dict[str, float]:
    """Titles a second of one thread through the tables, torch, ONNX in float32 and in int8; characters are looked up beforehand for the others."""
    import tempfile

    import onnxruntime
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic

    torch.set_num_threads(1)
    edges, characters = student._spelled(given)
    x_BT, length_B = _padded(edges, characters, np.arange(len(given)))
    s = student.settings
    network = Network(len(student.alphabet) + 4, s.embedding, s.channels, s.widths, 2, s.dropout).eval()
    network.load_state_dict({name: torch.from_numpy(value) for name, value in student.weights.items()})
    batches = [slice(first, first + 256) for first in range(0, len(given), 256)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        plain, small = Path(folder) / "f32.onnx", Path(folder) / "int8.onnx"
        plain.write_bytes(onnx_model(student))
        quantize_dynamic(plain, small, weight_type=QuantType.QUInt8)
        sessions = {name: onnxruntime.InferenceSession(file, options) for name, file in (("onnx float32", plain), ("onnx int8", small))}
        ways: dict[str, Callable[[slice], np.ndarray]] = {
            "torch": lambda part: network(torch.from_numpy(x_BT[part]), torch.from_numpy(length_B[part])).numpy()
        }
        for name, session in sessions.items():
            ways[name] = lambda part, session=session: session.run(None, {"x": x_BT[part]})[0]
        exact = student.logits(given)
        found = {"tables": len(given) / best(lambda: student.logits(given))}
        for name, way in ways.items():
            found[name] = len(given) / best(lambda way=way: [way(part) for part in batches])
            found[f"{name}: largest difference"] = float(np.abs(np.concatenate([way(part) for part in batches]) - exact).max())
    return found


def main() -> None:
    """Measure, print, keep."""
    rng = np.random.default_rng(0)
    train = texts(1000, TITLE, rng)
    labels = labelled(rng.integers(0, 2, 1000), 2)
    linear, encoder = LinearStudent(LinearSettings(strengths=(10.0,))), EncoderStudent()
    encoder = EncoderStudent(encoder.settings.model_copy(update={"epochs": 1}))
    linear.fit(train, labels)
    encoder.fit(train, labels)
    titles = texts(20_000, TITLE, rng)
    found: dict[str, float] = {}
    for student in (linear, encoder):
        found[f"{student.name}: titles a second, one thread"] = len(titles) / best(lambda student=student: student.predict(titles))
        found[f"{student.name}: titles a second, two threads"] = len(titles) / best(halves(student.predict, titles))
    what = "linear: 100,000 documents of 247 characters to the factor table, seconds"
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:  # memory is the work's own: torch and the fits stay here
        found[what], found[f"{what} of the processor"], found["the most memory of that, GB"] = alone.submit(to_factors, linear).result()
    found |= encoders(encoder, titles[:4096])
    facts = {"cores": os.cpu_count() or 0, "load": os.getloadavg()[0], "table_mb": encoder.table_PVH.nbytes / 1e6}
    for name, value in {**facts, **found}.items():
        print(f"{name}: {value:,.4g}")
    results = Path(__file__).parent / "results" / f"throughput-{date.today().isoformat()}.json"
    results.write_text(json.dumps({**facts, **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
