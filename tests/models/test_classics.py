from datetime import date

import numpy as np
import pytest
from pydantic import ValidationError

from data.panel import Axes
from models.classics import FiveFactors, FiveFactorsSettings
from models.dataset import Dataset

NAN = np.nan


def one_session(names: tuple[str, ...], x_NF: list[list[float]], present_N: list[bool]) -> Dataset:
    axes = Axes((date(2020, 1, 2),), tuple(f"60000{n}.SH" for n in range(len(x_NF))))
    shape = (1, len(x_NF))
    return Dataset(
        axes, names, np.array([x_NF], dtype=np.float32), np.array([present_N]), np.full((*shape, 1), NAN, np.float32), (5,), np.zeros(shape, bool)
    )


def test_the_score_is_the_mean_of_signed_ranks() -> None:
    model = FiveFactors(FiveFactorsSettings(factors=(("a", 1), ("b", -1))))
    data = one_session(("b", "a"), [[5, 1], [5, 2], [1, 3], [9, 9]], [True, True, True, False])
    # ranks of a: -1/3, 0, 1/3; of -b: -1/6, -1/6, 1/3
    assert model.score(data, np.array([0]))[0] == pytest.approx([-0.25, -1 / 12, 1 / 3, NAN], nan_ok=True)


def test_a_missing_factor_ranks_in_the_middle_and_no_factor_at_all_gives_no_score() -> None:
    model = FiveFactors(FiveFactorsSettings(factors=(("a", 1), ("b", 1))))
    data = one_session(("a", "b"), [[1, NAN], [2, NAN], [NAN, NAN]], [True, True, True])
    assert model.score(data, np.array([0]))[0] == pytest.approx([-0.125, 0.125, NAN], nan_ok=True)


def test_lists_of_toml_are_factors_and_a_sign_is_1_or_minus_1() -> None:
    assert FiveFactorsSettings.model_validate({"factors": [["a", -1]]}).factors == (("a", -1),)
    for wrong in ([["a", 2]], [["a"]], [], [["a", "1"]]):
        with pytest.raises(ValidationError):
            FiveFactorsSettings.model_validate({"factors": wrong})
