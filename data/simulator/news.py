"""The tables news and news_scores, set from the wire: words for the planted tone, and a reader who gets it roughly right."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.simulator.titles import SOURCES, titles
from data.simulator.universe import Universe
from data.simulator.wire import Wire

Floats = NDArray[np.float64]

SCORER = "simulated"
MISREAD = 0.25  # noise of a score, and a piece in 20 read the wrong way round
WRONG_WAY = 0.05


def news(found: Wire, stocks: Universe, delisted: NDArray[np.datetime64], rng: np.random.Generator) -> tuple[pl.DataFrame, Floats]:
    """The news table, and each row's planted tone.  Nothing is written about a stock after its last session.  delisted: [N], NaT for never."""
    day = found.time.astype("datetime64[D]")
    gone = (delisted[found.stock] <= day) | ((found.second >= 0) & (delisted[found.second] <= day))
    kept = np.flatnonzero(~gone)
    names = np.array(stocks.names, dtype=object)
    stock, second = found.stock[kept], found.second[kept]
    codes = [stocks.symbols[place][:6] for place in stock]
    text = titles(found.template[kept], found.intensity[kept], names[stock].tolist(), codes, names[second].tolist(), rng)
    listed = pl.Series(stocks.symbols, dtype=pl.String)
    other = pl.Series(second).replace(-1, None)
    about = pl.DataFrame({"one": listed.gather(stock), "two": listed.gather(other)}).select(pl.concat_list("one", "two").list.drop_nulls())
    frame = pl.DataFrame(
        {
            "id": [f"sim{place:08d}" for place in range(len(kept))],
            "published_at": pl.Series(found.time[kept].astype("datetime64[us]")).dt.replace_time_zone("Asia/Shanghai"),
            "symbols": about.to_series(),
            "title": text,
            "body": pl.Series([None] * len(kept), dtype=pl.String),
            "source": np.array(SOURCES, dtype=object)[rng.integers(0, len(SOURCES), len(kept))].tolist(),
        }
    )
    return frame, found.tone[kept]


def news_scores(frame: pl.DataFrame, tone: Floats, rng: np.random.Generator) -> pl.DataFrame:
    """One score per piece and stock by a reader with noise: p_positive - p_negative = score in [-1, 1]."""
    count = frame.height
    sense = np.where(rng.random(count) < WRONG_WAY, -1.0, 1.0)
    score = np.clip(sense * tone + MISREAD * rng.standard_normal(count), -0.98, 0.98)
    neutral = (1 - np.abs(score)) * rng.uniform(0.3, 0.9, count)
    rest = 1 - neutral
    scored = frame.select("id", pl.col("symbols").alias("symbol")).with_columns(
        pl.lit(SCORER).alias("scorer"),
        pl.Series("p_negative", (rest - score) / 2),
        pl.Series("p_neutral", neutral),
        pl.Series("p_positive", (rest + score) / 2),
        pl.Series("score", score),
        pl.lit(None, dtype=pl.Int64).alias("tokens"),
        pl.lit(None, dtype=pl.Float64).alias("cost"),
    )
    return scored.explode("symbol").sort("id", "symbol", "scorer")
