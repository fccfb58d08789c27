import numpy as np
import pytest
from pydantic import BaseModel

from factors.judge import mean_rank_ic
from models.dataset import Dataset
from models.folds import Fold
from models.trees import Trees, TreeSettings, bin_rows

SMALL = TreeSettings(rounds=12, patience=12, leaves=6, leaf_rows=50, threads=1)


def test_rows_binned_once_teach_every_label_as_if_binned_for_it(planted: Dataset, fold: Fold, small: dict[str, BaseModel]) -> None:
    binned = bin_rows(planted, fold.train, fold.valid, SMALL)
    for label in ("grades", "z_score", "rank_gauss"):
        shared, own = (Trees(SMALL.model_copy(update={"label": label})) for _ in range(2))
        shared.grow(binned, seed=4)
        own.fit(planted, fold.train, fold.valid, seed=4)
        assert shared.booster.model_to_string() == own.booster.model_to_string()


def test_seeds_grown_on_the_same_bins_are_what_each_is_alone(planted: Dataset, fold: Fold) -> None:
    together = {seed: Trees(SMALL) for seed in (1, 2)}
    Trees.fit_seeds(together, planted, fold.train, fold.valid)
    for seed, trees in together.items():
        alone = Trees(SMALL)
        alone.fit(planted, fold.train, fold.valid, seed=seed)
        assert trees.booster.model_to_string() == alone.booster.model_to_string()


def test_another_seed_grows_other_trees(planted: Dataset, fold: Fold) -> None:
    binned = bin_rows(planted, fold.train, fold.valid, SMALL)
    one, two = Trees(SMALL), Trees(SMALL)
    one.grow(binned, seed=1)
    two.grow(binned, seed=2)
    assert one.booster.model_to_string() != two.booster.model_to_string()


def test_growth_stops_where_the_validation_rank_ic_is_best(planted: Dataset, fold: Fold) -> None:
    model = Trees(SMALL.model_copy(update={"rounds": 200, "patience": 5}))
    model.fit(planted, fold.train, fold.valid, seed=0)
    best = int(np.argmax(model.rank_ics))
    assert model.rounds == best + 1
    assert len(model.rank_ics) == best + 6
    judged = mean_rank_ic(model.score(planted, fold.valid), planted.loss_label(5)[fold.valid])
    assert judged == pytest.approx(model.rank_ics[best], abs=1e-6)


@pytest.mark.parametrize("threads", [2])
def test_the_number_of_threads_does_not_reach_the_scores(planted: Dataset, fold: Fold, threads: int) -> None:
    one, many = Trees(SMALL), Trees(SMALL.model_copy(update={"threads": threads}))
    for model in (one, many):
        model.fit(planted, fold.train, fold.valid, seed=0)
    assert one.score(planted, fold.test).tobytes() == many.score(planted, fold.test).tobytes()


def test_inputs_ranked_by_session_ignore_the_level_of_a_session(planted: Dataset, fold: Fold) -> None:
    model = Trees(SMALL.model_copy(update={"inputs": "rank_gauss"}))
    model.fit(planted, fold.train, fold.valid, seed=0)
    before = model.score(planted, fold.test[:2])
    lifted = Dataset(planted.axes, planted.names, planted.x_DNF * 4, planted.present_DN, planted.y_DNH, planted.horizons, planted.entry_DN)
    assert model.score(lifted, fold.test[:2]).tobytes() == before.tobytes()
    assert mean_rank_ic(model.score(planted, fold.test), planted.label(5)[fold.test]) > 0.15


def test_rows_binned_for_another_horizon_are_refused(planted: Dataset, fold: Fold) -> None:
    binned = bin_rows(planted, fold.train, fold.valid, SMALL)
    with pytest.raises(ValueError, match="can't teach"):
        Trees(SMALL.model_copy(update={"horizon": 1})).grow(binned, seed=0)


def test_unfitted_trees_score_nothing(planted: Dataset) -> None:
    with pytest.raises(ValueError, match="neither fitted nor loaded"):
        Trees().score(planted, np.arange(1))


def test_progress_is_told_round_by_round(planted: Dataset, fold: Fold) -> None:
    told: list[str] = []

    def track(items, label):  # type: ignore[no-untyped-def]
        for item in items:
            told.append(label)
            yield item

    Trees(SMALL).fit(planted, fold.train, fold.valid, seed=0, track=track)
    assert told == ["lightgbm_rank: rounds"] * 12
