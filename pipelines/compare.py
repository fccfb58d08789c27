"""Compare: the newest accounts in MLflow side by side, and which settings set them apart."""

from pathlib import Path
from typing import Any

from data.errors import KestrelError
from pipelines.config import Config
from pipelines.console import show
from pipelines.experiments import Experiments

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
    accounts = Experiments(Path(config.runs), config.tracking).find("`kestrel.kind`", "account", last=last)
    if not accounts:
        raise KestrelError(f"MLflow has no backtest in {config.runs} yet. Run: kestrel backtest")
    rows = [_row(account) for account in accounts]
    rows.sort(key=lambda row: -(row["information_ratio"] or 0.0))
    show(rows, title="Backtests in MLflow", as_json=as_json)
    apart = differences({account.data.tags["kestrel.run"]: account.data.params for account in accounts})
    if apart and not as_json:
        show(apart, title="What sets them apart")


def _row(account: Any) -> dict[str, Any]:
    tags, metrics = account.data.tags, account.data.metrics
    return {
        "run": tags["kestrel.run"],
        "scores": tags["kestrel.source"],
        "model": tags["kestrel.model"],
        **{name: metrics.get(name) for name in METRICS},
    }


def differences(params: dict[str, dict[str, str]]) -> list[dict[str, Any]]:
    """A row for each setting that isn't the same in all runs: {'setting', run: value, …}."""
    names = sorted({name for one in params.values() for name in one})
    return [
        {"setting": name, **{run: one.get(name, "") for run, one in params.items()}}
        for name in names
        if len({one.get(name) for one in params.values()}) > 1
    ]
