"""What a sweep of 100 configurations, its luck and one attribution take at 800 stocks x 900 sessions.

CPU seconds hold on a busy machine too; wall seconds of all cores only on an idle one.  The market is drawn: prices of random walks, a score
that is a slow random walk of its own, so that turnover is that of a real one.

Run: OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -P benchmarks/sweeping.py [--stocks 800] [--sessions 900]     Prints a table.
-P, lest benchmarks/factors.py hide the package of the same name.
"""

import argparse
import time
from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import polars as pl

from backtest import luck
from backtest.attribution.backdrop import Backdrop, moves
from backtest.attribution.daily import attribute
from backtest.costs import CostSettings
from backtest.exposures import standardised
from backtest.market import Market
from backtest.simulation import SimulationSettings, simulate
from backtest.strategies import TopkBuffer
from backtest.sweep import SweepSettings, sweep
from data.panel import Axes, Floats

REPEATS = 3
RIGHTS = {"symbol": pl.String, "ex_date": pl.Date, "cash": pl.Float64, "bonus": pl.Float64, "transfer": pl.Float64}


def market_of(stocks: int, sessions: int, rng: np.random.Generator) -> Market:
    """Random walks that open where they closed, none suspended."""
    days = [day for i in range(2 * sessions) if (day := date(2017, 1, 3) + timedelta(days=i)).weekday() < 5][:sessions]
    axes = Axes(tuple(days), tuple(f"{600000 + n}.SH" for n in range(stocks)))
    close = np.round(20 * np.exp(np.cumsum(rng.normal(0, 0.02, (sessions, stocks)), axis=0)), 2).clip(1)
    before = np.vstack([close[:1], close[:-1]])
    columns = {"open": before, "high": np.maximum(close, before), "low": np.minimum(close, before), "close": close, "pre_close": before}
    bars = pl.DataFrame(
        {"date": np.repeat(axes.days, stocks), "symbol": list(axes.symbols) * sessions, **{name: x.ravel() for name, x in columns.items()}}
    ).with_columns(pl.col("date").cast(pl.Date), volume=1e7, amount=1e7 * pl.col("close"), is_st=pl.lit(value=False), is_trading=pl.lit(value=True))
    life = pl.DataFrame({"symbol": axes.symbols}).with_columns(pl.lit(None, dtype=pl.Date).alias(name) for name in ("list_date", "delist_date"))
    return Market.of(bars, life, pl.DataFrame(schema=RIGHTS), axes, price_basis="raw")


def seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """Seconds of the fastest of some runs, the compiling one left out."""
    work()
    times = []
    for _ in range(REPEATS):
        began = clock()
        work()
        times.append(clock() - began)
    return min(times)


def measured(market: Market, scores_DN: Floats, b_D: Floats, rng: np.random.Generator) -> dict[str, float]:
    """Seconds of each piece."""
    rest = {"strategy": TopkBuffer(), "costs": CostSettings(), "simulation": SimulationSettings()}
    swept = lambda threads: sweep(scores_DN, market, b_D, SweepSettings(), **rest, threads=threads)  # type: ignore[arg-type]  # noqa: E731
    found = swept(None)
    result = simulate(scores_DN, market, strategy=TopkBuffer(), costs=CostSettings())
    shape = result.shares_DN.shape
    weights_DN = np.full(shape, 1 / shape[1])
    styles = {str(n): standardised(rng.normal(size=shape), weights_DN > 0) for n in range(6)}
    groups_DN = np.broadcast_to(np.arange(shape[1]) % 30, shape)
    backdrop = Backdrop(b_D, b_D, *moves(market, result), weights_DN, groups_DN, [str(n) for n in range(30)], styles)
    return {
        f"sweep of {found.frame.height}, CPU of one thread": seconds(lambda: swept(1), time.process_time),
        f"sweep of {found.frame.height}, wall, a thread a core": seconds(lambda: swept(None), time.perf_counter),
        "one account, CPU": seconds(lambda: simulate(scores_DN, market, strategy=TopkBuffer(), costs=CostSettings()), time.process_time),
        "luck of the sweep, CPU": seconds(lambda: luck.overfitting(found.excess_DC), time.process_time),
        "attribution, 30 industries, 6 styles, CPU": seconds(lambda: attribute(result, backdrop), time.process_time),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stocks", type=int, default=800)
    parser.add_argument("--sessions", type=int, default=900)
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    market = market_of(chosen.stocks, chosen.sessions, rng)
    scores_DN = rng.normal(size=market.axes.shape)
    for d in range(1, len(scores_DN)):
        scores_DN[d] = 0.95 * scores_DN[d - 1] + np.sqrt(1 - 0.95**2) * scores_DN[d]
    b_D = rng.normal(0, 0.01, chosen.sessions - 1)
    for name, took in measured(market, scores_DN, b_D, rng).items():
        print(f"{name:<45} {took:8.3f} s")


if __name__ == "__main__":
    main()
