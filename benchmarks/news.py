"""What news foretells: a pooled event study of the pack's dated titles, and daily IC on simulated news as a share of the oracle's.

Titles 2016-2019 have a date without a time, so each belongs to the session after it and is entered at the open after that.  Their tone is that
of a student fitted, every quarter, on the titles of earlier days alone.

Run: KESTREL_DATA_PACK=... python -P benchmarks/news.py       Prints rows and writes benchmarks/results/news-DATE.json.
"""

import argparse
import json
import os
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data.panel import Axes
from data.simulator import SimulationSettings, simulate
from data.simulator.oracle import coefficients, recovered, standard_error
from factors.build import frames
from factors.panel import build_panel, known_sessions
from factors.registry import select
from models.sentiment.distil import TONES, WalkSettings, lessons, walk_forward
from models.sentiment.student.documents import document
from models.sentiment.student.linear import LinearSettings, LinearStudent
from models.sentiment.student.losses import labelled, taught
from models.sentiment.study import study
from pipelines.distil import NOBODY

PACK = Path(os.environ.get("KESTREL_DATA_PACK", Path(__file__).parents[2] / "shared" / "data"))
FEWEST = 10  # stocks with news below which a session's correlation says nothing
TONED = {"positive": (2 / 3, 1.01), "neutral": (1 / 3, 2 / 3), "negative": (-0.01, 1 / 3)}  # by the probability of good news
FACTORS = ["news_score", "news_level_1", "news_level_3", "news_surprise", "news_dispersion", "news_negative", "news_attention"]


def titles() -> pl.DataFrame:
    """(id, symbols, published_at, symbol, good): dated titles with the walk-forward student's probability of good news, null before its first fit."""
    frame = (
        pl.read_parquet(PACK / "news_titles_2016_2019.parquet").unique("title", keep="first", maintain_order=True).sort("date", maintain_order=True)
    )
    texts = [document(title, name=name) for title, name in zip(frame["title"], frame["name"], strict=True)]
    targets = labelled(frame["label"].cast(pl.Int64).to_numpy(), 2)
    p_NC = walk_forward(LinearStudent, frame["date"].dt.date().to_list(), texts, targets, WalkSettings(days=91))
    last_second = (pl.col("date").dt.truncate("1d") + pl.duration(hours=23, minutes=59, seconds=59)).dt.replace_time_zone("Asia/Shanghai")
    return frame.select(
        pl.int_range(pl.len()).cast(pl.String).alias("id"),
        pl.concat_list("code").alias("symbols"),
        last_second.alias("published_at"),
        pl.col("code").alias("symbol"),
        pl.Series("good", p_NC[:, 1]).fill_nan(None),
        "label",
    )


def pack_bars() -> pl.DataFrame:
    """The pack's adjusted bars of the titles' years, as far as the study reads them."""
    rows = pl.scan_parquet(PACK / "csi500_daily_qfq_200706_202008.parquet").filter(pl.col("date").cast(pl.Date) >= date(2016, 1, 1))
    trades = (pl.col("tradestatus") == 1).alias("is_trading")
    nothing = pl.lit(None, pl.Float64)
    shown = rows.select(pl.col("date").cast(pl.Date), pl.col("code").alias("symbol"), "open", trades, adj=1.0, limit_up=nothing, limit_down=nothing)
    return shown.sort("date", "symbol").collect()


def event_study() -> dict[str, Any]:
    """Effects by tone and by how many items a stock had that session, and the daily IC where enough stocks have news."""
    found, bars = titles(), pack_bars()
    axes = Axes(tuple(bars["date"].unique().sort().to_list()), tuple(bars["symbol"].unique().sort().to_list()))
    known = known_sessions(found, axes).join(found.select("id", "symbol", "good", "label"), on="id").filter(pl.col("symbol").is_in(axes.symbols))
    scored = known.filter(pl.col("good").is_not_null())
    items = scored.group_by("date", "symbol").agg(pl.col("good").mean(), pl.len().alias("items")).sort("date", "symbol")
    tone = pl.coalesce(pl.when(pl.col("good").is_between(low, high, closed="left")).then(pl.lit(name)) for name, (low, high) in TONED.items())
    busy = pl.when(pl.col("items") > 1).then(pl.lit("2 items or more")).otherwise(pl.lit("1 item"))
    effects = [asdict(effect) for group in (tone, busy) for effect in study(items.with_columns(group.alias("group")), bars, axes)]
    right = scored.select(((pl.col("good") > 0.5) == (pl.col("label") == 1)).mean()).item()
    daily = coefficients(items.rename({"good": "expected"}), bars, horizon=2).filter(pl.col("stocks") >= FEWEST)
    ic = {"sessions": daily.height, "ic": daily["ic"].mean(), "error": standard_error(daily["ic"].to_numpy(), 8) if daily.height > 1 else None}
    facts = {"titles": found.height, "on stocks of the pack": known.height, "scored": scored.height, "sessions": items["date"].n_unique()}
    return {**facts, "walk-forward accuracy": right, "effects": effects, "daily_ic_2": ic}


def simulated(stocks: int, years: int, seed: int) -> list[dict[str, Any]]:
    """The IC of each news factor over 1, 2 and 5 sessions on a simulated market, tone by a student of the first half, beside the planted news'.

    The student learns from the noisy reader's probabilities on the first half of the sessions; all figures are of the second.
    """
    market = simulate(SimulationSettings(stocks=stocks, years=years, seed=seed, members=int(stocks * 0.6)))
    tables = {name: market.tables[name] for name in ("calendar", "bars", "news", "news_scores")}
    half = tables["bars"]["date"].unique().sort().to_list()[tables["bars"]["date"].n_unique() // 2]
    rows = lessons(tables["news"], tables["news_scores"], NOBODY)
    early = rows.filter(pl.col("published_at").dt.date() < half)
    student = LinearStudent(LinearSettings(strengths=(10.0,)))
    student.fit(early["text"].to_list(), taught(early.select(TONES).to_numpy()))
    pieces = tables["news"].select("id", "title", pl.col("symbols").alias("symbol")).explode("symbol")
    p_NC = student.predict(pieces["title"].to_list())
    read = pieces.select("id", "symbol", pl.lit("student").alias("scorer"), pl.Series("score", p_NC[:, 2] - p_NC[:, 0]))
    found = []
    for scorer, scores in (("student", read), ("teacher", tables["news_scores"])):
        built = pl.concat(frames(select(FACTORS), build_panel({**tables, "news_scores": scores}))).filter(pl.col("date") >= half)
        long = built.unpivot(FACTORS, index=["date", "symbol"], variable_name="model", value_name="score").drop_nulls()
        planted = market.oracle.select("date", "symbol", pl.lit("planted news").alias("model"), pl.col("news").alias("score"))
        parts = [long, planted.filter(pl.col("date") >= half)] if scorer == "student" else [long]
        oracle = market.oracle.with_columns(pl.col("news").alias("expected"))
        for horizon in (1, 2, 5):
            shares = recovered(pl.concat([part.cast({"score": pl.Float64}) for part in parts]), oracle, tables["bars"], horizon=horizon)
            kept = ("model", "sessions", "stocks", "ic", "ic_se", "oracle_ic", "share_ic", "share_ic_se")
            found += [{"tone by": scorer, "horizon": horizon, **row} for row in shares.select(kept).to_dicts()]
    return found


def main() -> None:
    """Measure, print, keep."""
    options = argparse.ArgumentParser()
    options.add_argument("--stocks", type=int, default=400)
    options.add_argument("--years", type=int, default=4)
    options.add_argument("--seed", type=int, default=7)
    asked = options.parse_args()
    found: dict[str, Any] = {"pack": event_study() if PACK.is_dir() else None, "simulated": simulated(asked.stocks, asked.years, asked.seed)}
    for row in [*(found["pack"]["effects"] if found["pack"] else []), *found["simulated"]]:
        print(json.dumps(row))
    print(json.dumps({name: value for name, value in (found["pack"] or {}).items() if name != "effects"}))
    results = Path(__file__).parent / "results" / f"news-{date.today().isoformat()}.json"
    results.write_text(json.dumps({**vars(asked), "load": os.getloadavg()[0], "numpy": np.__version__, **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
