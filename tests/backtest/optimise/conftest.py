"""Random problems of a size that a second solver can still answer."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from backtest.optimise.limits import Limits, Relaxation
from backtest.optimise.problem import Problem, problem
from backtest.risk.model import Risk

WIDE = Limits(tracking_error=None, name=0.2, industry=0.3, style=3.0, styles={}, turnover=1.0, members=0.0)


def drawn(seed: int, stocks: int = 12, limits: Limits = WIDE, stuck: int = 0, order: Any = None, **changes: Any) -> tuple[Problem, list[Relaxation]]:
    rng = np.random.default_rng(seed)
    groups = 3
    group_N = np.arange(stocks) % groups
    z_N = np.clip(rng.normal(size=stocks), -3, 3)
    X_NK = np.column_stack([np.ones(stocks), group_N[:, None] == np.arange(groups), z_N])
    mix = rng.normal(size=(5, 8))
    scale = np.diag([0.2, 0.08, 0.08, 0.08, 0.05])
    F_KK = scale @ (mix @ mix.T / 8) @ scale
    index_N = rng.dirichlet(np.full(stocks, 3.0)) * (np.arange(stocks) < stocks - 2)  # the last two are outside
    held_N = rng.dirichlet(np.full(stocks, 1.0)) * (rng.random(stocks) < 0.6)
    values: dict[str, Any] = {
        "alpha_N": 0.1 * rng.normal(size=stocks),
        "specific_N": rng.uniform(0.2, 0.5, stocks) ** 2,
        "index_N": index_N / index_N.sum(),
        "held_N": 0.985 * held_N / held_N.sum(),
        "tradable_N": np.arange(stocks) >= stuck,
    } | changes
    take = np.arange(stocks) if order is None else order
    names = [f"{n:06d}.SH" for n in range(stocks)]
    return problem(
        values["alpha_N"][take],
        Risk(tuple("mabcz"), X_NK[take], F_KK, values["specific_N"][take]),
        values["index_N"][take],
        values["held_N"][take],
        limits=limits,
        costs=(np.full(stocks, 0.01), np.full(stocks, 0.02)),
        tradable_N=values["tradable_N"][take],
        buyable_N=values["tradable_N"][take],
        styles={"Size": z_N[take]},
        group_N=group_N[take],
        groups=("a", "b", "c"),
        aversion=4.0,
        symbols=[names[n] for n in take],
    )


@pytest.fixture(scope="session", name="drawn")
def _drawn() -> Callable[..., tuple[Problem, list[Relaxation]]]:
    return drawn


@pytest.fixture(scope="session")
def wide() -> Limits:
    return WIDE
