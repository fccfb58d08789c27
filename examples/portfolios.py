"""The same scores as an enhancement fund, a neutral one and long-only books on the research pack, net of costs, into docs/backtest.md.

Run: make results-backtest TRAINING=results/ranker/train-KEY [LAKE=results/ranker/lake]      Goes on where it was stopped.
TRAINING is the folder of a training on the pack (examples/ranker_csi500.py makes one).  Models that it lacks are left out, and an account
that is done is read from results/backtest again.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from backtest.attribution.parts import KINDS, linked
from backtest.benchmark import BenchmarkSettings
from backtest.enhancement import Enhancement
from backtest.futures.result import PARTS
from data.lake import Lake, open_lake
from pipelines.config import Config, load, parse, stored
from pipelines.console import Bars, say
from pipelines.explain import Scene, around, attributed, scene
from pipelines.markdown import insert, signed, table
from pipelines.portfolio import Account, Ground, hedged, index_returns, trade, versions
from pipelines.prepare import digest
from pipelines.runs import DONE, read_json, write_json
from pipelines.trade import figures

HERE = Path(__file__).parent
HOME, WORK = HERE.parent, Path("results/backtest")
DOC, MARK = HOME / "docs" / "backtest.md", "make results-backtest"
MODELS = {"lightgbm_rank": "LightGBM, rank labels", "ranker": "ranker", "blend": "blend"}
MAIN, NEUTRAL = (date(2017, 1, 1), date(2020, 8, 31)), (date(2015, 4, 16), date(2017, 12, 31))
QLIB = {"kind": "topk_dropout", "k": 50, "drop": 5}
QLIB_COSTS = {"commission": 0.0005, "sell_commission": 0.0015, "minimum": 5.0, "slippage": 0.0, "levies": "none"}
FREE = {"commission": 0.0, "minimum": 0.0, "slippage": 0.0, "levies": "none"}
LOOSE = {"deal": "close", "size_at": "deal", "limits": False, "lots": False}
REAL = LOOSE | {"limits": True, "lots": True}
# Accounts by title: sections of the config's backtest.
FUNDS: dict[str, dict[str, Any]] = {
    "enhancement": {"strategy": {"kind": "enhancement"}},
    "top k with buffer": {"strategy": {"kind": "topk_buffer"}},
    "score-weighted": {"strategy": {"kind": "score_weighted"}},
    "volatility-scaled": {"strategy": {"kind": "volatility_scaled"}},
}
HEDGED: dict[str, dict[str, Any]] = {
    "enhancement, hedged": {"strategy": {"kind": "enhancement"}, "hedge": {}},
    "top k with buffer, hedged": {"strategy": {"kind": "topk_buffer"}, "hedge": {}},
}
# Each adds one thing to the one before; the first is told against both benchmarks.
LADDER: dict[str, dict[str, Any]] = {
    "no limits, lots or costs": {"strategy": QLIB, "costs": FREE, "simulation": LOOSE},
    "and real limits and lots": {"strategy": QLIB, "costs": FREE, "simulation": REAL},
    "and dated taxes, fees and .05 % of slippage": {"strategy": QLIB, "simulation": REAL},
    "and orders sized the evening before, traded at the open": {"strategy": QLIB},
}
PUBLISHED = {"*as Qlib trades and reports it*": {"strategy": QLIB, "costs": QLIB_COSTS, "simulation": {"deal": "close", "size_at": "deal"}}}
FIGURES = {
    "annual_return": ("return a year", ".1%"), "excess_geometric": ("over H00905", ".1%"), "tracking_error": ("tracking error", ".1%"),
    "information_ratio": ("IR", ".2f"), "excess_max_drawdown": ("excess drawdown", ".1%"), "turnover": ("turnover", ".1f"), "cost": ("cost", ".1%"),
    "forecast": ("tracking error as forecast", ".1%"), "relaxed": ("rebalances at which a limit gave way", ".0%"),
}  # fmt: skip
Row = dict[str, Any]


def main() -> None:
    """Trade every account that isn't there yet, write the tables."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--training", type=Path, required=True, help="the folder of a training: scores.parquet and config.json")
    options.add_argument("--lake", type=Path, help="the lake that it was trained on; by default the one beside it")
    options.add_argument("--doc", type=Path, default=DOC)
    chosen = options.parse_args()
    began = time.monotonic()
    training = chosen.training
    base = stored(training / "config.json", load(sets=[f"runs={WORK}"], lake=str(chosen.lake or training.parent / "lake")))
    bench = Bench(open_lake(base.lake).pin(), base, training)
    found = {
        "funds": bench.accounts(FUNDS, MAIN),
        "hedged": bench.accounts(HEDGED, NEUTRAL),
        "ladder": bench.accounts(LADDER, MAIN),
        "published": bench.accounts(PUBLISHED, MAIN),
    }
    text = document(found, bench)
    insert(chosen.doc, MARK, text)
    facts = {"date": date.today().isoformat(), "machine": platform.machine(), "cores": os.cpu_count(), "training": training.name}
    kept = (HOME / "benchmarks" / "results" if chosen.doc == DOC else chosen.doc.parent) / f"portfolios-{date.today().isoformat()}.json"
    kept.write_text(json.dumps({**facts, **found}, indent=1, default=str) + "\n", encoding="utf-8")
    print(text)
    say(f"{chosen.doc} and {kept}, {(time.monotonic() - began) / 60:.1f} minutes")


class Bench:
    """A training's scores on its lake: accounts of any config, each traded once."""

    def __init__(self, lake: Lake, base: Config, training: Path) -> None:
        self.lake, self.base, self.training = lake, base, training
        self.scores = pl.read_parquet(training / "scores.parquet").filter(pl.col("model").is_in(list(MODELS)))
        self.models = [model for model in MODELS if model in self.scores["model"].unique()]
        self.ground: Ground | None = None
        self.scenes: dict[tuple[date, ...], Scene] = {}

    def accounts(self, wanted: Mapping[str, Mapping[str, Any]], span: tuple[date, date]) -> list[Row]:
        """A row an account and model: its figures, the parts of its excess, those of the hedge."""
        return [self.row(title, changes, model, span) for title, changes in Bars()(list(wanted.items()), "accounts") for model in self.models]

    def row(self, title: str, changes: Mapping[str, Any], model: str, span: tuple[date, date]) -> Row:
        """One account, read where it is done."""
        config = parse(self.base.model_dump() | {"backtest": {**changes, "start": span[0], "end": span[1]}}, title)
        key = {"training": self.training.name, "scores": model, "versions": versions(self.lake, config), **config.model_dump(mode="json")}
        kept = WORK / f"account-{digest(key)}" / DONE
        if not kept.is_file():
            write_json(kept, self.traded(config, model))
        return {"title": title, "model": model, **read_json(kept)}

    def traded(self, config: Config, model: str) -> Row:
        """The figures of one account."""
        ground = Ground(self.lake, config, self.market().market, self.market().risks)
        account = trade(self.scores.filter(pl.col("model") == model), ground)
        hedge = hedged(account.result, ground)
        row = figures(account.result, ground) | {"span": [account.result.dates[0], account.result.dates[-1]]}
        row |= {"parts": self.parts(account, ground), "remarks": account.trail.remarks}
        if isinstance(config.backtest.strategy, Enhancement):
            forecasts, name = account.trail.forecasts, pl.col("constraint")
            chosen = account.trail.relaxations.filter(~name.str.starts_with("names:") & ~name.str.ends_with("after lots"))
            row |= {"forecast": forecasts["tracking_error"].mean(), "relaxed": chosen["date"].n_unique() / max(forecasts.height, 1)}
        return row | ({"hedge": hedge.summary(), "hedge_remarks": hedge.remarks} if hedge else {})

    def market(self) -> Ground:
        """What all accounts stand on, read when the first is traded."""
        if self.ground is None:
            self.ground = Ground.of(self.lake, self.base)
        return self.ground

    def parts(self, account: Account, ground: Ground) -> dict[str, float]:
        """The geometric excess over H00905 of the whole span by kind of part."""
        result, benchmark = account.result, ground.config.backtest.benchmark
        axes = around(ground.market, result)
        if axes.dates not in self.scenes:
            self.scenes[axes.dates] = scene(self.lake, axes, benchmark.index)
        total, price = (
            index_returns(ground, result.dates, BenchmarkSettings(index=benchmark.index, kind=kind)) for kind in ("total_return", "price")
        )
        found = attributed(self.scenes[axes.dates], result, ground.market, total, price)
        return dict(zip(KINDS, linked(found.kinds).tolist(), strict=True))


def document(found: Mapping[str, list[Row]], bench: Bench) -> str:
    """The measured part of the document."""
    first = found["funds"][0]
    lacking = [name for model, name in MODELS.items() if model not in bench.models]
    parts = [
        f"Scores of {bench.training.name}, traded {first['span'][0]} to {first['span'][1]}, CNY 100 million, default settings: at the open, whole "
        "lots, limits, dated taxes and fees, .02 % commission, .05 % slippage." + (f" The training has no {', '.join(lacking)}." if lacking else ""),
        table([named(row) | cells(row, FIGURES) for row in found["funds"]]),
        "Where it came from: the geometric excess over H00905 of the whole span, by parts (attribution.md).",
        table([named(row) | {"whole": f"{sum(row['parts'].values()):.1%}"} | percents(row["parts"]) for row in found["funds"]]),
        *(sorted({text for row in found["funds"] for text in row["remarks"]})),
        "### Hedged with IC futures",
        *hedge_tables(found["hedged"]),
        "### What TopkDropout shows, and what is left of it",
        ladder(found),
    ]
    return signed("\n\n".join(parts))


def named(row: Row) -> dict[str, str]:
    """The first cells of an account's line."""
    return {"account": row["title"], "scores": MODELS[row["model"]]}


def cells(row: Row, formats: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Figures as cells; one that an account hasn't is empty."""
    return {title: format(row[name], form) if row.get(name) is not None else "" for name, (title, form) in formats.items()}


def percents(parts: Mapping[str, float]) -> dict[str, str]:
    """Parts as cells."""
    return {name.replace("_", " "): f"{value:.1%}" for name, value in parts.items()}


def hedge_tables(rows: list[Row]) -> list[str]:
    """The hedged accounts, their parts, and what was assumed."""
    shown = {"annual_return": ("return a year", ".1%"), "volatility": ("volatility", ".1%"), "sharpe": ("Sharpe", ".2f")}
    shown |= {"max_drawdown": ("drawdown", ".1%"), "mean_margin": ("margin", ".0%"), "calls": ("calls", ".0f")}
    lines = [named(row) | cells(row["hedge"], shown) | percents({name: row["hedge"][name] for name in PARTS}) for row in rows]
    span = rows[0]["span"]
    words = f"{span[0]} to {span[1]}; parts are of mean equity a year, against cash.  Remarks are those of the first line."
    return [words, table(lines), "\n".join(f"- {text}" for text in rows[0]["hedge_remarks"])]


def ladder(found: Mapping[str, list[Row]]) -> str:
    """TopkDropout's excess a year, one thing switched on after the other, a column a model."""
    lines: dict[str, dict[str, str]] = {}
    for row in found["ladder"]:
        if row["title"] == next(iter(LADDER)):
            lines.setdefault(f"{row['title']}, over 000905", {})[MODELS[row["model"]]] = f"{row['excess_geometric_price']:.1%}"
            lines.setdefault("against H00905, which has its dividends too", {})[MODELS[row["model"]]] = f"{row['excess_geometric']:.1%}"
        else:
            lines.setdefault(row["title"], {})[MODELS[row["model"]]] = f"{row['excess_geometric']:.1%}"
    for row in found["published"]:
        text = f"{row['qlib_annual_excess']:.1%}, IR {row['qlib_information_ratio']:.2f}"
        lines.setdefault(row["title"], {})[MODELS[row["model"]]] = text
    return table([{"excess a year": title} | values for title, values in lines.items()])


if __name__ == "__main__":
    main()
