"""What models recover of a planted alpha, kind by kind, on simulated markets of seeds that nothing was developed on.

Run: make results-known       Works in results/known, goes on where it was stopped, writes its part of docs/ranker.md and a JSON.

Every model reads the same: the factors of the library and the state of the market.  The ranker takes its gauges of the market by itself;
trees get them as columns that are the same for all stocks of a session; to ridge, which learns within sessions, such columns say nothing.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from data.ingest import write_tables
from data.lake import Lake
from data.progress import Counted
from data.simulator import SimulationSettings, simulate
from data.simulator.oracle import BARS, LAGS, coefficients
from models.dataset import Dataset
from models.folds import Fold, folds
from models.ranker.market import calibrate
from models.ranker.settings import MarketSettings, RankerSettings
from models.registry import create
from models.ridge import RidgeSettings
from models.trees import TreeSettings
from models.verdict import Pooled, pooled
from models.walk import run, scores
from pipelines.build import build_factors
from pipelines.config import Config, parse
from pipelines.console import Bars, say
from pipelines.markdown import insert, signed, table
from pipelines.prepare import dataset_of, digest
from pipelines.runs import write_frame
from pipelines.scale import ScaleSettings, spread

HOME, WORK = Path(__file__).parents[1], Path("results/known")
DOC = HOME / "docs" / "ranker.md"
SEEDS = (1009, 2027, 3041, 4057, 5077)  # of no test, no document and no calibration
KINDS = {"linear": "linear", "nonlinear": "nonlinear", "leadlag": "cross-sectional", "regime": "regime-switching", "none": "nothing planted"}
END_OF_MARKET = date(2025, 12, 31)
WALK = {"train_years": 3, "valid_years": 1, "refit_months": "never", "every": 2}  # tested on all that follows
SETTINGS = {
    "ridge": RidgeSettings(),
    "lightgbm_rank": TreeSettings(rounds=300, patience=30, threads=1),
    "ranker": RankerSettings(lookback=5, epochs=6, dropout=0.4, decay=0.5, rate=1e-3, threads=1),  # chosen on a market of another seed
}
NAMES = {"ridge": "ridge", "lightgbm_rank": "LightGBM, rank labels", "ranker": "ranker"}
HORIZON = 5
Daily = dict[str, np.ndarray]  # {model, or "oracle": IC [S]}


class Market(NamedTuple):
    """One simulated market, and where the daily correlations found in it are kept."""

    kind: str
    seed: int
    stocks: int
    years: int
    folder: str

    @property
    def file(self) -> Path:
        """Its correlations, for these settings alone."""
        of = {"walk": WALK, **{name: settings.model_dump(mode="json") for name, settings in SETTINGS.items()}}
        return Path(self.folder) / f"{self.kind}-{self.seed}-{self.stocks}-{self.years}-{digest(of)}.parquet"


def main() -> None:
    """Simulate, fit, correlate, pool, write."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--stocks", type=int, default=500)
    options.add_argument("--years", type=int, default=7)
    options.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    options.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    options.add_argument("--doc", type=Path, default=DOC)
    chosen = options.parse_args()
    began = time.monotonic()
    markets = [Market(kind, seed, chosen.stocks, chosen.years, str(WORK)) for seed in chosen.seeds for kind in chosen.kinds]
    todo = [market for market in markets if not market.file.is_file()]
    for _ in Bars()(Counted(spread(study, todo, ScaleSettings(on="processes", workers=2), ahead=len(todo) + 1), len(todo)), "markets"):
        pass
    found = {kind: judged([daily(market) for market in markets if market.kind == kind]) for kind in chosen.kinds}
    size = f"{chosen.stocks} stocks, {chosen.years} years, seeds {', '.join(map(str, chosen.seeds))}"
    text = document(found, size)
    insert(chosen.doc, "make results-known", text)
    kept = (HOME / "benchmarks" / "results" if chosen.doc == DOC else chosen.doc.parent) / f"ranker_known-{date.today().isoformat()}.json"
    kept.write_text(json.dumps({"date": date.today().isoformat(), "markets": size, "kinds": found}, indent=1) + "\n", encoding="utf-8")
    print(text)
    say(f"{chosen.doc} and {kept}, {(time.monotonic() - began) / 60:.0f} minutes")


def study(market: Market) -> None:
    """Make the market, fit every model on it, and keep the daily correlations of their scores, and of the oracle, with what followed."""
    members = int(market.stocks * 0.6)
    wanted = {"seed": market.seed, "stocks": market.stocks, "years": market.years, "members": members, "end": END_OF_MARKET}
    made = simulate(SimulationSettings.model_validate({**wanted, "alpha": market.kind}))
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder) / "lake")
        write_tables(lake, dict(made.tables), "raw", {})
        config: Config = parse({"lake": lake.uri, "walk": WALK, "universe": {"members": "all"}}, "the market's config")
        build_factors(lake, config)
        dataset, bars = dataset_of(lake, config), lake.read("bars", columns=list(BARS))
    (fold,) = folds(dataset.axes, config.walk, reach=config.labels.reach)
    frames = [correlated(dataset, fold, name, made.oracle, bars) for name in SETTINGS]
    oracle = frames[0].select("date", pl.lit("oracle").alias("model"), pl.col("oracle").alias("ic"))
    write_frame(market.file, pl.concat([oracle, *(frame.select("date", "model", "ic") for frame in frames)]))


def correlated(dataset: Dataset, fold: Fold, name: str, oracle: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """(date, model, ic, oracle): one model's correlations on the test sessions, and the oracle's on the same rows; 0 where scores don't vary."""
    read = with_gauges(dataset, fold) if name == "lightgbm_rank" else dataset
    score_SN = run(read, fold, create(name, {name: SETTINGS[name]}), seed=0)
    rows = scores(score_SN, dataset.axes, fold.test, name).join(oracle.select("date", "symbol", "expected"), on=["date", "symbol"])
    ours = coefficients(rows, bars, column="score", horizon=HORIZON).select("date", "ic")
    theirs = coefficients(rows, bars, column="expected", horizon=HORIZON).select("date", pl.col("ic").alias("oracle"))
    days = rows.join(bars.filter("is_trading").select("date").unique(), on="date").select(pl.col("date").unique().sort())
    last = ours["date"].max()
    joined = days.filter(pl.col("date") <= last).join(ours, on="date", how="left").join(theirs, on="date", how="left")
    return joined.select("date", pl.lit(name).alias("model"), pl.col("ic", "oracle").fill_nan(None).fill_null(0.0))


def with_gauges(dataset: Dataset, fold: Fold) -> Dataset:
    """The dataset with the ranker's gauges of the market as factors, the same for all stocks of a session."""
    gauges = calibrate(dataset, fold.train, MarketSettings())
    sessions, stocks = dataset.axes.shape
    m_DM = gauges.read(dataset, np.arange(sessions))
    m_DNM = np.broadcast_to(m_DM[:, None, :], (sessions, stocks, gauges.count))
    names = tuple(f"market_{place}" for place in range(gauges.count))
    return replace(dataset, names=(*dataset.names, *names), x_DNF=np.concatenate([dataset.x_DNF, m_DNM], axis=2))


def daily(market: Market) -> Daily:
    """{model: IC by session}, all on the same sessions."""
    table = pl.read_parquet(market.file).pivot(on="model", index="date", values="ic").sort("date").drop_nulls()
    return {name: table[name].to_numpy() for name in ("oracle", *SETTINGS)}


def judged(markets: Sequence[Daily]) -> dict[str, Any]:
    """The oracle's IC, each model's with its share of it, and by how much the ranker is above each other; errors count sessions and markets."""
    lags = LAGS * HORIZON
    oracle = pooled([market["oracle"] for market in markets], lags=lags)
    found: dict[str, Any] = {"oracle_ic": oracle.mean, "models": {}, "gaps": {}}
    for name in SETTINGS:
        own = pooled([market[name] for market in markets], lags=lags)
        by_market = [pooled([market[name]], lags=lags) for market in markets]
        found["models"][name] = {
            "ic": own.mean, "within": own.within, "error": own.error,
            "by_market": [{"ic": one.mean, "within": one.within} for one in by_market], **share(markets, name, "oracle", lags),
        }  # fmt: skip
        if name != "ranker":
            gap = pooled([market["ranker"] - market[name] for market in markets], lags=lags)
            found["gaps"][name] = {**interval(gap), **share(markets, "ranker", name, lags)}
    return found


def share(markets: Sequence[Daily], name: str, of: str, lags: int) -> dict[str, float]:
    """What share of another's mean IC a model reaches, with its interval of 95 %; NaN where the other has none."""
    most = float(np.mean([market[of].mean() for market in markets]))
    if most <= 0:
        return dict.fromkeys(("share", "share_low", "share_high"), float("nan"))
    found = float(np.mean([market[name].mean() for market in markets])) / most
    error = pooled([market[name] - found * market[of] for market in markets], lags=lags).error / most
    return {"share": found, "share_low": found - 1.96 * error, "share_high": found + 1.96 * error}


def interval(found: Pooled) -> dict[str, float]:
    """A difference with its interval of 95 %."""
    return {"gap": found.mean, "low": found.mean - 1.96 * found.error, "high": found.mean + 1.96 * found.error}


def document(found: Mapping[str, Mapping[str, Any]], size: str) -> str:
    """The measured part of docs/ranker.md."""
    lines = []
    for kind, part in found.items():
        if kind == "none":
            continue
        known = part["models"].items()
        shares = {f"{NAMES[name]}: share": f"{row['share']:.2f} ({row['share_low']:.2f} … {row['share_high']:.2f})" for name, row in known}
        gap = part["gaps"]["lightgbm_rank"]
        over = f"{gap['gap']:+.4f} ({gap['low']:+.4f} … {gap['high']:+.4f})"
        relative = f"{gap['share'] - 1:+.0%} ({gap['share_low'] - 1:+.0%} … {gap['share_high'] - 1:+.0%})"
        relative = relative if np.isfinite(gap["share"]) else "LightGBM has none"
        apart = {"ranker less LightGBM": over, "in shares of LightGBM's IC": relative}
        lines.append({"planted": KINDS[kind], "oracle's IC": f"{part['oracle_ic']:.4f}", **shares, **apart})
    texts = [
        f"{size}; three years of training (every second session), one of validation, the rest tested without a refit; {HORIZON}-session IC. "
        "Intervals of 95 % count the overlap of sessions and the spread between markets, whichever is wider.",
        table(lines),
    ]
    if "none" in found:
        nothing = found["none"]["models"]
        told = [
            f"{NAMES[name]} {row['ic']:+.4f} (standard error {row['within']:.4f}, "
            f"{'within' if abs(row['ic']) < 3 * row['within'] else '**beyond**'} three of them; by market "
            f"{', '.join(format(one['ic'], '+.4f') for one in row['by_market'])})"
            for name, row in nothing.items()
        ]
        texts.append("Nothing planted, IC: " + "; ".join(told) + ".")
    return signed("\n\n".join(texts))


if __name__ == "__main__":
    main()
