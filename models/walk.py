"""One walk-forward fit: learn from a fold's past, score its future.  The same dataset, fold, settings and seed give the same bytes."""

import numpy as np
import polars as pl

from data.panel import Axes
from data.progress import Track, silent
from factors.judge import Summary, daily_ic, daily_rank_ic, summary
from factors.ranks import Floats
from models.dataset import Dataset, Floats32, Sessions
from models.folds import Fold
from models.model import Model


def run(dataset: Dataset, fold: Fold, model: Model, *, seed: int, track: Track = silent) -> Floats32:
    """Fit the model in place on the fold and score its test sessions: score_SN, NaN for absent stocks."""
    model.fit(dataset, fold.train, fold.valid, seed=seed, track=track)
    return model.score(dataset, fold.test)


def scores(score_SN: Floats32, axes: Axes, sessions: Sessions, model: str) -> pl.DataFrame:
    """Scores of some sessions as the table `scores`: rank 1 is the best of its session, ties by symbol; no row without a score."""
    order_SN = np.argsort(np.where(np.isfinite(score_SN), -score_SN.astype(np.float64), np.inf), axis=1, kind="stable")
    rank_SN = np.argsort(order_SN, axis=1, kind="stable") + 1
    place_R, stock_R = np.nonzero(np.isfinite(score_SN))
    symbols = pl.Series(axes.symbols, dtype=pl.String)
    return pl.DataFrame(
        {
            "date": pl.Series(axes.days[sessions[place_R]]).cast(pl.Date),
            "symbol": symbols.gather(stock_R),
            "model": pl.repeat(model, len(place_R), dtype=pl.String, eager=True),
            "score": score_SN[place_R, stock_R].astype(np.float64),
            "rank": rank_SN[place_R, stock_R].astype(np.int32),
        }
    )


def correlations(dataset: Dataset, sessions: Sessions, score_SN: Floats32, horizon: int) -> tuple[Floats, Floats]:
    """(ic_S, rank_ic_S) of scores against the labels of one horizon, over every present stock, tradable or not."""
    y_SN = np.where(dataset.present_DN[sessions], dataset.label(horizon)[sessions], np.nan)
    return daily_ic(score_SN, y_SN), daily_rank_ic(score_SN, y_SN)


def judged(dataset: Dataset, sessions: Sessions, score_SN: Floats32, horizon: int) -> Summary:
    """IC, ICIR, RankIC and RankICIR of scores over those sessions."""
    return summary(*correlations(dataset, sessions, score_SN, horizon))
