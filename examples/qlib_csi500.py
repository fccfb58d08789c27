"""Qlib's CSI 500 table for Kestrel's models on real data: trains on both labels, trades, writes the tables of docs/results.md.

Run: make results        Reads the pack ($KESTREL_DATA_PACK), works in results/, goes on where it was stopped.
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from pipelines.config import load
from pipelines.console import Bars, say
from pipelines.ledger import Ledger
from pipelines.runs import DONE, latest, read_json
from pipelines.train import seeds_of

HERE = Path(__file__).parent
HOME, WORK = HERE.parent, Path("results")
CONFIG, DOC = HERE / "qlib_csi500.toml", HOME / "docs" / "results.md"
KESTREL = Path(sys.executable).with_name("kestrel")
LABELS = (1, 5)  # sessions; each is a training of its own
NAMES = {
    "five_factors": "five classic factors, equal rank",
    "ridge": "ridge",
    "lightgbm": "LightGBM, squared error, Qlib's parameters",
    "lightgbm_rank": "LightGBM, rank labels",
    "ranker": "ranker",
    "blend": "blend of ridge, LightGBM (rank labels), ranker",
}
# A figure's name in the results, its title and its format.
IC = {"ic": ("IC", ".4f"), "icir": ("ICIR", ".3f"), "rank_ic": ("RankIC", ".4f"), "rank_icir": ("RankICIR", ".3f")}
IN_QLIBS_TERMS = {
    "qlib_annual_excess": ("excess a year", ".2%"), "qlib_information_ratio": ("IR", ".2f"), "qlib_max_drawdown": ("drawdown", ".2%"),
}  # fmt: skip
IN_OURS = {
    "excess_geometric_price": ("over 000905", ".1%"), "excess_geometric": ("over H00905", ".1%"), "tracking_error": ("tracking error", ".1%"),
    "information_ratio": ("IR", ".2f"), "excess_max_drawdown": ("excess drawdown", ".1%"), "turnover": ("turnover", ".1f"), "cost": ("cost", ".1%"),
}  # fmt: skip
Formats = Mapping[str, tuple[str, str]]
Row = dict[str, Any]  # a model: "name", "valid_rank_ic", its correlations by horizon, its "account"
# Qlib's benchmark tables (examples/benchmarks of version 0.9): CSI 500, 20 seeds, against the price index.
PUBLISHED = {
    "*Qlib, LightGBM, Alpha158*": ("0.0399", "0.407", "0.0482", "0.510", "12.84%", "1.57", "−6.35%"),
    "*Qlib, CatBoost, Alpha158*": ("0.0345", "0.286", "0.0417", "0.374", "4.96%", "0.60", "−14.96%"),
    "*Qlib, Linear, Alpha158*": ("0.0332", "0.304", "0.0462", "0.433", "", "", ""),
    "*Qlib, MLP, Alpha158*": ("0.0229", "0.218", "0.0360", "0.341", "0.43%", "0.06", "−21.84%"),
    "*Qlib, LightGBM, Alpha360*": ("0.0400", "0.361", "0.0536", "0.543", "5.05%", "0.77", "−18.80%"),
}
BEGIN, END = "<!-- make results: begin -->", "<!-- make results: end -->"


def main() -> None:
    """Import, build, train, trade, write."""
    began = time.monotonic()
    pack = Path(os.environ.get("KESTREL_DATA_PACK", HOME.parent / "shared" / "data"))
    kestrel("data", "import", str(pack), "--mapping", str(HERE / "pack.toml"))
    kestrel("factors", "build")
    train()
    for label in LABELS:
        kestrel(*runs_of(label), "backtest")
    found = {label: figures(label) for label in LABELS}
    text = "\n\n".join(part for label in LABELS for part in tables(label, found[label]))
    count = sum(Ledger(WORK / f"label-{label}" / "ledger.db").count(date(2017, 1, 1), date(2020, 8, 31)) for label in LABELS)
    text += f"\n\nModels judged on these dates in this folder: {count}, each over its seeds."
    before, _, rest = DOC.read_text(encoding="utf-8").partition(BEGIN)
    DOC.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    facts = {"machine": platform.machine(), "cores": os.cpu_count(), "config": CONFIG.name, "evaluations": count}
    kept = HOME / "benchmarks" / "results" / f"qlib_csi500-{date.today().isoformat()}.json"
    kept.write_text(json.dumps({**facts, "labels": found}, indent=1) + "\n", encoding="utf-8")
    print(text)
    say(f"{DOC} and {kept}, {(time.monotonic() - began) / 60:.0f} minutes")


def kestrel(*words: str) -> None:
    """One command on this folder's lake; stops where it fails."""
    if subprocess.run([KESTREL, "--lake", WORK / "lake", *words], stdout=subprocess.DEVNULL, check=False).returncode:
        raise SystemExit(f"stopped: kestrel {' '.join(words)}")


def runs_of(label: int) -> list[str]:
    """Where the training on a label keeps everything."""
    return ["--set", f"runs={WORK}/label-{label}"]


def train() -> None:
    """Both labels side by side, a process each; what they say goes into a log each."""
    logs = {label: WORK / f"train-{label}.log" for label in LABELS}
    running = {}
    for label, log in logs.items():
        words = [*runs_of(label), "--set", f"train.horizon={label}", "train", "-c", str(CONFIG)]
        with log.open("w") as file:
            running[label] = subprocess.Popen([KESTREL, "--lake", WORK / "lake", *words], stdout=file, stderr=file)
    for _ in Bars()(Fits(running), "train"):
        pass
    for label, process in running.items():
        if process.wait():
            raise SystemExit(f"The training on the {label}-session label stopped, see {logs[label]}. Run again to go on.")


class Fits:
    """A sequence of the fits to do, each there as soon as it is done or nothing runs any more."""

    def __init__(self, running: Mapping[int, subprocess.Popen[bytes]]) -> None:
        config = load(CONFIG)
        self.running, self.count = running, len(running) * sum(len(seeds_of(model, config)) for model in config.train.models)

    def __len__(self) -> int:
        """Fits in all."""
        return self.count

    def __iter__(self) -> Iterator[int]:
        """Count up as fits get done."""
        for number in range(self.count):
            while self._done() <= number and any(process.poll() is None for process in self.running.values()):
                time.sleep(1)
            yield number

    def _done(self) -> int:
        return sum(len(list((WORK / f"label-{label}").glob("train-*/scores/*.parquet"))) for label in self.running)


def figures(label: int) -> list[Row]:
    """A row a model."""
    runs = WORK / f"label-{label}"
    ics = read_json(latest(runs, "train") / DONE)["models"]
    accounts = {row["model"]: row for row in read_json(latest(runs, "backtest") / DONE)["models"]}
    found = []
    for model, name in NAMES.items():
        own = {str(row["horizon"]): row for row in ics if row["model"] == model}
        found.append({"name": name, **own, "account": accounts[model], "valid_rank_ic": own[str(label)]["valid_rank_ic"]})
    return found


def tables(label: int, rows: list[Row]) -> list[str]:
    """The paragraphs of one label."""
    chosen = max(rows, key=lambda row: row["valid_rank_ic"])
    judged = ", ".join(f"{row['name']} {row['valid_rank_ic']:.4f}" for row in rows)
    return [
        f"### Learnt: the {label}-session label",
        f"{label}-session RankIC on the validation dates, by which one is chosen: {judged}. Chosen: **{chosen['name']}**.",
        "In Qlib's terms: 1-session correlations; differences to the price index 000905, summed and times 238.",
        markdown(rows, {"1": IC, "account": IN_QLIBS_TERMS}, PUBLISHED if label == 1 else {}),
        "The same scores over 5 sessions, and the same accounts with geometric excess a year; tracking error, IR and drawdown are to H00905.",
        markdown(rows, {"5": IC, "account": IN_OURS}),
    ]


def markdown(rows: list[Row], parts: Mapping[str, Formats], more: Mapping[str, tuple[str, ...]] | None = None) -> str:
    """A table; a model with several seeds has a line with their mean ± sd and one with their scores blended."""
    lines = [["model", *(title for formats in parts.values() for title, _ in formats.values())]]
    lines.append(["---"] * len(lines[0]))
    columns = [(part, name, form) for part, formats in parts.items() for name, (_, form) in formats.items()]
    for row in rows:
        several = "rank_ic_sd" in row["1"]
        if several:
            lines.append([f"{row['name']}, mean ± sd of seeds", *(spread(row[part], name, form) for part, name, form in columns)])
        blended = [written(row[part][name], form) for part, name, form in columns]
        lines.append([f"{row['name']}, seeds blended" if several else row["name"], *blended])
    lines += [[name, *cells] for name, cells in (more or {}).items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread(found: Mapping[str, float], name: str, form: str) -> str:
    """Mean ± deviation over seeds of one figure."""
    return f"{written(found[f'{name}_seeds'], form)} ± {written(found[f'{name}_sd'], form)}"


def written(value: float, form: str) -> str:
    """A number with a real minus."""
    return format(value, form).replace("-", "−")


if __name__ == "__main__":
    main()
