"""The straight way: its equations against a plain regression, and what it sees that no fixed weight can."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from factors.judge import mean_rank_ic
from models.dataset import Dataset, Floats32
from models.folds import Fold
from models.ranker.model import Ranker
from models.ranker.panel import Panel
from models.ranker.parts import Straight
from models.ranker.settings import RankerSettings
from models.ranker.step import Lessons
from models.ranker.straight import SHRINKAGE, solve
from models.ranker.training import STRAIGHT_SHARE

SESSIONS, STOCKS, FACTORS, LOOKBACK = 90, 40, 4, 2
TRAIN, VALID, TEST = np.arange(5, 55), np.arange(57, 70), np.arange(72, 90)


def made(strength: float, seed: int = 0) -> tuple[Lessons, Floats32]:
    """(lessons, y_DN): the first factor pays as the market's first gauge says, up or down; the second always pays a little."""
    rng = np.random.default_rng(seed)
    present = rng.random((SESSIONS, STOCKS)) < 0.9
    row = np.zeros((SESSIONS + LOOKBACK - 1, STOCKS), dtype=np.int64)
    row[LOOKBACK - 1 :][present] = np.arange(1, present.sum() + 1)
    x_QF = np.zeros((present.sum() + 1, FACTORS + 1), dtype=np.float32)
    x_QF[1:] = rng.normal(size=(present.sum(), FACTORS + 1))
    m_DM = np.repeat(rng.normal(size=(SESSIONS // 5, 3)), 5, axis=0).astype(np.float32)
    y = np.full((SESSIONS, STOCKS), np.nan, dtype=np.float32)
    x_DNF = x_QF[row[LOOKBACK - 1 :]]
    paid = strength * (m_DM[:, :1] * x_DNF[..., 0] + 0.5 * x_DNF[..., 1])
    y[present] = (paid + rng.normal(size=paid.shape))[present]
    y[rng.random(y.shape) < 0.05] = np.nan
    weight_S = np.linspace(0.5, 1.5, len(TRAIN)).astype(np.float32)
    panel = Panel(torch.from_numpy(x_QF), torch.from_numpy(row), torch.from_numpy(m_DM), LOOKBACK)
    return Lessons(panel, TRAIN, np.stack([y[TRAIN], -y[TRAIN]], axis=-1), weight_S, VALID, y[VALID], (5, 1)), y


def solved(lessons: Lessons) -> Straight:
    straight = Straight(FACTORS, 3)
    solve(straight, lessons, 5)
    return straight


def opinions(straight: Straight, lessons: Lessons, sessions: np.ndarray) -> Floats32:
    """score_SN, NaN where a stock isn't present."""
    found = np.full((len(sessions), STOCKS), np.nan, dtype=np.float32)
    for place, session in enumerate(sessions.tolist()):
        batch = lessons.panel.batch([session])
        found[place, batch.stock_SN[0]] = straight(lessons.panel.x_QF, batch.row_SNT, batch.m_SM)[0].numpy()
    return found


def test_weights_are_those_of_a_ridge_on_factors_times_market() -> None:
    lessons, y_DN = made(0.2)
    straight, panel = solved(lessons), lessons.panel
    rows, labels, weights = [], [], []
    for place, session in enumerate(TRAIN.tolist()):
        row_N, stock_N = panel.present(session)
        known = np.isfinite(y_DN[session, stock_N])
        step_K = straight.market(panel.m_DM[[session]])[0].double().numpy()
        x_NF = panel.x_QF[row_N][known, :FACTORS].double().numpy()
        rows.append(np.einsum("k,nf->nkf", step_K, x_NF).reshape(len(x_NF), -1))
        labels.append(y_DN[session, stock_N][known].astype(float))
        weights.append(np.full(len(x_NF), float(lessons.weight_S[place]) / len(x_NF)))
    design, y, weight = np.concatenate(rows), np.concatenate(labels), np.concatenate(weights) / float(lessons.weight_S.sum())
    references = []
    for steady, moved in SHRINKAGE:
        shrinkage = np.repeat([steady, moved], [FACTORS, design.shape[1] - FACTORS])
        references.append(np.linalg.solve((design.T * weight) @ design + np.diag(shrinkage), (design.T * weight) @ y).reshape(-1, FACTORS))
    errors = [np.abs(straight.weights_KF.numpy() - reference).max() for reference in references]
    assert min(errors) < 1e-6
    assert np.abs(references[int(np.argmin(errors))]).max() > 1e-3


def test_tilts_are_uncorrelated_and_of_unit_spread_on_the_training_sessions() -> None:
    lessons, _ = made(0.2)
    steps = solved(lessons).market(lessons.panel.m_DM[TRAIN]).numpy()
    assert np.allclose(steps[:, 0], 1)
    assert np.allclose(np.cov(steps[:, 1:].T, bias=True), np.eye(3), atol=0.1)  # extremes are cut


def test_a_factor_that_pays_as_the_market_says_is_found() -> None:
    lessons, y_DN = made(0.4)
    straight = solved(lessons)
    moved = mean_rank_ic(opinions(straight, lessons, TEST), y_DN[TEST])
    straight.weights_KF[1:] = 0
    steady = mean_rank_ic(opinions(straight, lessons, TEST), y_DN[TEST])
    assert moved > 1.3 * steady > 0


def test_a_penalty_on_a_style_keeps_opinions_off_it() -> None:
    lessons, y_DN = made(0.4)
    leaning, upright = solved(lessons), Straight(FACTORS, 3)
    solve(upright, replace(lessons, styles=(1,)), 5, style=20.0)
    style_SN = np.full((len(TEST), STOCKS), np.nan)
    for place, session in enumerate(TEST.tolist()):
        row_N, stock_N = lessons.panel.present(session)
        style_SN[place, stock_N] = lessons.panel.x_QF[row_N, 1].numpy()
    before, after = (abs(mean_rank_ic(opinions(way, lessons, TEST), style_SN)) for way in (leaning, upright))
    assert after < 0.5 * before
    assert mean_rank_ic(opinions(upright, lessons, TEST), y_DN[TEST]) > 0.1


def test_where_nothing_pays_it_says_little() -> None:
    found = []
    for seed in range(8):
        lessons, y_DN = made(0.0, seed)
        found.append(mean_rank_ic(opinions(solved(lessons), lessons, TEST), y_DN[TEST]))
    assert abs(np.mean(found)) < 3 / np.sqrt(8 * len(TEST) * STOCKS)


def test_a_market_that_never_moved_gives_steady_weights() -> None:
    lessons, _ = made(0.4)
    lessons.panel.m_DM[:] = 0.3
    straight = solved(lessons)
    assert straight.weights_KF[0].abs().max() > 0.01
    assert not straight.tilt_MP.any()
    assert not straight.weights_KF[1:].any()


def test_flags_yesterday_and_other_stocks_dont_reach_an_opinion() -> None:
    lessons, _ = made(0.4)
    straight, batch = solved(lessons), lessons.panel.batch([80])
    before = straight(lessons.panel.x_QF, batch.row_SNT, batch.m_SM)
    x_QF = lessons.panel.x_QF.clone()
    x_QF[:, FACTORS] += 1
    x_QF[batch.row_SNT[0, :, 0]] += 1
    x_QF[batch.row_SNT[0, 3, 1]] += 1
    after = straight(x_QF, batch.row_SNT, batch.m_SM)
    same = torch.arange(before.shape[1]) != 3
    assert torch.equal(before[:, same], after[:, same])
    assert not torch.equal(before[:, ~same], after[:, ~same])


@pytest.mark.parametrize(("body", "straight"), [*product(("ranker", "ranker_dense"), (True, False))])
def test_it_votes_beside_the_heads_unless_it_is_switched_off(planted: Dataset, body: str, straight: bool) -> None:
    shape = {"width": 8, "cross_head": 8, "lookback": 2, "time_inner": 8, "experts": 0 if body == "ranker_dense" else 4, "expert_width": 8}
    settings = RankerSettings.model_validate({"body": body, **shape, "epochs": 1, "batch": 8, "straight": straight})
    short = Fold("short", np.arange(0, 60), np.arange(70, 90), np.arange(100, 110))
    rankers = {seed: Ranker(settings) for seed in (1, 2)}
    Ranker.fit_seeds(rankers, planted, short.train, short.valid)
    voters = ["1", "5", "straight"] if straight else ["1", "5"]
    votes = [ranker.opinions(planted, short.test) for ranker in rankers.values()]
    assert [list(ranker.weights) for ranker in rankers.values()] == [voters, voters]
    assert [list(vote) for vote in votes] == [voters, voters]
    assert all(sum(ranker.weights.values()) == pytest.approx(1) for ranker in rankers.values())
    if straight:  # chance has no part in it
        assert rankers[1].weights["straight"] == STRAIGHT_SHARE
        assert votes[0]["straight"].tobytes() == votes[1]["straight"].tobytes()
        assert mean_rank_ic(votes[0]["straight"], planted.label(5)[short.test]) > 0.1
