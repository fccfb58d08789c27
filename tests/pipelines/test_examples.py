"""The arithmetic of the scripts whose figures stand in docs/ranker.md, on series whose answer is known."""

import sys
from datetime import date, timedelta
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from data.panel import Axes
from models.dataset import Dataset
from models.folds import Fold


@pytest.fixture(scope="module")
def known() -> ModuleType:
    """examples/ranker_known.py, imported."""
    spec = spec_from_file_location("ranker_known", Path(__file__).parents[2] / "examples" / "ranker_known.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["ranker_known"] = module
    spec.loader.exec_module(module)
    return module


def markets(ours: float, count: int = 5) -> list[dict[str, Any]]:
    """Markets whose oracle has an IC of .05; ridge and trees reach .02, the ranker `ours`."""
    rng = np.random.default_rng(0)
    noise = 0.05 * rng.normal(size=(count, 2, 600))
    return [
        {"oracle": 0.05 + own, "ridge": 0.02 + own + other / 10, "lightgbm_rank": 0.02 + own + other / 5, "ranker": ours + own}
        for own, other in noise
    ]  # fmt: skip


def test_a_models_share_is_that_of_its_mean_and_the_ranker_is_paired_with_the_others(known: ModuleType) -> None:
    found = known.judged(markets(0.04))
    assert found["oracle_ic"] == pytest.approx(0.05, abs=0.003)
    assert found["models"]["ranker"]["share"] == pytest.approx(0.8, abs=0.02)
    gap = found["gaps"]["lightgbm_rank"]
    assert gap["low"] < 0.02 < gap["high"]
    assert gap["low"] > 0.015  # what all share is no luck of the difference
    assert gap["share"] == pytest.approx(2, abs=0.15)
    text = known.document({"linear": found, "none": found}, "five markets")
    assert "| linear | 0.0" in text
    assert "**beyond** three of them" in text


def test_without_an_oracle_there_is_no_share(known: ModuleType) -> None:
    nothing = [{**market, "oracle": 0 * market["oracle"]} for market in markets(0.0)]
    found = known.judged(nothing)
    assert np.isnan(found["models"]["ridge"]["share"])
    assert "Nothing planted, IC: ridge +0.0" in known.document({"none": found}, "five markets")


def test_the_state_of_the_market_is_the_same_for_all_stocks_and_known_at_the_close(known: ModuleType) -> None:
    rng = np.random.default_rng(0)
    days = tuple(date(2020, 1, 1) + timedelta(days=step) for step in range(30))
    names = ("reversal_5", "volatility_20")
    x_DNF = rng.normal(size=(30, 12, 2)).astype(np.float32)
    there = np.ones((30, 12), bool)
    y_DNH = np.zeros((30, 12, 1), np.float32)
    dataset = Dataset(Axes(days, tuple("abcdefghijkl")), names, x_DNF, there, y_DNH, (5,), there)
    fold = Fold("one", np.arange(10), np.arange(12, 15), np.arange(16, 30))
    wide = known.with_gauges(dataset, fold)
    assert wide.names[:2] == names
    assert len(wide.names) > 2
    assert np.ptp(wide.x_DNF[..., 2:], axis=1).max() == 0
    later = x_DNF.copy()
    later[20:] = 9
    changed = known.with_gauges(Dataset(**{**dataset.__dict__, "x_DNF": later}), fold)
    assert np.array_equal(changed.x_DNF[:20], wide.x_DNF[:20])
