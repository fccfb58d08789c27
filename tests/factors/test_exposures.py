"""Likeness to other factors and tilts to industries, against plain references."""

import numpy as np
import pytest

from factors.exposures import industry_tilts, mean_correlations, ranked
from factors.ranks import centred_ranks

NAN = np.nan


def test_correlations_are_the_mean_of_those_of_numpy_over_common_stocks() -> None:
    rng = np.random.default_rng(0)
    panels = {name: np.where(rng.random((3, 40)) < 0.2, NAN, rng.normal(size=(3, 40))) for name in "abcd"}
    ranks = np.stack([centred_ranks(panel) for panel in panels.values()], axis=1)
    found = mean_correlations(ranked({name: panels[name] for name in "ab"}), ranked(panels))
    for a in range(2):
        for b in range(4):
            daily = []
            for s in range(3):
                both = np.isfinite(ranks[s, a]) & np.isfinite(ranks[s, b])
                daily.append(np.corrcoef(ranks[s, a, both], ranks[s, b, both])[0, 1])
            assert found[a, b] == pytest.approx(np.mean(daily), abs=1e-6)
    assert found[0, 0] == pytest.approx(1)


def test_without_enough_pairs_or_without_spread_there_is_no_correlation() -> None:
    few, two = np.full((1, 20), NAN), np.where(np.arange(20) < 10, 1.0, 2.0)[None, :]
    few[0, :9] = np.arange(9)
    some, half = ranked({"some": np.arange(20.0)[None, :]}), np.where(np.arange(20) < 10, np.arange(20.0), NAN)[None, :]
    assert np.isnan(mean_correlations(ranked({"few": few, "flat": np.ones((1, 20))}), some)).all()
    assert np.isnan(mean_correlations(ranked({"two": two}), ranked({"half": half}))).all()  # flat where both are known


def test_an_industry_on_top_has_a_high_mean_rank_and_a_large_share_of_the_variance() -> None:
    ranks = centred_ranks(np.arange(20.0)[None, :])
    groups = np.array([[0] * 10 + [1] * 10])
    tilt, share = industry_tilts(ranks, groups, 3)
    assert tilt[:2] == pytest.approx(np.array([-0.25, 0.25]) * 12**0.5)
    assert np.isnan(tilt[2])
    assert share == pytest.approx(0.0625 / ranks.var())


def test_an_industry_of_a_few_stocks_is_not_told_of() -> None:
    ranks = centred_ranks(np.arange(20.0)[None, :])
    tilt, _ = industry_tilts(ranks, np.array([[0] * 4 + [1] * 16]), 2)
    assert np.isfinite(tilt).tolist() == [False, True]


def test_unknown_industries_and_values_are_left_out() -> None:
    ranks = centred_ranks(np.random.default_rng(2).normal(size=(2, 30)))
    groups = np.random.default_rng(3).integers(0, 3, (2, 30))
    ranks[:, 25:], groups[:, 20:25] = NAN, -1
    whole = industry_tilts(ranks, groups, 3)
    part = industry_tilts(ranks[:, :20], groups[:, :20], 3)
    assert whole[0] == pytest.approx(part[0], nan_ok=True)
    assert np.isfinite(part[0]).sum() == 2
    assert whole[1] == pytest.approx(part[1])
    assert np.isnan(industry_tilts(ranks[:, :5], groups[:, :5], 3)[0]).all()
