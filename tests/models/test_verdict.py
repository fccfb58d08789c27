"""The verdict's arithmetic against hand-made series."""

import numpy as np
import pytest

from models.verdict import by_third, exposures, market_states, paired, pooled, replaced, thirds


def test_every_model_but_the_rival_is_paired_with_it_date_by_date() -> None:
    rng = np.random.default_rng(0)
    luck = rng.normal(size=400)
    found = paired({"rival": luck, "better": luck + 0.1, "equal": luck + 0.05 * rng.normal(size=400)}, "rival")
    assert set(found) == {"better", "equal"}
    assert (found["better"].low, found["better"].high) == pytest.approx((0.1, 0.1))
    assert not found["equal"].excludes_zero


def test_the_markets_state_is_that_of_the_sessions_up_to_its_close() -> None:
    market_D = np.r_[np.full(20, 0.01), np.full(20, -0.02)]
    states = market_states(market_D)
    assert np.isnan(states["return"][:19]).all()
    assert states["return"][19] == pytest.approx(1.01**20 - 1)
    assert states["volatility"][19] == pytest.approx(0)
    assert states["return"][39] == pytest.approx(0.98**20 - 1)
    changed = market_states(np.r_[market_D[:30], np.full(10, 9.0)])
    for name, state_D in states.items():
        assert np.array_equal(changed[name][:30], state_D[:30], equal_nan=True)


def test_thirds_split_the_known_sessions_evenly() -> None:
    state_S = np.r_[np.nan, np.arange(9.0)]
    found = thirds(state_S)
    assert [inside_S.sum() for inside_S in found.values()] == [3, 3, 3]
    assert not any(inside_S[0] for inside_S in found.values())
    assert np.flatnonzero(found["low"]).tolist() == [1, 2, 3]
    rows = by_third({"return": state_S}, np.arange(10.0), np.arange(10.0))
    assert [(row["state"], row["third"], row["days"], row["rank_ic"]) for row in rows] == [
        ("return", "low", 3, 2.0), ("return", "middle", 3, 5.0), ("return", "high", 3, 8.0),
    ]  # fmt: skip
    assert not thirds(np.full(4, np.nan))["low"].any()


def test_what_is_replaced_among_the_best_is_counted() -> None:
    score_SN = np.array([[4.0, 3, 2, 1], [4, 1, 3, 2], [1, 2, 3, 4]])
    assert replaced(score_SN, best=2) == pytest.approx((0.5 + 0.5) / 2)
    assert replaced(score_SN, best=2, lag=2) == 1
    assert replaced(score_SN[:1], best=2) != replaced(score_SN[:1], best=2)
    assert replaced(np.where(score_SN > 3, score_SN, np.nan), best=2) == pytest.approx(0.5)  # sessions with one score each


def test_scores_made_of_a_style_are_told_so() -> None:
    rng = np.random.default_rng(0)
    style_SN, other_SN = rng.normal(size=(2, 40, 300))
    found = exposures(style_SN**3, {"same": style_SN, "opposite": -style_SN, "unlike": other_SN})
    assert found["same"] == pytest.approx(1, abs=1e-3)
    assert found["opposite"] == pytest.approx(-1, abs=1e-3)
    assert abs(found["unlike"]) < 0.05
    assert exposures(style_SN, {}) == {}


def test_errors_over_markets_count_sessions_and_markets() -> None:
    rng = np.random.default_rng(1)
    alike = pooled(list(rng.normal(0.1, 1, size=(6, 900))), lags=5)
    assert alike.within == pytest.approx(1 / np.sqrt(5400), rel=0.2)
    assert abs(alike.mean - 0.1) < 3 * alike.error
    apart = pooled([np.full(900, level) + 0.01 * rng.normal(size=900) for level in (0.0, 0.1, 0.2)], lags=5)
    assert apart.error == apart.between == pytest.approx(0.1 / np.sqrt(3), rel=0.01)
    assert pooled([np.r_[np.nan, 1.0, 2.0]], lags=1).mean == 1.5
