"""A small made-up market: factors, labels and masks with a linear signal planted in two of the factors."""

from collections.abc import Callable
from datetime import date, timedelta
from functools import cache

import numpy as np
import pytest
from pydantic import BaseModel

from data.panel import Axes
from models.classics import FiveFactorsSettings
from models.dataset import Dataset
from models.folds import Fold
from models.ranker.settings import RankerSettings
from models.ridge import RidgeSettings
from models.trees import TreeSettings

NAMES = ("reversal_20", "volatility_20", "turnover_abnormal", "amihud_20", "max_20", "noise_1", "noise_2")
MakeDataset = Callable[[float], Dataset]


@cache
def _planted(strength: float) -> Dataset:
    sessions, stocks = 320, 60
    rng = np.random.default_rng(7)
    days = [day for day in (date(2015, 1, 5) + timedelta(days=step) for step in range(2 * sessions)) if day.weekday() < 5]
    axes = Axes(tuple(days[:sessions]), tuple(f"{600000 + n}.SH" for n in range(stocks)))
    x_DNF = rng.normal(size=(sessions, stocks, len(NAMES))).astype(np.float32)
    signal_DN = strength * (x_DNF[..., 0] - x_DNF[..., 1]) / np.sqrt(2)
    noise_DNH = rng.standard_t(4, size=(sessions, stocks, 2))
    y_DNH = (0.02 * (signal_DN[..., None] + noise_DNH)).astype(np.float32)
    y_DNH[-6:] = np.nan
    x_DNF[rng.random(x_DNF.shape) < 0.03] = np.nan
    return Dataset(axes, NAMES, x_DNF, rng.random((sessions, stocks)) < 0.95, y_DNH, (1, 5), rng.random((sessions, stocks)) < 0.97)


@pytest.fixture(scope="session")
def make_dataset() -> MakeDataset:
    """Dataset by strength of the signal, in standard deviations of the noise before its tails."""
    return _planted


@pytest.fixture(scope="session")
def planted(make_dataset: MakeDataset) -> Dataset:
    return make_dataset(0.5)


@pytest.fixture(scope="session")
def fold() -> Fold:
    return Fold("2015", np.arange(0, 150), np.arange(160, 210), np.arange(220, 314))


def small_network(body: str) -> RankerSettings:
    shape = {"lookback": 1 if body == "mlp" else 3, "width": 16, "time_inner": 16, "experts": 0 if body == "ranker_dense" else 4, "expert_width": 8}
    return RankerSettings.model_validate({"body": body, **shape, "epochs": 2, "batch": 8, "rate": 8e-3})


@pytest.fixture(scope="session")
def small() -> dict[str, BaseModel]:
    """Settings of every model, small enough for a test."""
    trees = {"rounds": 40, "patience": 15, "leaves": 8, "leaf_rows": 50, "threads": 1}
    return {
        "ridge": RidgeSettings(),
        "lightgbm": TreeSettings.model_validate({**trees, "label": "z_score"}),
        "lightgbm_rank": TreeSettings.model_validate({**trees, "label": "rank_gauss"}),
        "lambdarank": TreeSettings.model_validate({**trees, "label": "grades"}),
        **{body: small_network(body) for body in ("ranker", "ranker_dense", "transformer", "gru", "mlp")},
        "five_factors": FiveFactorsSettings(),
    }
