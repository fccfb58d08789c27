"""The ranker's verdict on real data: fits every model, writes the tables and plots of docs/ranker.md and a JSON with every figure.

Run: make results-ranker      Reads the pack ($KESTREL_DATA_PACK), works in results/ranker, goes on where it was stopped.
With --lake PATH it takes a lake that holds the pack and its factor sets already; --config examples/ranker_full.toml is the full size, for a GPU.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from backtest.luck import expected_best, probabilistic_sharpe, ratio
from data.lake import Lake, open_lake
from models.ranker.body import STRAIGHT
from models.ranker.model import Ranker
from models.registry import load
from models.verdict import thirds
from models.walk import correlations
from pipelines.charts import bars, heat
from pipelines.compare import by_model, named
from pipelines.config import Config, parse
from pipelines.config import load as read_config
from pipelines.console import Bars, say
from pipelines.fits import RECORD
from pipelines.ledger import Ledger
from pipelines.markdown import insert, interval, signed, spread, table
from pipelines.prepare import dataset_of
from pipelines.runs import DONE, read_json, write_text
from pipelines.trade import Source, backtest
from pipelines.train import fits_of, home_of, seed_scores, train_all
from pipelines.verdict import against, figures, states_of, verdict

HERE = Path(__file__).parent
HOME, WORK = HERE.parent, Path("results/ranker")
CONFIG, DOC = HERE / "ranker_csi500.toml", HOME / "docs" / "ranker.md"
KESTREL = Path(sys.executable).with_name("kestrel")
NAMES = {
    "five_factors": "five classic factors, equal rank",
    "ridge": "ridge",
    "lightgbm": "LightGBM, squared error on z-scores",
    "lightgbm_rank": "LightGBM, rank labels",
    "lambdarank": "LightGBM, LambdaRank",
    "mlp": "MLP",
    "gru": "GRU",
    "transformer": "Transformer, plain",
    "ranker_dense": "ranker, dense",
    "ranker": "ranker, experts",
    "blend": "blend",
}
TREES = ("lightgbm", "lightgbm_rank", "lambdarank")
# Qlib's split: one fit, which is the walk's second.
SPLIT = {"walk": {"first": date(2017, 1, 1), "refit_months": "never"}}
ABLATIONS: dict[str, dict[str, Any]] = {  # settings of the ranker that are changed
    "without the linear opinion": {"straight": False},
    "no market gate, no FiLM": {"gate": 0.0, "film": False},
    "no attention across stocks": {"cross_layers": 0},
    "a random router": {"router": "random"},
}
IC = {"ic": ("IC", ".4f"), "icir": ("ICIR", ".2f"), "rank_ic": ("RankIC", ".4f"), "rank_icir": ("RankICIR", ".2f")}
ACCOUNT = {
    "annual_return": ("return a year", ".1%"), "excess_geometric": ("over H00905", ".1%"), "tracking_error": ("tracking error", ".1%"),
    "information_ratio": ("IR", ".2f"), "excess_max_drawdown": ("excess drawdown", ".1%"), "turnover": ("turnover", ".1f"), "cost": ("cost", ".1%"),
}  # fmt: skip
TRADED = ("five_factors", "lightgbm_rank", "ranker", "blend")  # and the one chosen on validation dates
Row = dict[str, Any]


def main() -> None:
    """Import, build, fit, judge, trade, write."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--config", type=Path, default=CONFIG)
    options.add_argument("--lake", type=Path, help="a lake that holds the pack and its factors")
    options.add_argument("--set", dest="sets", action="append", default=[], help="a setting, as kestrel's own --set")
    options.add_argument("--doc", type=Path, default=DOC)
    options.add_argument("--without-ablations", action="store_true")
    chosen = options.parse_args()
    began = time.monotonic()
    base = read_config(chosen.config, sets=[f"runs={WORK}", *chosen.sets], lake=str(chosen.lake or prepared(chosen.config)))
    lake = open_lake(base.lake)
    configs = {"walk": base, "split": changed(base, SPLIT)}
    if not chosen.without_ablations:
        configs |= {name: ablated(configs["split"], settings) for name, settings in ABLATIONS.items()}
    trained = train_all(lake, list(configs.values()), track=Bars())
    folders = dict(zip(configs, (folder for folder, _ in trained), strict=True))
    found: dict[str, Any] = {"evaluations": max([count(config, folders[name]) for name, config in configs.items()])}
    for name in ("walk", "split"):
        of = lake, configs[name], folders[name]
        found[name] = {"results": read_json(folders[name] / DONE), **verdict(*of), "accounts": accounts(*of, tries=found["evaluations"])}
    found["ablations"] = ablations(configs, folders)
    found["trees"] = best_trees(folders["split"], configs["split"].train.horizon)
    found["inside"] = inside(lake, configs["split"], folders["split"])
    found["seconds"] = seconds(list(folders.values()))
    minutes = (time.monotonic() - began) / 60
    text = document(found, base)
    plots(found, base.train.horizon, chosen.doc)
    if chosen.doc == DOC:
        insert(DOC, "make results-ranker", text)
    else:
        write_text(chosen.doc, text + "\n")
    facts = {"date": date.today().isoformat(), "machine": platform.machine(), "cores": os.cpu_count(), "minutes": round(minutes, 1)}
    kept = (HOME / "benchmarks" / "results" if chosen.doc == DOC else chosen.doc.parent) / f"{chosen.config.stem}-{facts['date']}.json"
    kept.write_text(json.dumps({**facts, "config": base.model_dump(mode="json"), **found}, indent=1, default=str) + "\n", encoding="utf-8")
    print(text)
    say(f"{chosen.doc} and {kept}, {minutes:.0f} minutes")


def prepared(config: Path) -> Path:
    """The lake of this folder with the pack and its factors; nothing is done twice."""
    pack = Path(os.environ.get("KESTREL_DATA_PACK", HOME.parent / "shared" / "data"))
    for words in (["data", "import", str(pack), "--mapping", str(HERE / "pack.toml")], ["factors", "build", "-c", str(config)]):
        if subprocess.run([KESTREL, "--lake", WORK / "lake", *words], stdout=subprocess.DEVNULL, check=False).returncode:
            raise SystemExit(f"stopped: kestrel {' '.join(words)}")
    return WORK / "lake"


def changed(config: Config, changes: Mapping[str, Mapping[str, Any]]) -> Config:
    """The config with some sections' values replaced, checked again."""
    raw = config.model_dump()
    for section, values in changes.items():
        raw[section] |= values
    return parse(raw, "a variant of the config")


def ablated(config: Config, settings: Mapping[str, Any]) -> Config:
    """The config of an ablation: the ranker alone, some of its settings changed."""
    return changed(config, {"train": {"models": ["ranker"]}, "model": {"ranker": {**config.model["ranker"], **settings}}})


def count(config: Config, folder: Path) -> int:
    """Note in the ledger that a training's models were looked at; how many have been, on dates that overlap 2017-01 to 2020-08."""
    results = read_json(folder / DONE)
    ledger = Ledger(Path(config.runs) / "ledger.db")
    models = list(dict.fromkeys(f"{row['model']}:{folder.name}" for row in results["models"]))
    first, last = (date.fromisoformat(day) for day in results["span"])
    ledger.record("model", models, first, last)
    return ledger.count(date(2017, 1, 1), date(2020, 8, 31))


def accounts(lake: Lake, config: Config, folder: Path, *, tries: int) -> list[Row]:
    """The accounts of the models that are traded, each with the chance that its Sharpe ratio over the index is more than luck among all tries."""
    results = read_json(folder / DONE)
    models = [name for name in config.train.models if name in {*TRADED, results["chosen"]}]
    scores = pl.read_parquet(folder / "scores.parquet").filter(pl.col("model").is_in(models))
    seeds = seed_scores(folder)
    of_seeds = None if seeds is None else seeds.filter(pl.col("model").is_in(models))
    traded, _ = backtest(lake, config, Source(scores, folder.name, f"{folder.name}:{','.join(models)}", results, of_seeds), track=Bars())
    rows: list[Row] = read_json(traded / DONE)["models"]
    gaps = {}
    for row in rows:
        days = pl.read_parquet(traded / row["model"] / "nav.parquet")
        gaps[row["model"]] = (days["return"] - days["benchmark_return"]).to_numpy()
    hurdle = expected_best(float(np.std([ratio(gap_D) for gap_D in gaps.values()], ddof=1)), tries)
    return [{**row, "deflated_sharpe": probabilistic_sharpe(gaps[row["model"]], hurdle)} for row in rows]


def ablations(configs: Mapping[str, Config], folders: Mapping[str, Path]) -> list[Row]:
    """A row an ablation: its figures, and its daily RankIC less that of the whole ranker on the same dates."""
    rows = []
    whole = pl.read_parquet(folders["split"] / "daily.parquet").filter(pl.col("model") == "ranker")
    for name in (name for name in ABLATIONS if name in configs):
        own = pl.read_parquet(folders[name] / "daily.parquet").with_columns(pl.lit(name).alias("model"))
        gaps = {row["horizon"]: row for row in against(pl.concat([whole, own]), ["ranker"])}
        for horizon in configs[name].labels.horizons:
            rows.append({**figures(folders[name])["ranker", horizon], "model": name, "gap": gaps[horizon]})
    return rows


def best_trees(folder: Path, horizon: int) -> list[Row]:
    """By how much each model is above the trees that turned out best on these dates, a harder rival than one named before."""
    known = figures(folder)
    there = [name for name in TREES if (name, horizon) in known]
    best = max(there, key=lambda name: known[name, horizon]["rank_ic"])
    return [row for row in against(pl.read_parquet(folder / "daily.parquet"), [best]) if row["horizon"] == horizon]


def inside(lake: Lake, config: Config, folder: Path) -> dict[str, Any]:
    """Of the first seed's ranker on the test dates.

    {"voters": {voter: (weight, RankIC by itself)}, "load": of each expert, "apart": {third of a state: each one's load over its mean, less 1}}.
    """
    entry = next(entry for entry in fits_of(folder) if entry["model"] == "ranker")
    model = load(home_of(folder, entry) / "model")
    assert isinstance(model, Ranker)
    first, last = (date.fromisoformat(day) for day in entry["test"])
    dataset = dataset_of(lake, config, start=date(first.year - 1, 10, 1), end=last, track=Bars())
    sessions = np.arange(dataset.axes.index(first), len(dataset.axes.dates))
    load_SE = model.expert_load(dataset, sessions)
    load_E = load_SE.mean(axis=0)
    states = states_of(lake, config.universe.index, [dataset.axes.dates[session] for session in sessions])
    apart = {
        f"{name} {third}": (load_SE[inside_S].mean(axis=0) / load_E - 1).tolist()
        for name, state_S in states.items()
        for third, inside_S in thirds(state_S).items()
    }
    alone = {
        voter: float(np.nanmean(correlations(dataset, sessions, score_SN, config.train.horizon)[1]))
        for voter, score_SN in model.opinions(dataset, sessions).items()
    }
    voters = {voter: (model.weights[voter], rank_ic) for voter, rank_ic in alone.items()}
    return {"voters": voters, "load": load_E.tolist(), "apart": apart}


def seconds(folders: Sequence[Path]) -> dict[str, float]:
    """Mean seconds of a fit by model, scoring of its validation dates included."""
    found: dict[str, list[float]] = {}
    for folder in folders:
        for entry in fits_of(folder):
            found.setdefault(entry["model"], []).append(read_json(home_of(folder, entry) / RECORD)["seconds"])
    return {model: round(float(np.mean(values)), 1) for model, values in found.items()}


def document(found: Mapping[str, Any], config: Config) -> str:
    """The measured part of docs/ranker.md."""
    main = config.train.horizon
    parts = [
        f"Evaluations counted in this folder's ledger on dates that overlap 2017-01 … 2020-08: **{found['evaluations']}**, each over its seeds.",
    ]
    for name, title in (
        ("split", "Qlib's split: tested 2017-01 … 2020-07"),
        ("walk", f"Walk-forward, refits every two years: tested {config.walk.first:%Y-%m} … 2020-07"),
    ):
        parts += [f"### {title}", *judged(found[name], config)]
    parts += ["### The bar", bar(found, main)]
    gaps = [f"{row['gap']['rank_ic']:+.4f} ({row['gap']['low']:+.4f} … {row['gap']['high']:+.4f})" for row in found["ablations"]]
    rows = [
        {"changed": row["model"], "horizon": row["horizon"], **spread(row, IC), "RankIC less the whole ranker's": gap}
        for row, gap in zip(found["ablations"], gaps, strict=True)
    ]
    parts += ["### Ablations of the ranker, on Qlib's split", table(rows)] if rows else []
    load_E, voters = found["inside"]["load"], found["inside"]["voters"]
    loads = ", ".join(f"{share:.1%}" for share in load_E)
    parts += [
        "### Voters and experts",
        f"{main}-session RankIC on the test dates of what votes in the ranker, each by itself (first seed): "
        + ", ".join(f"{_voter(voter)} {rank_ic:.4f} (weight {weight:.2f})" for voter, (weight, rank_ic) in voters.items())
        + ".",
        f"Share of the places that each routed expert got on the test dates (first seed): {loads}; the busiest has "
        f"{max(load_E) / np.mean(load_E) - 1:.0%} more than the mean. The plot shows by how much an expert is busier in a third of the sessions.",
        "![What the experts specialise in](ranker-experts.svg)",
        "### Time",
        "Mean seconds of a fit on one core: " + ", ".join(f"{NAMES[model]} {value:.0f}" for model, value in found["seconds"].items()) + ".",
    ]
    return signed("\n\n".join(parts))


def _voter(name: str) -> str:
    return "the linear opinion" if name == STRAIGHT else f"the {name}-session head"


def judged(part: Mapping[str, Any], config: Config) -> list[str]:
    """The tables of one way to split the dates."""
    main, results = config.train.horizon, part["results"]
    known = {(row["model"], row["horizon"]): row for row in results["models"]}
    valid = ", ".join(f"{NAMES[model]} {known[model, main]['valid_rank_ic']:.4f}" for model in config.train.models)
    texts = [f"{main}-session RankIC on validation dates, mean of the seeds: {valid}. Chosen by it: **{NAMES[results['chosen']]}**."]
    for horizon in sorted(config.labels.horizons, reverse=True):
        rows = []
        for model in config.train.models:
            gaps = {row["against"]: row for row in part["paired"] if (row["model"], row["horizon"]) == (model, horizon)}
            apart = {f"RankIC over {NAMES[rival]}": interval(gaps.get(rival)) for rival in ("lightgbm_rank", "five_factors")}
            rows.append({f"{horizon}-session": NAMES[model], **spread(known[model, horizon], IC), **apart})
        texts.append(table(rows))
    texts.append(
        f"Intervals of 95 %: circular block bootstrap of the daily differences, blocks of 20 sessions; seeds blended. Then the {main}-session "
        "RankIC by year and by thirds of the market's volatility and return over the 20 sessions before the close."
    )
    for rows in (by_model(part["years"], "year", main), by_model(named(part["regimes"]), "regime", main)):
        texts.append(table([{key: NAMES[value] if key == "model" else f"{value:.4f}" for key, value in row.items()} for row in rows]))
    texts.append(table([{key: NAMES[value] if key == "model" else f"{value:.2f}" for key, value in row.items()} for row in part["scores"]]))
    texts.append(
        "Autocorrelation of the scores' ranks, and new ones among the best 50, after 1 and 5 sessions; then mean rank correlations with styles."
    )
    accounts = [
        {"account": NAMES[row["model"]], **spread(row, ACCOUNT), "deflated Sharpe": f"{row['deflated_sharpe']:.2f}"} for row in part["accounts"]
    ]
    texts += [table(accounts), "Deflated Sharpe: the chance that the ratio of the return over H00905 beats the luckiest of all counted evaluations."]
    return texts


def bar(found: Mapping[str, Any], horizon: int) -> str:
    """Whether the ranker, or the blend, clears what it was asked to."""
    known = {(row["model"], row["horizon"]): row for row in found["split"]["results"]["models"]}
    classics = {row["model"]: row for row in found["split"]["paired"] if row["horizon"] == horizon and row["against"] == "five_factors"}
    trees = {row["model"]: row for row in found["trees"]}
    rival = found["trees"][0]["against"]
    lines = [
        {
            "ensemble of seeds": NAMES[model],
            f"{horizon}-session RankIC": f"{known[model, horizon]['rank_ic']:.4f}",
            f"over the best trees ({NAMES[rival]}), asked .005": interval(trees[model]),
            "over the five factors, asked .01": interval(classics[model]),
        }
        for model in ("ranker", "blend")
        if model in trees
    ]
    return table(lines)


def plots(found: Mapping[str, Any], horizon: int, doc: Path) -> None:
    """RankIC by year, and what the experts specialise in, beside the document."""
    rows = [row for row in found["walk"]["years"] if row["horizon"] == horizon]
    years = sorted({row["year"] for row in rows})
    models = list(dict.fromkeys(row["model"] for row in rows))
    value = {(row["model"], row["year"]): row["rank_ic"] for row in rows}
    series = {NAMES[model]: [value.get((model, year), float("nan")) for year in years] for model in models}
    write_text(doc.parent / "ranker-years.svg", bars([str(year) for year in years], series, title=f"{horizon}-session RankIC by year, walk-forward"))
    apart = found["inside"]["apart"]
    names = [f"expert {place}" for place in range(len(found["inside"]["load"]))]
    cells = [[apart[column][place] for column in apart] for place in range(len(names))]
    title = "Load of each expert in thirds of the market's volatility and past return, over its mean, less 1"
    write_text(doc.parent / "ranker-experts.svg", heat(names, list(apart), cells, title=title))


if __name__ == "__main__":
    main()
