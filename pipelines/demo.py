"""Demo: the whole way through on a simulated market, in one folder, without network."""

import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TypeVar

from data.lake import Lake
from pipelines.build import build_factors
from pipelines.config import Config, parse
from pipelines.console import Bars, say, show
from pipelines.diary import log_backtest, log_page, log_training
from pipelines.present import show_signal, show_training
from pipelines.report import report
from pipelines.runs import DONE, read_json
from pipelines.signal import signal
from pipelines.simulate import settings_of, simulated
from pipelines.trade import backtest, trained_scores
from pipelines.train import train

T = TypeVar("T")

STOCKS, YEARS, SEED = 800, 6, 7
EVERY = 4  # the demo trains on every fourth session


def config_of(folder: Path) -> Config:
    """The demo's config: two fits half the test period apart, small trees, a ranker of a minute."""
    raw = {
        "lake": str(folder / "lake"),
        "runs": str(folder / "runs"),
        "signals": str(folder / "signals"),
        "walk": {"first": date(2023, 8, 1), "train_years": 2, "valid_years": 1, "refit_months": 18, "every": EVERY},
        "train": {"models": ["five_factors", "ridge", "lightgbm_rank", "ranker", "blend"]},
        "model": {
            "lightgbm_rank": {"leaves": 31, "rate": 0.1, "rounds": 150, "patience": 20, "threads": 1},
            "ranker": {"lookback": 5, "epochs": 3},
            "blend": {"members": ["ridge", "lightgbm_rank", "ranker"]},
        },
        "backtest": {"strategy": {"kind": "topk_buffer", "k": 50, "buffer": 100, "every": 5}},
    }
    return parse(raw, "the demo's config")


def demo(folder: Path, *, stocks: int = STOCKS) -> None:
    """Simulate, build, train, trade, log, report; a second run only does what is missing."""
    config, track = config_of(folder), Bars()
    lake = Lake(config.lake)
    say(f"Demo in {folder}: a simulated market of {stocks} stocks and {YEARS} years; models train on every {EVERY}th session.")
    market = settings_of(stocks=stocks, years=YEARS, seed=SEED, alpha="all")
    step("simulate", lambda: simulated(lake, market, track=track))
    step("factors", lambda: build_factors(lake, track=track))
    training, _ = step("train", lambda: train(lake, config, track=track))
    source = trained_scores(Path(config.runs))
    accounts, _ = step("backtest", lambda: backtest(lake, config, source, track=track))
    step("mlflow: training", lambda: log_training(training, config))
    step("mlflow: backtest", lambda: log_backtest(accounts, config, source))
    orders, written = step("signal", lambda: signal(lake, config))
    page = step("report", lambda: finished_report(accounts) or reported(lake, config, accounts))
    show_training(training, config)
    show(verdict(training, accounts), title="Simulated CSI 500 enhancement, net of costs, against the index with dividends")
    show_signal(orders, written=written, as_json=False, first=10)
    say(
        f"Report: {page}\nMLflow: kestrel --set runs={config.runs} ui\nAll of it is simulated: it shows how Kestrel works, not what a strategy earns."
    )


def step(label: str, work: Callable[[], T]) -> T:
    """Do one step and say how long it took."""
    began = time.monotonic()
    found = work()
    say(f"  {label}: {time.monotonic() - began:.0f} s")
    return found


def reported(lake: Lake, config: Config, accounts: Path) -> Path:
    """Write the page of these accounts, beside their figures in MLflow too."""
    page = report(lake, config, accounts.name)
    log_page(page, config)
    return page


def finished_report(accounts: Path) -> Path | None:
    """The page that an earlier demo wrote for these accounts."""
    return next(accounts.glob("*/report.html"), None)


def verdict(training: Path, accounts: Path) -> list[dict[str, object]]:
    """A row a model: what it knew and what was left of it after costs."""
    ics = {row["model"]: row for row in read_json(training / DONE)["models"] if row["horizon"] == 5}
    rows: list[dict[str, object]] = [
        {
            "model": row["model"],
            "rank_ic_5": ics[row["model"]]["rank_ic"],
            "rank_icir_5": ics[row["model"]]["rank_icir"],
            "excess": row["excess_geometric"],
            "tracking_error": row["tracking_error"],
            "information_ratio": row["information_ratio"],
            "excess_drawdown": row["excess_max_drawdown"],
            "turnover": row["turnover"],
            "cost": row["cost"],
        }
        for row in read_json(accounts / DONE)["models"]
    ]
    return rows
