from collections.abc import Callable

import numpy as np
import pytest

from backtest.optimise import ladder as steps
from backtest.optimise.ladder import decide, least_error
from backtest.optimise.limits import GROUPS, Limits
from backtest.optimise.problem import Problem
from backtest.optimise.solver import SolverFailed

Drawn = Callable[..., tuple[Problem, list]]


@pytest.fixture
def cornered(drawn: Drawn, wide: Limits) -> Problem:
    """A book far from its index that may turn over 1 % only, and has to come within 10 % of each industry."""
    held_N = np.zeros(12)
    held_N[:2] = 0.985 / 2  # industries a and b, nothing in c
    index_N = np.concatenate([np.full(10, 0.1), np.zeros(2)])
    limits = wide.model_copy(update={"turnover": 0.01, "industry": 0.1, "name": 0.5})
    return drawn(0, limits=limits, held_N=held_N, index_N=index_N)[0]


def test_a_feasible_problem_relaxes_nothing(drawn: Drawn) -> None:
    assert decide(drawn(1)[0], GROUPS).relaxed == ()


def test_the_least_turnover_that_reaches_the_bands_is_given_and_recorded(cornered: Problem) -> None:
    # Industry c has 0.3 of the index, so it needs 0.2; a and b may keep 0.4 + 0.1 and 0.3 + 0.1 of 0.4925 each: 0.2 has to be bought.
    decision = decide(cornered, GROUPS)
    (given,) = decision.relaxed
    assert given.constraint == "turnover"
    assert given.wanted == 0.01
    assert given.given == pytest.approx(0.2, abs=0.01)
    assert decision.problem.traded(decision.weights_N) <= given.given + 1e-9
    assert cornered._replace(turnover=1.0).breaches(decision.weights_N, 1e-6) == []


def test_the_ladder_says_what_gives_way_first(cornered: Problem) -> None:
    decision = decide(cornered, ("industries",))
    assert {one.constraint for one in decision.relaxed} == {"industries:b", "industries:c"}
    assert decision.problem.traded(decision.weights_N) <= 0.01 + 1e-6
    for one in decision.relaxed:
        band = next(band for band in decision.problem.bands if one.constraint == f"{band.group}:{band.name}")
        assert one.given in (band.low, band.high)
        assert band.low - 1e-6 <= band.row_N @ decision.weights_N <= band.high + 1e-6


def test_an_error_that_turnover_cannot_reach_gives_turnover_or_gives_itself(drawn: Drawn, wide: Limits) -> None:
    problem, _ = drawn(2, limits=wide.model_copy(update={"turnover": 0.1, "name": 1.0, "industry": 1.0}))
    least = least_error(problem)
    assert least is not None
    wanted = problem._replace(tracking_error=0.8 * least)
    turned = decide(wanted, ("turnover", "tracking_error"))
    assert [one.constraint for one in turned.relaxed] == ["turnover"]
    assert wanted.deviation(turned.weights_N) <= wanted.tracking_error
    kept = decide(wanted, ("tracking_error", "turnover"))
    assert [one.constraint for one in kept.relaxed] == ["tracking_error"]
    assert kept.relaxed[0].given == pytest.approx(least, rel=0.01)
    assert wanted.traded(kept.weights_N) <= 0.1 + 1e-6


def test_a_name_that_outgrew_its_limit_without_trading_is_recorded(drawn: Drawn, wide: Limits) -> None:
    held_N = np.full(12, 0.3 / 11)
    held_N[0] = 0.685
    _, given = drawn(0, limits=wide, held_N=held_N, stuck=1)
    assert [one.constraint for one in given] == ["names:000000.SH"]
    assert given[0].given == 0.685


def test_nothing_on_the_ladder_leaves_the_book_and_says_so(cornered: Problem) -> None:
    decision = decide(cornered, ())
    assert (decision.weights_N == cornered.held_N).all()
    assert [one.constraint for one in decision.relaxed] == ["ladder"]


def test_a_solver_without_an_answer_leaves_the_book_and_says_so(drawn: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(problem: Problem, price: float) -> None:
        raise SolverFailed("no progress")

    monkeypatch.setattr(steps, "solve", fails)
    problem, _ = drawn(1)
    decision = decide(problem, GROUPS)
    assert (decision.weights_N == problem.held_N).all()
    assert decision.relaxed[0].constraint == "solver: no progress"
