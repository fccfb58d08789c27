import numpy as np
import pytest

from backtest.attribution.section import section


def drawn(seed, stocks=40, styles=3):
    rng = np.random.default_rng(seed)
    b = rng.random(stocks) * (rng.random(stocks) > 0.3)
    return rng.normal(0, 0.02, stocks), b / b.sum(), rng.integers(0, 4, stocks), rng.normal(size=(styles, stocks))


def own(r, groups, z, found):
    """What the session leaves to each stock itself."""
    return r - found.market - found.group_G[groups] - z.T @ found.style_K


def test_members_own_returns_add_up_to_nothing_in_every_group_and_style():
    r, b, groups, z = drawn(1)
    found = section(r, b, groups, 5, z)
    left = own(r, groups, z, found) + b @ z.T @ found.style_K  # the index itself stands at its own exposure
    assert found.market == pytest.approx(b @ r)
    assert np.bincount(groups, b * left, 5) == pytest.approx(0, abs=1e-15)
    assert z @ (b * left) == pytest.approx(0, abs=1e-15)
    assert found.group_G[4] == 0  # nobody is in it


def test_weighted_least_squares_of_dummies_and_styles_give_the_same():
    r, b, groups, z = drawn(2)
    design = np.column_stack([np.eye(4)[groups], z.T]) * np.sqrt(b)[:, None]
    by_hand = np.linalg.lstsq(design, r * np.sqrt(b), rcond=None)[0]
    found = section(r, b, groups, 4, z)
    assert found.style_K == pytest.approx(by_hand[4:])
    assert np.diff(found.group_G) == pytest.approx(np.diff(by_hand[:4]))


def test_returns_made_of_styles_and_groups_alone_leave_nothing_to_the_stocks():
    _, b, groups, z = drawn(3)
    r = np.array([0.01, -0.01, 0.0, 0.03])[groups] + np.array([0.02, -0.01, 0.005]) @ z
    found = section(r, b, groups, 4, z)
    assert found.style_K == pytest.approx([0.02, -0.01, 0.005])
    active = np.random.default_rng(0).normal(size=40)
    active -= active.mean()
    assert active @ own(r, groups, z, found) == pytest.approx(0, abs=1e-12)


def test_style_that_tells_no_members_apart_earns_nothing():
    r, b, groups, z = drawn(4)
    z[0], z[2] = 1.5, z[1]  # a constant, and one style twice
    found = section(r, b, groups, 4, z)
    assert found.style_K[0] == pytest.approx(0, abs=1e-12)
    assert found.style_K[1] == pytest.approx(found.style_K[2])
    assert section(r, b, groups, 4, z[1:2]).style_K[0] == pytest.approx(found.style_K[1:].sum())
