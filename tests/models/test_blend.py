import numpy as np
import pytest

from models.blend import Blend, BlendSettings, weigh, z_blend
from models.classics import FiveFactors
from models.dataset import Dataset
from models.folds import Fold
from models.ridge import Ridge

NAN = np.float32(np.nan)


def row(*values: float) -> np.ndarray:
    return np.array([values], dtype=np.float32)


def test_scale_and_level_of_a_model_do_not_count() -> None:
    a, b = row(1, 2, 3, 4), row(2, 1, 4, 3)
    plain = z_blend({"a": a, "b": b}, {"a": 0.5, "b": 0.5})
    assert z_blend({"a": 100 * a + 7, "b": b}, {"a": 0.5, "b": 0.5}) == pytest.approx(plain, abs=1e-6)


def test_the_order_of_the_models_does_not_reach_the_last_bit() -> None:
    rng = np.random.default_rng(0)
    scores = {name: rng.normal(size=(3, 40)).astype(np.float32) for name in "abc"}
    weights = {"a": 0.2, "b": 0.5, "c": 0.3}
    assert z_blend(scores, weights).tobytes() == z_blend(dict(reversed(scores.items())), weights).tobytes()


def test_a_stock_that_one_model_lacks_counts_as_average_there_and_one_that_all_lack_has_no_score() -> None:
    blend = z_blend({"a": row(1, 3, NAN, NAN), "b": row(NAN, 2, 2, NAN), "c": row(NAN, NAN, NAN, 1)}, {"a": 0.5, "b": 0.5, "c": 0})
    assert blend[0] == pytest.approx([-0.5, 0.5, 0, NAN], nan_ok=True)


def test_weights_follow_the_rank_ic_and_none_is_negative() -> None:
    y = np.random.default_rng(0).normal(size=(5, 30)).astype(np.float32)
    assert weigh({"good": y, "bad": -y}, y) == {"good": 1.0, "bad": 0.0}
    assert weigh({"bad": -y, "worse": -y}, y) == {"bad": 0.5, "worse": 0.5}
    assert weigh({"flat": np.ones_like(y), "good": y}, y) == {"flat": 0.0, "good": 1.0}


def test_validation_weighs_the_members(planted: Dataset, fold: Fold) -> None:
    settings = BlendSettings(members=("ridge", "five_factors"), weights="rank_ic")
    blend = Blend([Ridge(), FiveFactors()], settings)
    assert blend.weights == {"ridge": 0.5, "five_factors": 0.5}
    blend.fit(planted, fold.train, fold.valid, seed=0)
    assert blend.weights["ridge"] > blend.weights["five_factors"] > 0
    assert sum(blend.weights.values()) == pytest.approx(1)
