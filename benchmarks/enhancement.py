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
from backtest.covenant import breaches
from backtest.enhancement import Enhancement, Enhancer, Outlook, risk_model
from backtest.market import Market
from backtest.metrics import SESSIONS, geometric_excess, max_drawdown, tracking_error
from backtest.optimise.limits import Limits
from backtest.result import Result
from backtest.risk.styles import StyleRisk
from backtest.simulation import SimulationSettings
from backtest.targets import Targets, simulate_targets
from benchmarks.pack import ground
from data.lake import open_lake
from data.panel import Floats, to_panel


def told(result: Result, enhancer: Enhancer, index_DN: Floats, b_D: Floats, market: Market) -> None:
    """Print, part by part, what the risk model said at every close of the book as held and what the next session brought.

    common: the factors' part of the active return; own: what they leave of each stock; rest: all that isn't a close-to-close return of
    what was held against the members' weights: fills, costs, stocks that come back from a suspension, and the index's own gap.
    """
    model = enhancer.risk
    assert isinstance(model, StyleRisk)
    first = market.axes.index(result.dates[0])
    forecasts = dict(zip(enhancer.forecasts["date"].to_list(), enhancer.forecasts["tracking_error"].to_list(), strict=True))
    last, rows = np.nan, []
    for s in range(1, len(result.dates)):
        d = first + s
        last = forecasts.get(market.axes.dates[d - 1], last)
        a_N = result.shares_DN[s - 1] * np.nan_to_num(market.last_DN[d - 1]) / result.nav_D[s - 1] - index_DN[d - 1]
        risk, (_, used_K) = model.at(d - 1), model.exposures(d - 1)
        x_K, own_N = risk.X_NK.T @ a_N, np.where(a_N == 0, 0.0, np.nan_to_num(risk.specific_N))
        came = (float(x_K @ np.nan_to_num(model.f_DK[d][used_K])), float(a_N @ np.nan_to_num(model.own_DN[d])))
        said = (float(x_K @ risk.F_KK @ x_K), float(own_N @ a_N**2))
        rows.append([last**2 / SESSIONS, sum(said), *said, float(result.returns_D[s] - b_D[s]), sum(came), *came])
    table = np.array(rows)
    table = table[np.isfinite(table).all(axis=1)]
    rebalance, whole, common, own, active, both, shared, alone = table.T
    print(f"\n{'':44}{'forecast':>9}{'realised':>9}{'ratio':>7}{'bias':>7}")
    for name, variance_D, moved_D in (
        ("all, by the last rebalance's forecast", rebalance, active),
        ("all, by the close before", whole, active),
        ("what was held, close to close", whole, both),
        ("  common", common, shared),
        ("  own", own, alone),
    ):
        said, moved = np.sqrt(variance_D.mean() * SESSIONS), moved_D.std() * np.sqrt(SESSIONS)
        print(f"{name:44}{said:9.2%}{moved:9.2%}{moved / said:7.2f}{(moved_D / np.sqrt(variance_D)).std():7.2f}")
    rest = active - both
    print(f"{'rest: fills, costs, suspensions, index gap':44}{'':9}{rest.std() * np.sqrt(SESSIONS):9.2%}")
    print(f"correlation of common and own {np.corrcoef(shared, alone)[0, 1]:.2f}, of the rest and both {np.corrcoef(rest, both)[0, 1]:.2f}")


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
    enhancer = Enhancer(settings, outlook, risk_model(settings, outlook, here.returns_DN, here.cap_DN, here.member_DN), market, costs=costs)
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
        print(
            f"worst day {np.abs(r_D - b_D).max():.4f}, covenant",
            dict(breaches(r_D, b_D, result.dates)["promise"].value_counts().sort("promise").rows()),
        )
    print(f"turnover a year {result.turnover_D.mean() * 243:.2f}, costs {sum(c.sum() for c in result.costs_D.values()) / result.nav_D.mean():.4f}")
    print(f"drawdown {max_drawdown(r_D):.4f}, names {result.holdings_D.mean():.0f}, cash {(result.cash_D / result.nav_D).mean():.4f}")
    print(enhancer.forecasts.select(pl.all().exclude("date")).describe().filter(pl.col("statistic").is_in(["mean", "min", "50%", "max"])))
    stuck = pl.col("constraint").str.contains("names:")
    named = pl.when(stuck).then(pl.lit("names that couldn't be traded")).otherwise(pl.col("constraint")).alias("constraint")
    beyond = (pl.col("given") - pl.col("wanted")).abs().max().alias("most beyond")
    relaxed = enhancer.relaxations.with_columns(named).group_by("constraint").agg(pl.len(), pl.col("date").n_unique().alias("evenings"), beyond)
    print(relaxed.sort("len", "constraint", descending=[True, False]).head(25))
    if isinstance(enhancer.risk, StyleRisk):
        told(result, enhancer, here.index_DN, returns(lake.read("index_bars"), result.dates, BenchmarkSettings()), market)


if __name__ == "__main__":
    main()
