"""Compare: two runs, or the newest accounts in MLflow, side by side; what sets them apart; the latest training's models paired."""

import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

from backtest.report.labels import Lang, Words
from backtest.report.markup import clean
from data.errors import KestrelError
from data.lake import Lake
from pipelines.config import Config, stored
from pipelines.console import say, show
from pipelines.contrast import contrast
from pipelines.experiments import Experiments
from pipelines.holdout import seen, shown
from pipelines.runs import DONE, latest, read_json, write_text
from pipelines.verdict import verdict

METRICS = (
    "rank_ic_1",
    "rank_ic_5",
    "rank_icir_5",
    "excess_geometric",
    "tracking_error",
    "information_ratio",
    "excess_max_drawdown",
    "turnover",
    "cost",
)


def compare(config: Config, *, last: int, as_json: bool) -> None:
    """Print the last accounts, best information ratio first, then the settings in which their backtests differ."""
    logged = Experiments(Path(config.runs), config.tracking).find("`kestrel.kind`", "account", last=last)
    if not logged:
        raise KestrelError(f"MLflow has no backtest in {config.runs} yet. Run: kestrel backtest")
    accounts = [account for account in logged if _open(account, config)]
    if len(accounts) < len(logged):
        say(f"{len(logged) - len(accounts)} accounts reach into the holdout {config.holdout} and are left out.")
    rows = [_row(account) for account in accounts]
    rows.sort(key=lambda row: -(row["information_ratio"] or 0.0))
    show(rows, title="Backtests in MLflow", as_json=as_json)
    apart = differences({account.data.tags["kestrel.run"]: account.data.params for account in accounts})
    if apart and not as_json:
        show(apart, title="What sets them apart")


def judge(lake: Lake, config: Config) -> None:
    """Print what the latest training's models are worth beside each other; nothing where there is no training."""
    if not list(Path(config.runs).glob(f"train-*/{DONE}")):
        return
    folder = latest(Path(config.runs), "train")
    config = stored(folder / "config.json", config)
    if not shown(folder, date.fromisoformat(read_json(folder / DONE)["span"][1]), config.holdout):
        say(f"{folder.name} reaches into the holdout {config.holdout}: train again to see it up to there.")
        return
    lake = seen(lake, config.holdout, folder)
    found = verdict(lake, config, folder)
    main = [{name: value for name, value in row.items() if name != "horizon"} for row in found["paired"] if row["horizon"] == config.train.horizon]
    if main:
        show(main, title=f"{folder.name}: daily RankIC over {config.train.horizon} sessions less a rival's, 95 % interval (blocks of 20 sessions)")
    show(by_model(found["years"], "year", config.train.horizon), title="RankIC by year")
    if found["regimes"]:
        show(by_model(named(found["regimes"]), "regime", config.train.horizon), title="RankIC by thirds of the market's volatility and past return")
    show(found["scores"], title="The scores: likeness to those before, share of the best 50 that are new, correlation with styles")


def by_model(rows: list[dict[str, Any]], column: str, horizon: int) -> list[dict[str, Any]]:
    """A line a model with its RankIC of each value of a column."""
    lines: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["horizon"] == horizon:
            lines.setdefault(row["model"], {"model": row["model"]})[str(row[column])] = row["rank_ic"]
    return list(lines.values())


def named(regimes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with their regime in words."""
    return [{**row, "regime": f"{row['state']} {row['third']}"} for row in regimes]


def _row(account: Any) -> dict[str, Any]:
    tags, metrics = account.data.tags, account.data.metrics
    return {
        "run": tags["kestrel.run"],
        "scores": tags["kestrel.source"],
        "model": tags["kestrel.model"],
        **{name: metrics.get(name) for name in METRICS},
    }


def _open(account: Any, config: Config) -> bool:
    """Whether an account's figures may be shown; of one that was logged without its dates nobody knows."""
    last = account.data.tags.get("kestrel.last")
    if last is None:
        return config.holdout.begin is None
    return shown(Path(config.runs) / account.data.tags["kestrel.run"], date.fromisoformat(last), config.holdout)


def differences(params: dict[str, dict[str, str]]) -> list[dict[str, Any]]:
    """A row for each setting that isn't the same in all runs: {'setting', run: value, …}."""
    names = sorted({name for one in params.values() for name in one})
    return [
        {"setting": name, **{run: one.get(name, "") for run, one in params.items()}}
        for name in names
        if len({one.get(name) for one in params.values()}) > 1
    ]


def compare_two(
    config: Config, a: str, b: str, *, model: str | None = None, html: Path | None = None, lang: Lang = "en", as_json: bool = False
) -> None:
    """Print two runs beside each other, and write their page where one is asked for."""
    found = contrast(config, a, b, model=model)
    names, figures, apart = {"A": found.a.name, "B": found.b.name}, found.figures(), found.settings()
    first, last = found.span
    if html is not None:
        from pipelines.facing import page

        write_text(html, page(found, Words(lang)))
    if as_json:
        whole = {**names, "span": [first.isoformat(), last.isoformat()], "figures": figures, "settings": apart}
        sys.stdout.write(json.dumps(clean(whole), indent=1) + "\n")
        return
    show(figures, title=f"A: {names['A']}   B: {names['B']}   {first} to {last}; 95 % intervals, paired days in blocks of 20 sessions")
    show(apart, title="What sets them apart")
    if html is not None:
        say(str(html))
