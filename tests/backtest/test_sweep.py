import numpy as np
import polars as pl
import pytest

from backtest import metrics
from backtest.costs import CostSettings
from backtest.simulation import SimulationSettings, simulate
from backtest.strategies import TopkBuffer
from backtest.sweep import AXES, MEASURES, SweepSettings, dearer, grid, judged, sweep
from data.errors import KestrelError

GRID = SweepSettings(k=(3, 5), buffer=(1.0, 2.0), every=(1, 4), cost_multiple=(0.0, 2.0), cash=(1e5, 1e7), blocks=4)
REST = {"strategy": TopkBuffer(band=0.1), "costs": CostSettings(), "simulation": SimulationSettings(deal="close")}


@pytest.fixture(scope="module", name="scene")
def _scene(random_market):
    market = random_market(3, sessions=40)
    rng = np.random.default_rng(3)
    return rng.normal(size=market.axes.shape), market, rng.normal(0, 0.01, 39)


def test_every_row_is_the_account_that_the_simulation_gives(scene):
    scores, market, b_D = scene
    found = sweep(scores, market, b_D, GRID, **REST)
    assert found.frame.columns == [*AXES, *MEASURES]
    assert found.frame.select(AXES).rows() == [tuple(point) for point in grid(GRID)]
    for place in (0, 13, 31):
        row = found.frame.row(place, named=True)
        strategy = TopkBuffer(k=row["k"], buffer=int(row["k"] * row["buffer"]), every=row["every"], band=0.1)
        costs = CostSettings(commission=0.0002 * row["cost_multiple"], slippage=0.0005 * row["cost_multiple"])
        result = simulate(scores, market, strategy=strategy, costs=costs, settings=SimulationSettings(deal="close", cash=row["cash"]))
        assert row["final_nav"] == result.nav_D[-1]
        assert row["information_ratio"] == metrics.information_ratio(result.returns_D, b_D)
        assert found.excess_DC[:, place].tolist() == (result.returns_D - b_D).tolist()


def test_number_of_threads_changes_nothing(scene):
    scores, market, b_D = scene
    one, three = (sweep(scores, market, b_D, GRID, **REST, threads=threads) for threads in (1, 3))
    assert one.frame.equals(three.frame)
    assert one.excess_DC.tobytes() == three.excess_DC.tobytes()
    assert (one.best, one.deflated) == (three.best, three.deflated)


def test_plane_shows_the_mean_over_all_else_that_was_tried(scene):
    found = sweep(*scene, GRID, **REST)
    xs, ys, cells = found.plane("buffer", "k", "turnover")
    assert (xs, ys) == ([1.0, 2.0], [3, 5])
    inside = found.frame.filter(pl.col("k") == 5, pl.col("buffer") == 1.0)
    assert inside.height == 8
    assert cells[1, 0] == pytest.approx(inside["turnover"].mean())
    assert found.plane("k", "buffer", "turnover")[2].tolist() == cells.T.tolist()


def test_best_is_the_highest_information_ratio_and_a_planted_one_is_no_luck():
    rng = np.random.default_rng(0)
    excess = rng.normal(0, 0.01, (400, 12))
    dates = (None,) * 400
    frame = pl.DataFrame({"k": range(12)})
    noise = judged(dates, frame, excess, 8)
    assert noise.best == (excess.mean(axis=0) / excess.std(axis=0)).argmax()
    assert noise.deflated < 0.95
    excess[:, 4] += 0.004
    planted = judged(dates, frame, excess, 8)
    assert (planted.best, planted.overfit.probability) == (4, 0.0)
    assert planted.deflated > 0.99
    assert judged(dates[:10], frame, excess[:10], 8).overfit is None


def test_dearer_costs_leave_the_levies_and_the_minimum_alone():
    assert dearer(CostSettings(sell_commission=0.001), 2.0) == CostSettings(commission=0.0004, sell_commission=0.002, slippage=0.001)


def test_benchmark_of_another_length_and_impossible_strategies_are_refused(scene):
    scores, market, b_D = scene
    with pytest.raises(KestrelError, match="has 3 returns, the accounts 39 sessions"):
        sweep(scores, market, b_D[:3], GRID, **REST)
    with pytest.raises(ValueError, match="a buffer holds at least k"):
        SweepSettings(buffer=(0.5,))
