"""A hedged account on real futures and on simulated curves: where its money came from, and what guard and stress say of it.

The long book is plain on purpose: the hundred members of the CSI 500 with the lowest sum of 20-session return and volatility, each
standardised over the members, held within the first two hundred, traded weekly at the open with default costs.
Part 1: the pack's dominant IC series, 2015-04-16 to 2017-12-29.  Part 2: contract choice and roll schedules on the curve of a simulated
market, whose discount swings about 7 % a year (2015 to 2017 had far more, and so had 2025).

Run: KESTREL_DATA_PACK=... python -P benchmarks/neutral.py [--lake LAKE]       Prints tables.
LAKE: the pack already imported (kestrel data import $KESTREL_DATA_PACK --mapping examples/pack.toml); without it, it is imported into a
temporary folder first.
"""

import argparse
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from backtest.benchmark import returns
from backtest.costs import CostSettings
from backtest.futures.neutral import neutralise
from backtest.futures.result import PARTS, NeutralResult
from backtest.futures.settings import Neutral
from backtest.guard import Guard, Sight, replay
from backtest.market import Market
from backtest.result import Result
from backtest.simulation import simulate
from backtest.strategies import TopkBuffer
from backtest.stress import WINDOWS, sellable, shocked, windows
from data.ingest import import_folder
from data.lake import Lake, open_lake
from data.members import drifted_panel
from data.panel import Floats
from data.simulator.settings import SimulationSettings
from data.simulator.simulation import simulate as simulate_market
from factors.panel import axes_of

INDEX, WINDOW = "000905.SH", 20
SPAN = (date(2015, 4, 16), date(2017, 12, 29))
PACK = {
    "70 % stocks, value": Neutral(),
    "70 % stocks, beta": Neutral(hedge="beta"),
    "non-hedging account": Neutral(account="other"),
    "80 % stocks": Neutral(stocks=0.8),
}
CURVE = {
    f"{contract}, {roll}": Neutral(contract=contract, roll=roll)
    for contract in ("dominant", "cheapest", "quarter")
    for roll in ("days", "open_interest")
}


@dataclass(frozen=True)
class Ground:
    """A market, its index and a long book in it."""

    market: Market
    index_bars: pl.DataFrame
    futures_bars: pl.DataFrame
    calendar: list[date]
    index_D: Floats
    member_DN: Floats
    long: Result


def ground(tables: Mapping[str, pl.DataFrame], price_basis: str, start: date | None, end: date | None, k: int) -> Ground:
    """The plain long book over a lake's tables."""
    axes = axes_of(tables["bars"], tables["calendar"])
    market = Market.of(tables["bars"], tables["securities"], tables["dividends"], axes, price_basis=price_basis)
    member_DN, _ = drifted_panel(tables["members"], axes, INDEX, market.last_DN)
    index_D = np.concatenate([[0.0], returns(tables["index_bars"], axes.dates[1:])])
    scores_DN = plain_scores(market, np.nan_to_num(member_DN) > 0)
    strategy = TopkBuffer(k=k, buffer=2 * k)
    long = simulate(scores_DN, market, strategy=strategy, costs=CostSettings(), start=start, end=end)
    return Ground(market, tables["index_bars"], tables["futures_bars"], tables["calendar"]["date"].to_list(), index_D, member_DN, long)


def plain_scores(market: Market, member_DN: Floats) -> Floats:
    """Minus the sum of standardised return and volatility of the last sessions, members that trade alone, [D, N]."""
    growth_DN = market.last_DN[1:] / market.last_DN[:-1] - 1
    scores_DN = np.full(market.axes.shape, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # stocks without any price
        for d in range(WINDOW + 1, len(scores_DN)):
            here_N = member_DN[d] & market.trading_DN[d]
            gain_N = np.where(here_N, market.last_DN[d] / market.last_DN[d - WINDOW] - 1, np.nan)
            spread_N = np.where(here_N, np.nanstd(growth_DN[d - WINDOW : d], axis=0), np.nan)
            for x_N in (gain_N, spread_N):
                scores_DN[d] = -(x_N - np.nanmean(x_N)) / np.nanstd(x_N) + np.nan_to_num(scores_DN[d])
    return scores_DN


def tell(found: Sequence[tuple[str, NeutralResult]]) -> None:
    """A row an account: return, risk and the parts, of mean equity a year."""
    print(f"{'':22}{'return':>8}{'vol':>7}{'mdd':>8}", *(f"{name:>13}" for name in PARTS), f"{'calls':>6}{'transfers':>10}{'rolls':>6}")
    for name, result in found:
        figures = result.summary()
        rolls = result.trades.filter(pl.col("why") == "roll")["date"].n_unique()
        parts = (f"{figures[part]:13.2%}" for part in PARTS)
        head = f"{name:22}{figures['annual_return']:8.2%}{figures['volatility']:7.2%}{figures['max_drawdown']:8.2%}"
        print(head, *parts, f"{figures['calls']:6.0f}{figures['transfers']:10.0f}{rolls:6}")


def pack_tables(lake: Lake) -> dict[str, pl.DataFrame]:
    """The pack from a quarter before the futures on; its prices hold the dividends."""
    tables = {name: lake.read(name) for name in ("securities", "members", "index_bars", "futures_bars", "calendar")}
    tables["bars"] = lake.read("bars", start=date(2015, 1, 5))
    return tables | {"dividends": pl.DataFrame(schema={"symbol": pl.String, "ex_date": pl.Date})}


def on_the_pack(lake: Lake) -> None:
    """Part 1."""
    tables = pack_tables(lake)
    here = ground(tables, lake.price_basis, *SPAN, k=100)
    free_D = sellable(here.long, here.market)
    print(f"\nThe pack's dominant IC series, {SPAN[0]} to {SPAN[1]}; parts of mean equity a year")
    given = {"calendar": here.calendar, "sellable_D": free_D}
    found = [(name, neutralise(here.long, here.futures_bars, here.index_bars, neutral=neutral, **given)) for name, neutral in PACK.items()]
    tell(found)
    print(*(f"- {remark}" for remark in found[0][1].remarks), sep="\n")
    own_D = here.index_D[here.market.axes.index(SPAN[0]) :][: len(here.long.dates)]
    with pl.Config(tbl_cols=12, tbl_width_chars=200, tbl_rows=40, fmt_str_lengths=60, tbl_hide_dataframe_shape=True):
        print("\nLong book", windows(here.long.dates, here.long.returns_D, own_D))
        print("Hedged", windows(found[0][1].dates, found[0][1].returns_D, np.zeros_like(own_D)))
        print("Shocks on the last session", shocked(here.long, here.market, here.index_D, hedge=found[0][1]))
        print("The guard over the long book of the whole pack", guarded(here, tables))


def guarded(here: Ground, tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """What the guard would have done in each window."""
    long = ground(tables, "adjusted", SPAN[0], None, k=100).long
    weight_DN = np.zeros(here.market.axes.shape)
    first = here.market.axes.index(SPAN[0])
    weight_DN[first : first + len(long.dates)] = long.shares_DN * np.nan_to_num(long.price_DN) / long.nav_D[:, None]
    sight = Sight(here.market, here.index_D, here.member_DN, {"Amount": np.log(np.where(here.market.amount_DN > 0, here.market.amount_DN, np.nan))})
    rows = []
    for name, (start, end) in WINDOWS.items():
        if end > here.market.axes.dates[-1]:
            continue
        seen = replay(weight_DN, sight, Guard(), start, end)
        cuts = {"gross": seen["gross"].mean(), "gross_cut": (seen["gross"] < 1).mean(), "active": seen["active"].mean()}
        measures = {column: seen[column].mean() for column in ("volatility", "limit_down", "tracking", "exposure", "crowding")}
        rows.append({"window": name, **measures, **cuts, "active_cut": (seen["active"] < 1).mean()})
    return pl.DataFrame(rows)


def on_a_curve() -> None:
    """Part 2."""
    settings = SimulationSettings(stocks=240, members=120, years=6, end=date(2026, 7, 31), alpha=(), news=0.0)
    made = simulate_market(settings)
    here = ground(made.tables, "raw", None, None, k=60)
    print(f"\nA simulated market of {settings.members} members over {settings.years} years without alpha; parts of mean equity a year")
    tell(
        [
            (name, neutralise(here.long, here.futures_bars, here.index_bars, neutral=neutral, calendar=here.calendar))
            for name, neutral in CURVE.items()
        ]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", help="the pack, imported")
    chosen = parser.parse_args().lake
    on_a_curve()
    if chosen:
        on_the_pack(open_lake(chosen))
    else:
        with tempfile.TemporaryDirectory() as folder:
            import_folder(Lake(folder), Path(os.environ["KESTREL_DATA_PACK"]), Path(__file__).parent.parent / "examples" / "pack.toml")
            on_the_pack(open_lake(folder))
