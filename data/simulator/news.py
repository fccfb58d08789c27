"""The tables news and news_scores, set from the wire: words for the planted tone, and a reader who gets it roughly right."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.simulator.titles import SOURCES, TEMPLATES, titles
from data.simulator.universe import Universe
from data.simulator.wire import Wire

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Days = NDArray[np.datetime64]

SCORER = "simulated"
MISREAD = 0.25  # noise of a score, and a piece in 20 read the wrong way round
WRONG_WAY = 0.05


def news(found: Wire, stocks: Universe, delisted: Days, rng: np.random.Generator) -> pl.DataFrame:
    """The news table.  delisted: [N], NaT for never."""
    kept = published(found, delisted)
    names = np.array(stocks.names, dtype=object)
    stock, second = found.stock[kept], found.second[kept]
    codes = [stocks.symbols[place][:6] for place in stock]
    text = titles(found.template[kept], found.intensity[kept], names[stock].tolist(), codes, names[second].tolist(), rng)
    return pl.DataFrame(
        {
            "id": _ids(len(kept)),
            "published_at": pl.Series(found.time[kept].astype("datetime64[us]")).dt.replace_time_zone("Asia/Shanghai"),
            "symbols": _about(found, stocks, kept),
            "title": text,
            "body": pl.Series([None] * len(kept), dtype=pl.String),
            "source": np.array(SOURCES, dtype=object)[rng.integers(0, len(SOURCES), len(kept))].tolist(),
            "first_seen": pl.Series([None] * len(kept), dtype=pl.Datetime("us", "Asia/Shanghai")),  # as published
        }
    )


def news_scores(found: Wire, stocks: Universe, delisted: Days, rng: np.random.Generator) -> pl.DataFrame:
    """One score per piece and stock by a reader with noise: p_positive - p_negative = score in [-1, 1], and the event as it is."""
    kept = published(found, delisted)
    count = len(kept)
    sense = np.where(rng.random(count) < WRONG_WAY, -1.0, 1.0)
    score = np.clip(sense * found.tone[kept] + MISREAD * rng.standard_normal(count), -0.98, 0.98)
    neutral = (1 - np.abs(score)) * rng.uniform(0.3, 0.9, count)
    rest = 1 - neutral
    scored = pl.DataFrame(
        {
            "id": _ids(count),
            "symbol": _about(found, stocks, kept),
            "scorer": pl.repeat(SCORER, count, eager=True),
            "p_negative": (rest - score) / 2,
            "p_neutral": neutral,
            "p_positive": (rest + score) / 2,
            "score": score,
            "tokens": pl.repeat(None, count, dtype=pl.Int64, eager=True),
            "cost": pl.repeat(None, count, dtype=pl.Float64, eager=True),
            "event": pl.Series([template.event for template in TEMPLATES]).gather(found.template[kept]),
        }
    )
    return scored.explode("symbol").sort("id", "symbol", "scorer")


def published(found: Wire, delisted: Days) -> Ints:
    """Positions of the pieces that appear: nothing is written about a stock after its last session."""
    day = found.time.astype("datetime64[D]")
    gone = (delisted[found.stock] <= day) | ((found.second >= 0) & (delisted[found.second] <= day))
    return np.flatnonzero(~gone)


def _ids(count: int) -> list[str]:
    return [f"sim{place:08d}" for place in range(count)]


def _about(found: Wire, stocks: Universe, kept: Ints) -> pl.Series:
    """The symbols that each piece names, one or two."""
    listed = pl.Series(stocks.symbols, dtype=pl.String)
    other = pl.Series(found.second[kept]).replace(-1, None)
    both = pl.DataFrame({"one": listed.gather(found.stock[kept]), "two": listed.gather(other)})
    return both.select(pl.concat_list("one", "two").list.drop_nulls()).to_series()
