"""Evaluation of a factor on cases worked by hand."""

from datetime import date

import numpy as np
import pytest
from scipy import stats

from data.errors import KestrelError
from factors.evaluate import EvaluateSettings, Evaluation, Surroundings, coverage, evaluate
from factors.judge import newey_west_t
from factors.quantiles import buckets, column_means, quantile_returns, turnover
from factors.ranks import ordered
from factors.trials import p_value

NAN = np.nan
DAYS = [date(2019, 12, 30), date(2019, 12, 31), date(2020, 1, 2), date(2020, 1, 3)]


def test_a_factor_that_knows_the_order_has_a_rank_ic_of_1() -> None:
    x = np.tile(np.arange(20.0), (4, 1))
    y_DNH = np.stack([x**3, -x], axis=-1)
    found = evaluate({"mine": x}, y_DNH, (5, 10), np.ones(x.shape, dtype=bool), DAYS)
    assert found.summary.select("factor", "horizon", "days").rows() == [("mine", 5, 4), ("mine", 10, 4)]
    assert found.summary["rank_ic"].to_list() == pytest.approx([1, -1])
    assert found.summary["ic"][0] == pytest.approx(np.corrcoef(x[0], x[0] ** 3)[0, 1])
    assert found.summary["coverage"].to_list() == [1.0, 1.0]
    assert found.summary["rank_autocorrelation"].to_list() == pytest.approx([1.0, 1.0])
    assert found.sheets["mine"].years.select("year", "days").rows() == [(2019, 2), (2020, 2)]
    assert found.sheets["mine"].rank_ic_D == pytest.approx([1.0] * 4)
    expected = [np.mean(np.arange(4 * q, 4 * q + 4) ** 3.0) for q in range(5)]
    assert column_means(found.sheets["mine"].quantile_DQ) == pytest.approx(expected)
    assert found.summary["spread"][0] == pytest.approx(expected[-1] - expected[0])


def test_the_summary_equals_scipys_daily_correlations() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(4, 30)), rng.normal(size=(4, 30))
    x[rng.random(x.shape) < 0.1] = y[rng.random(x.shape) < 0.1] = NAN
    found = evaluate({"mine": x}, y[..., None], (5,), np.ones(x.shape, dtype=bool), DAYS)
    expected = []
    for t in range(4):
        both = np.isfinite(x[t]) & np.isfinite(y[t])
        expected.append(stats.spearmanr(x[t, both], y[t, both]).statistic)
    assert found.sheets["mine"].rank_ic_D == pytest.approx(expected)
    assert found.summary["rank_ic"][0] == pytest.approx(np.mean(expected))
    assert found.summary["rank_icir"][0] == pytest.approx(np.mean(expected) / np.std(expected, ddof=1))


def test_absent_stocks_count_neither_in_returns_nor_in_coverage() -> None:
    x = np.tile(np.arange(20.0), (4, 1))
    present = np.ones(x.shape, dtype=bool)
    present[:, 15:] = False
    y = x.copy()
    y[:, 15:] = -1000.0
    x[0, :3] = NAN
    found = evaluate({"mine": x}, y[..., None], (5,), present, DAYS)
    assert found.summary["rank_ic"][0] == pytest.approx(1.0)
    assert found.summary["coverage"][0] == pytest.approx(57 / 60)
    assert column_means(found.sheets["mine"].quantile_DQ).min() >= 0


def test_every_factor_and_horizon_has_its_row_in_order() -> None:
    rng = np.random.default_rng(1)
    values = {name: rng.normal(size=(4, 12)) for name in ("b", "a")}
    found = evaluate(values, rng.normal(size=(4, 12, 3)), (1, 5, 20), np.ones((4, 12), dtype=bool), DAYS)
    assert found.summary.select("factor", "horizon").rows() == [("b", 1), ("b", 5), ("b", 20), ("a", 1), ("a", 5), ("a", 20)]
    assert list(found.sheets) == ["b", "a"]
    assert found.main("a")["rank_ic"] == found.summary["rank_ic"][4]


def test_coverage_of_nobody_is_0() -> None:
    assert coverage(np.full((2, 3), NAN), np.zeros((2, 3), dtype=bool)) == 0.0


@pytest.fixture(scope="module")
def market() -> dict[str, np.ndarray]:
    """A factor that turns over, returns that follow it, and who is present: 120 sessions of 40 stocks."""
    rng = np.random.default_rng(9)
    x = np.cumsum(rng.normal(size=(120, 40)), axis=0)
    y = 0.002 * x[..., None] + rng.normal(0, 0.1, size=(120, 40, 2))
    return {"x": x, "y": y, "present": rng.random((120, 40)) < 0.9, "other": x + rng.normal(0, 5, x.shape), "amount": rng.lognormal(18, 1, x.shape)}


def judged(market: dict[str, np.ndarray], around: Surroundings | None = None, **changes: object) -> Evaluation:
    dates = [date.fromordinal(737000 + t) for t in range(120)]
    chosen = EvaluateSettings(**changes)  # type: ignore[arg-type]
    return evaluate({"mine": market["x"]}, market["y"], (1, 5), market["present"], dates, around=around, settings=chosen)


def test_each_horizon_has_its_own_t_turnover_and_spread(market: dict[str, np.ndarray]) -> None:
    found = judged(market, cost=0.001)
    x = np.where(market["present"], market["x"], NAN)
    for place, horizon in enumerate((1, 5)):
        row = found.summary.row(place, named=True)
        y = np.where(market["present"], market["y"][..., place], NAN)
        returns, replaced = quantile_returns(x, y), column_means(turnover(buckets(ordered(x)), lag=horizon))
        assert row["spread"] == pytest.approx(returns[-1] - returns[0])
        assert row["spread_net"] == pytest.approx(abs(row["spread"]) - 0.002 * (replaced[0] + replaced[-1]))
        assert row["turnover"] == pytest.approx((replaced[0] + replaced[-1]) / 2)
        assert row["p"] == p_value(row["t"])
    assert found.summary["t"][1] == newey_west_t(found.sheets["mine"].rank_ic_D, lags=5)


def test_what_surrounds_a_factor_is_told_in_the_sampled_sessions_and_never_of_itself(market: dict[str, np.ndarray]) -> None:
    sampled = slice(None, None, 20)
    known = {"mine": market["x"][sampled], "twin": -market["x"][sampled], "other": market["other"][sampled]}
    around = Surroundings(styles={"Other": known["other"]}, known=known, groups_DN=np.zeros((120, 40), dtype=np.int64), industries=["all"])
    sheet = judged(market, around).sheets["mine"]
    assert list(sheet.closest) == ["twin", "other"]
    assert sheet.closest["twin"] == pytest.approx(-1)
    assert sheet.styles == {"Other": pytest.approx(sheet.closest["other"])}
    assert sheet.industries == {"all": pytest.approx(0, abs=1e-12)}
    assert sheet.figures["industry_share"] == pytest.approx(0, abs=1e-12)


def test_capacity_is_that_of_the_side_that_is_bought(market: dict[str, np.ndarray]) -> None:
    amount = np.where(market["x"] > 0, 1e9, 1e6)
    around = Surroundings(amount_DN=amount)
    high = judged(market, around).sheets["mine"].figures["capacity"]
    turned = judged({**market, "y": -market["y"]}, around).sheets["mine"].figures["capacity"]
    assert high == pytest.approx(7 * 0.05 * 1e9, rel=0.2)
    assert turned == pytest.approx(7 * 0.05 * 1e6, rel=0.2)
    assert np.isnan(judged(market).sheets["mine"].figures["capacity"])


def test_regimes_are_judged_apart(market: dict[str, np.ndarray]) -> None:
    rising = np.arange(120) % 3 == 0
    sheet = judged(market, Surroundings(regimes={"rising": rising})).sheets["mine"]
    assert sheet.regimes["rank_ic"][0] == pytest.approx(np.nanmean(sheet.rank_ic_D[rising]))


def test_factors_are_asked_for_one_at_a_time(market: dict[str, np.ndarray]) -> None:
    """So that a mapping may load each as it is needed, and none twice."""
    asked: list[str] = []

    class Lazy(dict[str, np.ndarray]):
        def __getitem__(self, name: str) -> np.ndarray:
            asked.append(name)
            return market["x"]

    evaluate(Lazy(a=market["x"], b=market["x"]), market["y"], (1, 5), market["present"], [date(2020, 1, 1)] * 120)
    assert asked == ["a", "b"]


def test_a_main_horizon_without_returns_is_refused(market: dict[str, np.ndarray]) -> None:
    with pytest.raises(KestrelError, match=r"The main horizon 3 is none of \[1, 5\]"):
        judged(market, main=3)
