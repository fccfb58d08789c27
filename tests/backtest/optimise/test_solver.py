from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import minimize

from backtest.optimise.limits import Limits
from backtest.optimise.problem import Problem
from backtest.optimise.solver import GAP, solve

Drawn = Callable[..., tuple[Problem, list]]


def worth(problem: Problem, weights_N: np.ndarray) -> float:
    trade_N = weights_N - problem.held_N
    cost = problem.buy_N @ np.maximum(trade_N, 0) + problem.sell_N @ np.maximum(-trade_N, 0)
    return float(problem.alpha_N @ weights_N - cost - problem.aversion / 2 * problem.risk.variance(weights_N - problem.index_N))


def by_scipy(problem: Problem) -> np.ndarray:
    """The same problem for a general solver: what is bought and what is sold of each stock."""
    stocks = len(problem.index_N)

    def book(x: np.ndarray) -> np.ndarray:
        return problem.held_N + x[:stocks] - x[stocks:]

    rules = [{"type": "ineq", "fun": lambda x, b=band: b.high - b.row_N @ book(x)} for band in problem.bands if np.isfinite(band.high)]
    rules += [{"type": "ineq", "fun": lambda x, b=band: b.row_N @ book(x) - b.low} for band in problem.bands if np.isfinite(band.low)]
    rules += [{"type": "ineq", "fun": lambda x: book(x) - problem.low_N}, {"type": "ineq", "fun": lambda x: problem.high_N - book(x)}]
    rules.append({"type": "ineq", "fun": lambda x: 2 * problem.turnover - x.sum()})
    if np.isfinite(problem.tracking_error):
        limit = problem.tracking_error**2
        rules.append({"type": "ineq", "fun": lambda x: 100 * (limit - problem.risk.variance(book(x) - problem.index_N))})
    own, risk = problem, problem.risk

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        pull_N = -own.alpha_N + own.aversion * risk.times(book(x) - own.index_N)
        active_N = book(x) - own.index_N
        value = -own.alpha_N @ book(x) + own.buy_N @ x[:stocks] + own.sell_N @ x[stocks:] + own.aversion / 2 * risk.variance(active_N)
        return float(value), np.concatenate([pull_N + own.buy_N, -pull_N + own.sell_N])

    found = minimize(
        loss,
        np.zeros(2 * stocks),
        jac=True,
        bounds=[(0, 1)] * (2 * stocks),
        constraints=rules,
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-12},
    )
    assert found.success, found.message
    return np.asarray(book(found.x))


def test_two_stocks_of_equal_risk_split_the_alpha_as_by_hand(drawn: Drawn, wide: Limits) -> None:
    # One factor that no weight reaches, an index of halves, no costs: a = (x, -x) and the best x solves alpha_1 - alpha_2 = 2 aversion s x.
    problem, _ = drawn(0, stocks=12)
    from backtest.optimise.limits import Band
    from backtest.risk.model import Risk

    half = np.array([0.5, 0.5])
    small = problem._replace(
        alpha_N=np.array([0.03, -0.01]), risk=Risk(("m",), np.zeros((2, 1)), np.eye(1), np.array([0.04, 0.04])), index_N=half, held_N=half,
        buy_N=np.zeros(2), sell_N=np.zeros(2), low_N=np.zeros(2), high_N=np.ones(2), bands=(Band("cash", "invested", np.ones(2), 1.0, 1.0, 0.01),),
        aversion=5.0,
    )  # fmt: skip
    x = 0.04 / (2 * 5.0 * 0.04)
    found = solve(small)
    assert found is not None
    assert found.weights_N == pytest.approx([0.5 + x, 0.5 - x], abs=1e-7)
    capped = solve(small._replace(turnover=0.02))  # a 2 % turnover moves 2 % from one to the other
    assert capped is not None
    assert capped.weights_N == pytest.approx([0.52, 0.48], abs=1e-7)
    kept = solve(small._replace(tracking_error=0.01 * np.sqrt(2)))  # sqrt(2 s) x = 0.01 sqrt(2) at x = 0.05
    assert kept is not None
    assert kept.weights_N[0] == pytest.approx(0.55, abs=0.05 * 0.006)
    costly = solve(small._replace(buy_N=np.full(2, 0.025), sell_N=np.full(2, 0.025)))  # a pair costs more than it earns
    assert costly is not None
    assert costly.weights_N == pytest.approx(half, abs=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_a_second_solver_finds_no_better_book(drawn: Drawn, wide: Limits, seed: int) -> None:
    limits = wide.model_copy(update={"turnover": 0.6, "name": 0.12, "industry": 0.08, "style": 0.4})
    problem, _ = drawn(seed, limits=limits, stuck=1, held_N=np.full(12, 0.985 / 12))
    found, other_N = solve(problem), by_scipy(problem)
    assert found is not None
    assert problem.breaches(found.weights_N, 1e-6) == []
    assert worth(problem, found.weights_N) == pytest.approx(worth(problem, other_N), abs=1e-7)
    assert found.weights_N == pytest.approx(other_N, abs=2e-3)


@pytest.mark.parametrize("seed", range(4))
def test_a_binding_tracking_error_costs_no_more_than_its_last_thousandths(drawn: Drawn, wide: Limits, seed: int) -> None:
    free, _ = drawn(seed)
    unbound = solve(free)
    assert unbound is not None
    problem = free._replace(tracking_error=0.75 * free.deviation(unbound.weights_N))
    found = solve(problem)
    assert found is not None
    assert 0.995 * problem.tracking_error <= problem.deviation(found.weights_N) <= problem.tracking_error
    assert found.aversion > problem.aversion
    assert worth(problem, found.weights_N) >= worth(problem, by_scipy(problem)) - 5e-4


@pytest.mark.parametrize("hint", [0.3, 0.95, 1.05, 4.0])
def test_where_the_search_for_the_price_of_risk_begins_is_worth_less_than_a_basis_point(drawn: Drawn, hint: float) -> None:
    free, _ = drawn(2)
    unbound = solve(free)
    assert unbound is not None
    problem = free._replace(tracking_error=0.75 * free.deviation(unbound.weights_N))
    cold = solve(problem)
    assert cold is not None
    warm = solve(problem, cold.aversion * hint)
    assert warm is not None
    assert problem.breaches(warm.weights_N, 1e-6) == []
    assert worth(problem, warm.weights_N) == pytest.approx(worth(problem, cold.weights_N), abs=2 * GAP)
    loose = solve(free, 100 * free.aversion)  # a price from an evening on which the limit bound
    assert loose is not None
    assert loose.weights_N == pytest.approx(unbound.weights_N, abs=1e-5)


def test_the_order_of_the_stocks_is_irrelevant(drawn: Drawn) -> None:
    order = np.random.default_rng(1).permutation(12)
    straight, shuffled = solve(drawn(3)[0]), solve(drawn(3, order=order)[0])
    assert straight is not None
    assert shuffled is not None
    assert shuffled.weights_N == pytest.approx(straight.weights_N[order], abs=1e-6)


def test_what_cannot_be_traded_stays_to_the_last_bit(drawn: Drawn) -> None:
    problem, _ = drawn(5, stuck=4)
    found = solve(problem)
    assert found is not None
    assert (found.weights_N[:4] == problem.held_N[:4]).all()


def test_a_stock_of_unknown_risk_may_only_be_sold(drawn: Drawn) -> None:
    specific_N = np.full(12, 0.09)
    specific_N[2] = np.nan
    held_N = np.full(12, 0.985 / 12)
    problem, _ = drawn(6, specific_N=specific_N, held_N=held_N, alpha_N=np.where(np.arange(12) == 2, 5.0, 0.0))
    found = solve(problem)
    assert found is not None
    assert found.weights_N[2] <= held_N[2] + 1e-9
