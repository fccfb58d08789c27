from datetime import date

import numpy as np
import pytest

from backtest.exposures import CASH, UNKNOWN, active_share, active_style, exposures, group_weights, standardised

NAN = float("nan")
DAY = (date(2024, 3, 1),)
# Four stocks: the index holds the first three, the book the first, the third and one outside.
X = np.array([[1.0, 2.0, 3.0, 5.0]])
B = np.array([[0.5, 0.25, 0.25, 0.0]])
W = np.array([[0.4, 0.0, 0.3, 0.2]])


def test_values_become_deviations_of_the_members_and_are_clipped_at_three():
    z = standardised(np.array([[1.0, 2.0, 3.0, 9.0]]), B > 0)
    spread = np.sqrt(2 / 3)  # of 1, 2, 3 around their mean 2
    assert z[0] == pytest.approx([-1 / spread, 0, 1 / spread, 3.0])


def test_active_exposure_is_that_of_a_hand_computed_book():
    spread = np.sqrt(2 / 3)
    ours = (0.4 * -1 + 0.3 * 1 + 0.2 * 3 * spread) / 0.9 / spread  # the stock outside is at 3 / spread > 3 deviations: 3
    theirs = (0.5 * -1 + 0.25 * 0 + 0.25 * 1) / 1.0 / spread
    exposure, coverage = active_style(W, B, standardised(X, B > 0))
    assert exposure[0] == pytest.approx(0.9 * (ours - theirs))
    assert coverage[0] == pytest.approx(1.0)


def test_a_stock_without_a_value_is_left_out_and_lowers_the_coverage():
    x = np.array([[1.0, 2.0, NAN, 2.0]])
    z = standardised(x, B > 0)
    assert z[0] == pytest.approx([-1, 1, NAN, 1], nan_ok=True)  # of 1 and 2: mean 1.5, deviation 0.5
    exposure, coverage = active_style(W, B, z)
    assert coverage[0] == pytest.approx(0.6 / 0.9)
    assert exposure[0] == pytest.approx(0.9 * ((0.4 * -1 + 0.2 * 1) / 0.6 - (0.5 * -1 + 0.25 * 1) / 0.75))


def test_the_index_itself_and_a_book_of_cash_have_no_active_exposure():
    z = standardised(X, B > 0)
    assert active_style(B, B, z)[0][0] == pytest.approx(0)
    exposure, coverage = active_style(0 * W, B, z)
    assert exposure[0] == 0
    assert np.isnan(coverage[0])


def test_a_session_without_known_members_gives_nothing():
    exposure, _ = active_style(W, np.full_like(B, NAN), standardised(X, np.zeros_like(B, dtype=bool)))
    assert np.isnan(exposure[0])


def test_moving_or_stretching_a_style_leaves_its_exposure():
    z, other = standardised(X, B > 0), standardised(7 - 3 * X, B > 0)
    assert active_style(W, B, other)[0] == pytest.approx(-active_style(W, B, z)[0])


def test_weights_of_groups_add_up_with_the_unknown_last():
    groups = np.array([[1, 0, 1, -1]])
    assert group_weights(W, groups, 2)[0] == pytest.approx([0.0, 0.7, 0.2])


def test_active_weights_of_industries_and_cash_sum_to_nothing():
    found = exposures(DAY, W, B, {"Size": X}, groups_DN=np.array([[1, 0, 1, -1]]), groups=["banks", "steel", "coal"])
    assert found.industries == ("banks", "steel", UNKNOWN, CASH)  # nobody holds coal
    assert found.industry_DG[0] == pytest.approx([-0.25, -0.05, 0.2, 0.1])
    assert found.industry_DG.sum() == pytest.approx(0)
    assert found.coverage == {"Size": pytest.approx(1.0)}


def test_active_share_counts_cash():
    assert active_share(B, B)[0] == 0
    assert active_share(np.array([[0.0, 0.0, 0.0, 1.0]]), B)[0] == pytest.approx(1)
    assert active_share(W, B)[0] == pytest.approx((0.1 + 0.25 + 0.05 + 0.2 + 0.1) / 2)
