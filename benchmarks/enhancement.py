"""An enhancement fund on the research pack, 2017-01 to 2020-07: net excess, tracking error against its target, turnover, what gave way.

Run: OPENBLAS_NUM_THREADS=1 python -P benchmarks/enhancement.py LAKE SCORES [--every 5] [--risk styles] [--end 2020-07-31] [--cash 1e8]
     [--tracking-error 0.05] [--ic 0.03] [--turnover 0.15]
LAKE as for benchmarks/risk.py; SCORES: a file of date, symbol, score.
"""

import argparse
import time
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from backtest.benchmark import BenchmarkSettings, returns
from backtest.costs import CostSettings
from backtest.enhancement import Enhancement, Enhancer, Outlook
from backtest.market import Market
from backtest.metrics import geometric_excess, max_drawdown, tracking_error
from backtest.optimise.limits import Limits
from backtest.risk.model import RiskModel
from backtest.risk.statistical import StatisticalRisk
from backtest.risk.styles import StyleRisk
from backtest.simulation import SimulationSettings
from backtest.targets import Targets, simulate_targets
from benchmarks.pack import Ground, ground
from data.lake import open_lake
from data.panel import to_panel


def risk_model(kind: str, here: Ground) -> RiskModel:
    """The model of that name over the pack."""
    if kind == "statistical":
        return StatisticalRisk(here.returns_DN)
    return StyleRisk(here.returns_DN, here.styles, here.cap_DN, here.member_DN, groups_DN=here.groups_DN, groups=here.groups, remarks=here.remarks)


def main() -> None:
    """Simulate the fund and print what it reached."""
    parser = argparse.ArgumentParser()
    parser.add_argument("lake", type=Path)
    parser.add_argument("scores", type=Path)
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--risk", default="styles")
    parser.add_argument("--start", type=date.fromisoformat, default=date(2017, 1, 4))
    parser.add_argument("--end", type=date.fromisoformat, default=date(2020, 7, 31))
    parser.add_argument("--cash", type=float, default=1e8)
    parser.add_argument("--tracking-error", type=float, default=0.05)
    parser.add_argument("--turnover", type=float, default=0.15)
    parser.add_argument("--ic", type=float, default=0.03)
    chosen = parser.parse_args()
    here, lake = ground(chosen.lake), open_lake(chosen.lake)
    limits = Limits(tracking_error=chosen.tracking_error, turnover=chosen.turnover)
    settings = Enhancement(every=chosen.every, risk=chosen.risk, ic=chosen.ic, limits=limits)
    dividends = pl.DataFrame(schema={"symbol": pl.String, "ex_date": pl.Date})
    market = Market.of(here.bars, lake.read("securities"), dividends, here.axes, price_basis=lake.price_basis)
    scores_DN = to_panel(pl.read_parquet(chosen.scores), "score", here.axes)
    outlook = Outlook(scores_DN, here.index_DN, here.styles, here.groups_DN, here.groups, here.remarks)
    costs = CostSettings()
    began = time.process_time()
    enhancer = Enhancer(settings, outlook, risk_model(chosen.risk, here), market, costs=costs)
    built = time.process_time() - began
    result = simulate_targets(
        enhancer, market, costs=costs, settings=SimulationSettings(cash=chosen.cash), targets=Targets(band=1e-6), start=chosen.start, end=chosen.end
    )
    print(
        f"risk model {built:.1f} s of CPU, {len(enhancer.forecasts)} rebalances with all of the account {time.process_time() - began - built:.1f} s"
    )
    print(*enhancer.remarks, sep="\n")
    r_D = result.returns_D
    for kind in ("total_return", "price"):
        b_D = returns(lake.read("index_bars"), result.dates, BenchmarkSettings(kind=kind))  # type: ignore[arg-type]
        print(f"{kind}: excess {geometric_excess(r_D, b_D):.4f} a year, tracking error {tracking_error(r_D, b_D):.4f}", end=", ")
        print(f"days beyond 0.5 %: {int((np.abs(r_D - b_D) > 0.005).sum())} of {len(r_D)}, worst {np.abs(r_D - b_D).max():.4f}")
    print(f"turnover a year {result.turnover_D.mean() * 243:.2f}, costs {sum(c.sum() for c in result.costs_D.values()) / result.nav_D.mean():.4f}")
    print(f"drawdown {max_drawdown(r_D):.4f}, names {result.holdings_D.mean():.0f}, cash {(result.cash_D / result.nav_D).mean():.4f}")
    print(enhancer.forecasts.select(pl.all().exclude("date")).describe().filter(pl.col("statistic").is_in(["mean", "min", "50%", "max"])))
    stuck = pl.col("constraint").str.contains("names:")
    named = pl.when(stuck).then(pl.lit("names that couldn't be traded")).otherwise(pl.col("constraint")).alias("constraint")
    beyond = (pl.col("given") - pl.col("wanted")).abs().max().alias("most beyond")
    relaxed = enhancer.relaxations.with_columns(named).group_by("constraint").agg(pl.len(), pl.col("date").n_unique().alias("evenings"), beyond)
    print(relaxed.sort("len", "constraint", descending=[True, False]).head(25))


if __name__ == "__main__":
    main()
