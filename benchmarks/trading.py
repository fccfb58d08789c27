"""Qlib's TopkDropout backtest on a panel, run by benchmarks/backtest.py in an environment that has pyqlib.

Run: python trading.py PANEL.npz K      Prints the seconds of the backtest, data and scores loaded, as its last line.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from peers import FIELDS, _qlib_files


def main() -> None:
    """Write Qlib's files, load them once, run, time."""
    panel = dict(np.load(sys.argv[1]))
    sessions, stocks = panel["close"].shape
    days = [day.date() for day in pd.date_range("2000-01-01", periods=sessions)]
    names = [f"SH{600000 + n}" for n in range(stocks)]
    index = pd.MultiIndex.from_product([pd.DatetimeIndex(days), names], names=["datetime", "instrument"])
    signal = pd.Series(panel["scores"].ravel(), index=index, name="score")
    with tempfile.TemporaryDirectory() as folder:
        _qlib_files(Path(folder), {field: panel[field] for field in FIELDS}, days, names)
        change = np.vstack([np.zeros((1, stocks)), panel["close"][1:] / panel["close"][:-1] - 1])
        for n, name in enumerate(names):
            for field, values in (("change", change[:, n]), ("factor", np.ones(sessions))):
                np.concatenate([[0.0], values]).astype("<f").tofile(Path(folder) / "features" / name.lower() / f"{field}.day.bin")
        print(run(folder, signal, days, int(sys.argv[2])))


def run(folder: str, signal: pd.Series, days: list[object], k: int) -> float:
    """Seconds of one backtest in Qlib's own set-up."""
    import qlib
    from qlib.contrib.evaluate import backtest_daily
    from qlib.contrib.strategy import TopkDropoutStrategy

    qlib.init(provider_uri=folder, region="cn", logging_level=40)
    strategy = TopkDropoutStrategy(signal=signal, topk=k, n_drop=5)
    exchange = {"limit_threshold": 0.095, "deal_price": "close", "open_cost": 0.0005, "close_cost": 0.0015, "min_cost": 5}
    began = time.perf_counter()
    backtest_daily(str(days[1]), str(days[-2]), strategy=strategy, account=1e8, benchmark=None, exchange_kwargs=exchange)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
