import numpy as np
import polars as pl

from data.tables import Scores
from factors.judge import daily_rank_ic
from models.dataset import Dataset
from models.folds import Fold
from models.ridge import Ridge
from models.walk import correlations, judged, run, scores


def test_scores_become_a_table_with_the_best_first_and_ties_by_symbol(planted: Dataset) -> None:
    score_SN = np.full((2, 60), np.nan, dtype=np.float32)
    score_SN[0, [3, 5, 9]] = [0.5, 2.0, 0.5]
    table = scores(score_SN, planted.axes, np.array([4, 7]), "ridge")
    Scores.validate(table)
    assert table.height == 3
    assert table["symbol"].to_list() == ["600003.SH", "600005.SH", "600009.SH"]
    assert table["rank"].to_list() == [2, 1, 3]
    assert table["date"].unique().to_list() == [planted.axes.dates[4]]


def test_no_score_at_all_is_an_empty_table_of_the_same_columns(planted: Dataset) -> None:
    empty = scores(np.full((1, 60), np.nan, dtype=np.float32), planted.axes, np.array([0]), "ridge")
    Scores.validate(empty)
    assert empty.height == 0


def test_the_table_of_a_walk_is_sorted_and_complete(planted: Dataset, fold: Fold) -> None:
    table = scores(run(planted, fold, Ridge(), seed=0), planted.axes, fold.test, "ridge")
    assert table.height == planted.present_DN[fold.test].sum()
    assert table.equals(table.sort("date", "symbol"))
    best = table.filter(pl.col("rank") == 1)
    assert best.height == len(fold.test)
    assert (best["score"] == table.group_by("date", maintain_order=True).agg(pl.col("score").max())["score"]).all()


def test_scores_are_judged_over_every_present_stock_tradable_or_not(planted: Dataset, fold: Fold) -> None:
    score_SN = run(planted, fold, Ridge(), seed=0)
    _, rank_ic_S = correlations(planted, fold.test, score_SN, 5)
    by_hand = daily_rank_ic(score_SN, np.where(planted.present_DN, planted.label(5), np.nan)[fold.test])
    assert np.array_equal(rank_ic_S, by_hand)


def test_labels_shifted_by_a_session_are_caught(planted: Dataset, fold: Fold) -> None:
    score_SN = run(planted, fold, Ridge(), seed=0)
    shifted = judged(planted, fold.test + 1, score_SN, 5)
    assert abs(shifted.rank_ic) < 3 / (55 * shifted.days) ** 0.5
    assert judged(planted, fold.test, score_SN, 5).rank_ic > 10 * abs(shifted.rank_ic)
