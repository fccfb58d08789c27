"""A backtest of 800 stocks x 2,500 sessions beside vectorbt's from_orders on the same weights and beside Qlib's, in one run.

Run: KESTREL_PEERS=ENV/bin/python python -P benchmarks/backtest.py      Prints a table and writes benchmarks/results/backtest-DATE.json.
-P, lest this file's name hide the package of the same name.
KESTREL_PEERS is the Python of an environment that has pyqlib; without it Qlib's time is left out.  vectorbt needs no environment of its own.
Every time is the best of some runs, after one that compiled; the first call of a new process reads the compiled code from its cache.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from backtest.costs import FREE, QLIB_COSTS, CostSettings
from backtest.impact import SQUARE_ROOT
from backtest.market import EXCHANGES, Market
from backtest.simulation import SimulationSettings, simulate
from backtest.strategies import Targets, TopkBuffer, TopkDropout
from backtest.targets import Evening, simulate_targets, simulate_weights
from data.panel import Axes, Floats
from data.symbols import BOARDS, board

SESSIONS, STOCKS, HELD, EVERY, REPEATS, CONFIGS = 2500, 800, 50, 5, 5, 100
RULES = SimulationSettings(participation=0.1, impact=SQUARE_ROOT, dividend_tax=True)
BARE = SimulationSettings(deal="close", size_at="deal", limits=False, lots=False)


def market() -> Market:
    """Random walks in cents on four boards, with limits, suspensions, dividends and bonus shares."""
    rng, shape = np.random.default_rng(0), (SESSIONS, STOCKS)
    codes = [f"{prefix}{n:03d}" for prefix in ("000", "300", "600", "688") for n in range(STOCKS // 4)]
    symbols = tuple(code + (".SH" if code[0] == "6" else ".SZ") for code in codes)
    days = [day for day in (date(2014, 1, 1) + timedelta(days=n) for n in range(2 * SESSIONS)) if day.weekday() < 5][:SESSIONS]
    close = np.round(np.maximum(1, 15 * np.exp(np.cumsum(rng.normal(0, 0.02, shape), axis=0))), 2)
    before = np.vstack([close[:1], close[:-1]])
    open_ = np.round(before * (1 + np.clip(rng.normal(0, 0.015, shape), -0.1, 0.1)), 2)
    trading = rng.random(shape) > 0.03
    cash = np.where(rng.random(shape) < 1 / 250, 0.1, 0.0)
    volume = np.round(rng.lognormal(15, 1, shape))
    return Market(
        axes=Axes(tuple(days), symbols),
        price_basis="raw",
        open_DN=open_,
        high_DN=np.maximum(open_, close),
        low_DN=np.minimum(open_, close),
        close_DN=close,
        reference_DN=before,
        last_DN=close,
        limit_up_DN=np.round(before * 1.1, 2),
        limit_down_DN=np.round(before * 0.9, 2),
        volume_DN=volume,
        amount_DN=volume * close,
        scale_DN=np.ones(shape),
        cash_DN=cash,
        ratio_DN=np.where(cash > 0, 0.1, 0.0),
        taxable_DN=cash,
        trading_DN=trading,
        st_DN=np.zeros(shape, dtype=np.bool_),
        board_N=np.array([BOARDS.index(board(name)) for name in symbols]),
        exchange_N=np.array([EXCHANGES.index(name[-2:]) for name in symbols]),
        listed_N=np.full(STOCKS, -1),
        delisted_N=np.full(STOCKS, SESSIONS),
        first_session=0,
    )


def scores() -> Floats:
    """Scores that change slowly, as a model's do."""
    rng = np.random.default_rng(1)
    found = rng.normal(size=(SESSIONS, STOCKS))
    for d in range(1, SESSIONS):
        found[d] = 0.95 * found[d - 1] + 0.3 * found[d]
    return found


def weights(scores_DN: Floats) -> Floats:
    """Equal weights of the best on every fifth evening, NaN between."""
    found = np.full(scores_DN.shape, np.nan)
    for d in range(0, SESSIONS, EVERY):
        found[d] = 0.0
        found[d, np.argsort(-scores_DN[d])[:HELD]] = 0.95 / HELD
    return found


def seconds(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Of the fastest of some runs, after one that isn't counted."""
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times[1:])


def own(where: Market, scores_DN: Floats, weights_DN: Floats) -> dict[str, Callable[[], Any]]:
    """Our runs by name."""
    costs, loose = CostSettings(), Targets(band=0.0)
    configs = [TopkBuffer(k=k, buffer=k + more, every=every) for k in range(20, 70, 5) for more in (10, 50) for every in (1, 2, 5, 10, 20)]
    assert len(configs) == CONFIGS

    def weigher(evening: Evening) -> Floats | None:
        return None if evening.session % EVERY else weights_DN[evening.session]

    return {
        "weights, all rules and accounting": lambda: simulate_weights(weights_DN, where, costs=costs, settings=RULES, targets=loose),
        "weights, default settings": lambda: simulate_weights(weights_DN, where, costs=costs, targets=loose),
        "weights, rules and costs off": lambda: simulate_weights(weights_DN, where, costs=FREE, settings=BARE, targets=loose),
        "a weigher asked every evening": lambda: simulate_targets(weigher, where, costs=costs, settings=RULES, targets=loose),
        "TopkDropout, Qlib's set-up": lambda: simulate(
            scores_DN, where, strategy=TopkDropout(k=HELD, drop=5), costs=QLIB_COSTS, settings=SimulationSettings(deal="close")
        ),
        f"{CONFIGS} configurations": lambda: [simulate(scores_DN, where, strategy=one, costs=costs) for one in configs],
    }


def by_vectorbt(where: Market, weights_DN: Floats) -> Callable[[], object]:
    """Vectorbt's from_orders on the same weights at the same prices, flat fees and no rule; its compiling is not counted."""
    import pandas as pd
    import vectorbt

    close = pd.DataFrame(where.close_DN[1:])
    options = {"price": where.open_DN[1:], "size_type": "targetpercent", "fees": 0.0007, "init_cash": 1e8, "call_seq": "auto"}
    return lambda: vectorbt.Portfolio.from_orders(close, weights_DN[:-1], cash_sharing=True, group_by=True, freq="D", **options).value()


def by_qlib(where: Market, scores_DN: Floats, python: str) -> dict[str, object]:
    """Seconds of Qlib's TopkDropout backtest, which its own environment runs."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "panel.npz"
        prices = {"open": where.open_DN, "high": where.high_DN, "low": where.low_DN, "close": where.close_DN, "vwap": where.vwap_DN}
        np.savez(source, **prices, volume=where.volume_DN, scores=scores_DN)
        command = [python, str(Path(__file__).parent / "trading.py"), str(source), str(HELD)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    return {"seconds": float(done.stdout.split()[-1])} if done.returncode == 0 else {"failed": done.stderr.strip().splitlines()[-1]}


def first_call() -> float:
    """Seconds of the first run in a new process, imports left out."""
    code = "import sys; sys.path.insert(0, '.'); from benchmarks.backtest import *; m = market(); w = weights(scores())\n"
    code += "began = time.perf_counter(); simulate_weights(w, m, costs=CostSettings(), settings=RULES); print(time.perf_counter() - began)"
    return float(subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Time, print, keep."""
    where, scores_DN = market(), scores()
    weights_DN = weights(scores_DN)
    runs = own(where, scores_DN, weights_DN).items()
    rows: list[dict[str, Any]] = [{"what": name, "seconds": seconds(work, 1 if "configurations" in name else REPEATS)} for name, work in runs]
    rows.append({"what": "first call of a new process", "seconds": first_call()})
    rows.append({"what": "vectorbt from_orders, same weights", "seconds": seconds(by_vectorbt(where, weights_DN), 3)})
    rows[-1]["times_all_rules"] = rows[-1]["seconds"] / rows[0]["seconds"]
    python = os.environ.get("KESTREL_PEERS")
    if python:
        rows.append({"what": "Qlib, TopkDropout", **by_qlib(where, scores_DN, python)})
    for row in rows:
        print(f"{row['what']:40}", *(f"{key} {value:.4g}" if isinstance(value, float) else value for key, value in row.items() if key != "what"))
    facts = {"machine": platform.machine(), "python": platform.python_version(), "load": os.getloadavg()[0], "sessions": SESSIONS, "stocks": STOCKS}
    results = Path(os.environ.get("KESTREL_RESULTS", Path(__file__).parent / "results"))
    (results / f"backtest-{date.today().isoformat()}.json").write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
