"""Both risk models on markets whose covariance is known."""

from typing import Any

import numpy as np
import pytest

from backtest.risk.bias import bias, forecast
from backtest.risk.model import Risk
from backtest.risk.sections import explained, settled
from backtest.risk.statistical import StatisticalRisk, StatisticalRiskSettings, components
from backtest.risk.styles import StyleRisk, StyleRiskSettings
from data.errors import KestrelError

SESSIONS, STOCKS, GROUPS = 320, 80, 4
TRUE = {"market": 0.012, "industry": 0.006, "style": 0.004, "own": 0.02}


def world(seed: int = 0) -> dict[str, Any]:
    """Returns of one market factor, four industries and one style, with a constant covariance."""
    rng = np.random.default_rng(seed)
    groups = np.tile(np.arange(STOCKS) % GROUPS, (SESSIONS, 1))
    style = np.tile(rng.normal(size=STOCKS), (SESSIONS, 1))
    f = rng.normal(size=(SESSIONS, 2 + GROUPS)) * [TRUE["market"], TRUE["style"], *[TRUE["industry"]] * GROUPS]
    returns = f[:, :1] + f[:, 1:2] * style + f[:, 2:][:, groups[0]] + TRUE["own"] * rng.normal(size=(SESSIONS, STOCKS))
    return {
        "returns_DN": returns,
        "styles": {"Style": style},
        "cap_DN": np.exp(rng.normal(size=(1, STOCKS))) * np.ones((SESSIONS, 1)),
        "present_DN": np.ones((SESSIONS, STOCKS), dtype=bool),
        "groups_DN": groups,
        "groups": ["a", "b", "c", "d"],
    }


def test_factor_returns_are_those_that_made_the_returns() -> None:
    # Six stocks without noise: 2 % for all, 1 % more for the first industry, 0.5 % a deviation of the style.
    z = np.zeros((1, 2, 6))
    z[0, 0] = [1, -1, 0.5, 1, -1, -0.5]
    group = np.tile([0, 0, 0, 1, 1, 1], (2, 1))
    y = np.vstack([np.full(6, np.nan), 0.02 + 0.01 * (group[0] == 0) + 0.005 * z[0, 0]])
    found = explained(y, z, group, np.ones((2, 6)), np.ones((2, 6), dtype=bool), 3, 1e-9)
    assert found.f_DK[1, [0, 1, 2, 4]] == pytest.approx([0.025, 0.005, -0.005, 0.005], abs=1e-6)  # industries add up to nothing
    assert found.own_DN[1] == pytest.approx(np.zeros(6), abs=1e-6)
    assert np.isnan(found.f_DK[0]).all()


def test_a_thin_industry_leans_on_the_market() -> None:
    z = np.zeros((0, 2, 40))
    group = np.tile(np.where(np.arange(40) == 0, 0, 1), (2, 1))
    y = np.vstack([np.full(40, np.nan), np.where(np.arange(40) == 0, 0.10, 0.0)])
    caps, all_there = np.ones((2, 40)), np.ones((2, 40), dtype=bool)
    free, drawn_in = (explained(y, z, group, caps, all_there, 3, thin).f_DK[1, 1] for thin in (1e-9, 5.0))
    assert free == pytest.approx(0.10 * 39 / 40, rel=1e-3)
    assert 0.005 < drawn_in < 0.03  # one stock against five that moved with the market: about a sixth


def test_an_industry_stands_alone_from_the_session_on_that_it_is_large_enough() -> None:
    groups = np.array([[0, 0, 1, -1]] * 3)
    present = np.array([[True, False, True, True], [True, True, True, True], [True, False, True, True]])
    assert settled(groups, present, 2, 2).tolist() == [[2, 2, 2, 2], [0, 0, 2, 2], [0, 0, 2, 2]]


def test_the_style_model_finds_the_covariance_of_a_known_market() -> None:
    here = world()
    risk = StyleRisk(**here).at(SESSIONS - 1)
    pair, industry = np.zeros(STOCKS), np.where(here["groups_DN"][0] == 0, 4 / STOCKS, 0.0) - 1 / STOCKS
    pair[0], pair[4] = 1, -1
    spread = here["styles"]["Style"][0, 0] - here["styles"]["Style"][0, 4]
    true_pair = 2 * TRUE["own"] ** 2 + (spread * TRUE["style"]) ** 2
    true_industry = TRUE["industry"] ** 2 * (0.75**2 + 3 * 0.25**2)
    assert risk.variance(pair) == pytest.approx(true_pair, rel=0.35)
    assert risk.variance(industry) == pytest.approx(true_industry + TRUE["own"] ** 2 * (industry**2).sum(), rel=0.35)
    assert risk.factors == ("market", "a", "b", "c", "d", "Style")


def test_the_statistical_model_keeps_variances_and_finds_the_market() -> None:
    here = world()
    model = StatisticalRisk(here["returns_DN"], settings=StatisticalRiskSettings(window=300, halflife=120, correlation_halflife=120))
    risk = model.at(SESSIONS - 1)
    equal = np.full(STOCKS, 1 / STOCKS)
    true = TRUE["market"] ** 2 + TRUE["industry"] ** 2 / GROUPS + TRUE["own"] ** 2 / STOCKS
    assert risk.variance(equal) == pytest.approx(true, rel=0.35)
    assert (risk.specific_N > 0).all()
    one = np.eye(STOCKS)[3]
    assert risk.variance(one) == pytest.approx(model.variance_DN[-1, 3], rel=0.2)


def test_noise_has_no_components_and_a_strong_one_is_found() -> None:
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(200, 60))
    assert components(noise / np.sqrt((noise**2).sum(axis=0)), 200.0, 10).shape[1] <= 1
    common = noise + 2 * rng.normal(size=(200, 1))
    loading = components(common / np.sqrt((common**2).sum(axis=0)), 200.0, 10)
    assert (loading[:, 0] ** 2).mean() == pytest.approx(0.8, abs=0.1)  # 4 of 5 parts of the variance


@pytest.mark.parametrize("kind", [StyleRisk, StatisticalRisk])
def test_later_rows_change_no_forecast(kind: Any) -> None:
    here, day = world(), 200

    def model(poison: bool) -> Risk:
        spoilt = {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in here.items()}
        if poison:
            for name in ("returns_DN", "cap_DN"):
                spoilt[name][day + 1 :] = 9.9
            spoilt["present_DN"][day + 1 :, ::2] = False
            spoilt["groups_DN"][day + 1 :] = 0
            spoilt["styles"] = {"Style": np.vstack([here["styles"]["Style"][: day + 1], np.full((SESSIONS - day - 1, STOCKS), -7.0)])}
        return kind(**spoilt).at(day) if kind is StyleRisk else kind(spoilt["returns_DN"]).at(day)

    clean, poisoned = model(False), model(True)
    assert clean.factors == poisoned.factors
    for one, other in zip(clean[1:], poisoned[1:], strict=True):
        assert np.array_equal(one, other)


def test_permuting_stocks_permutes_the_risk() -> None:
    here, order = world(), np.random.default_rng(5).permutation(STOCKS)
    mixed = {name: value[:, order] if isinstance(value, np.ndarray) else value for name, value in here.items()}
    mixed["styles"] = {"Style": here["styles"]["Style"][:, order]}
    weights = np.random.default_rng(6).normal(size=STOCKS)
    straight, shuffled = StyleRisk(**here).at(300), StyleRisk(**mixed).at(300)
    assert shuffled.variance(weights[order]) == pytest.approx(straight.variance(weights), rel=1e-9)
    assert shuffled.times(weights[order]) == pytest.approx(straight.times(weights)[order], rel=1e-6, abs=1e-12)


def test_too_few_sessions_are_an_error_that_says_what_is_missing() -> None:
    with pytest.raises(KestrelError, match="knows 19 sessions, and needs 61"):
        StyleRisk(**world()).at(19)
    with pytest.raises(KestrelError, match="60 returns up to session 19"):
        StatisticalRisk(world()["returns_DN"]).at(19)


def test_a_model_without_styles_or_industries_knows_the_market() -> None:
    here = world()
    risk = StyleRisk(here["returns_DN"], {}, here["cap_DN"], here["present_DN"], settings=StyleRiskSettings(halflife=100)).at(SESSIONS - 1)
    assert risk.variance(np.full(STOCKS, 1 / STOCKS)) > 0.5 * TRUE["market"] ** 2


def test_the_root_and_the_products_agree_with_the_covariance() -> None:
    risk = StyleRisk(**world()).at(300)
    whole = risk.X_NK @ risk.F_KK @ risk.X_NK.T
    assert risk.root_NK() @ risk.root_NK().T == pytest.approx(whole, abs=1e-15)
    book = np.random.default_rng(0).normal(size=STOCKS)
    assert risk.times(book) @ book == pytest.approx(risk.variance(book))
    assert forecast(risk, book[None])[0] == pytest.approx(np.sqrt(risk.variance(book)))


def test_a_right_forecast_has_a_bias_of_one_and_half_of_it_two() -> None:
    z = np.random.default_rng(0).normal(size=(1000, 40))
    assert bias(z, 250).bias_P == pytest.approx(np.ones(40), abs=0.1)
    assert bias(z, 250).inside > 0.8
    assert bias(2 * z, 250).bias_P.mean() == pytest.approx(1.93, abs=0.03)  # clipped at 4
    assert bias(2 * z, 250).inside == 0
