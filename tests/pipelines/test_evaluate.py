"""`kestrel factors evaluate` on a small simulated market."""

import json
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import get_args

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from data.errors import KestrelError
from data.lake import Lake
from factors.combine import Weighing
from factors.evaluate import EvaluateSettings
from factors.trials import benjamini_yekutieli
from pipelines.cli import main
from pipelines.commands.factor import WEIGHINGS
from pipelines.config import Config
from pipelines.evaluate import evaluate, judge
from pipelines.ground import HORIZONS, Columns, ground, trailing_mean
from pipelines.ledger import Ledger

ConfigIn = Callable[[Path], Config]
NAMES = ["reversal_20", "turnover_20"]
START = datetime(2025, 3, 3)


@pytest.fixture
def lake(desk: Path) -> Lake:
    return Lake(desk / "lake")


def test_rows_come_best_first_with_a_page_and_its_numbers(desk: Path, lake: Lake, config_in: ConfigIn) -> None:
    found = evaluate(lake, config_in(desk), NAMES, start=START)
    sizes = [abs(row["rank_ic"]) for row in found.rows]
    assert sizes == sorted(sizes, reverse=True)
    assert {f"rank_ic_{horizon}" for horizon in HORIZONS if horizon != 5} <= found.rows[0].keys()
    numbers = json.loads(found.page.with_suffix(".json").read_text(encoding="utf-8"))
    assert [row["factor"] for row in numbers["summary"]] == [row["factor"] for row in found.rows]
    assert (
        numbers["factors"]["reversal_20"]["horizons"][2]["rank_ic"]
        == found.rows[[row["factor"] for row in found.rows].index("reversal_20")]["rank_ic"]
    )
    assert len(numbers["factors"]["reversal_20"]["rank_ic"]) == len(numbers["date"])
    assert numbers["tries"] == found.tries == 2


def test_every_try_that_was_ever_made_on_these_dates_makes_a_p_larger(desk: Path, lake: Lake, config_in: ConfigIn) -> None:
    config = config_in(desk)
    alone = evaluate(lake, config, ["reversal_20"], start=START)
    assert alone.rows[0]["p_by"] == alone.rows[0]["p_holm"] == pytest.approx(alone.rows[0]["p"])
    ledger = Ledger(desk / "runs" / "ledger.db")
    ledger.record("factor", ["noise", "other"], date(2025, 6, 1), date(2030, 1, 1), p=[0.5, 0.7])
    ledger.record("model", ["ridge"], date(2025, 6, 1), date(2030, 1, 1))
    ledger.record("factor", ["elsewhere"], date(2001, 1, 1), date(2002, 1, 1), p=[0.5])
    again = evaluate(lake, config, ["reversal_20"], start=START)
    assert again.tries == 4
    p = alone.rows[0]["p"]
    assert again.rows[0]["p_by"] == pytest.approx(benjamini_yekutieli(np.array([p, 0.5, 0.7, 1.0]))[0])
    assert again.rows[0]["p_bonferroni"] == pytest.approx(min(4 * p, 1))


def test_combinations_stand_beside_the_factors_and_count_as_tries(desk: Path, lake: Lake, config_in: ConfigIn) -> None:
    found = evaluate(lake, config_in(desk), NAMES, start=START, combined=["equal", "max_icir"])
    assert {row["factor"] for row in found.rows} == {*NAMES, "combined:equal", "combined:max_icir"}
    assert found.tries == 4
    assert all(np.isfinite(row["rank_ic"]) for row in found.rows)


def test_a_combination_at_a_date_does_not_depend_on_what_comes_after(desk: Path, lake: Lake, config_in: ConfigIn) -> None:
    """The same bars up to a session, other ones after it: the same RankICs of all whose returns are over by then."""
    config = config_in(desk)
    before = evaluate(lake, config, NAMES, start=START, combined=["icir"])
    bars = lake.read("bars")
    cut = bars["date"].unique().sort()[-60]
    later = pl.col("date") > cut
    fall = pl.when(later & (pl.col("symbol").hash(1) % 2 == 0)).then(0.5).otherwise(1.0)
    lake.write("bars", bars.with_columns(pl.col("open", "close", "high", "low") * fall))
    with pytest.raises(KestrelError, match="older than the data"):
        evaluate(lake, config, NAMES, start=START)
    from pipelines.build import build_factors

    build_factors(lake)
    after = evaluate(lake, config, NAMES, start=START, combined=["icir"])
    series = [json.loads(found.page.with_suffix(".json").read_text(encoding="utf-8")) for found in (before, after)]
    days = series[0]["date"]
    known = sum(day <= cut.isoformat() for day in days) - 6
    ours, theirs = (np.array(one["factors"]["combined:icir"]["rank_ic"], dtype=float) for one in series)
    assert ours[:known] == pytest.approx(theirs[:known], nan_ok=True)
    assert not np.allclose(ours[known + 6 :], theirs[known + 6 :], equal_nan=True)


def test_factors_may_come_from_anywhere(desk: Path, lake: Lake, config_in: ConfigIn) -> None:
    config = config_in(desk)
    here = ground(lake, config, EvaluateSettings(), start=START.date())
    mine = {"rank(close) <b>": np.random.default_rng(0).normal(size=here.axes.shape)}
    found = judge(mine, here, config, {"rank(close) <b>": "expr:rank(close)"}, top=1)
    assert abs(found.rows[0]["rank_ic"]) < 0.02
    assert ("factor", "expr:rank(close)") in Ledger(desk / "runs" / "ledger.db").tries(here.dates[0], here.dates[-1])
    page = found.page.read_text(encoding="utf-8")
    assert "rank(close) &lt;b&gt;" in page
    assert "rank(close) <b>" not in page


def test_a_neutral_factor_is_unlike_the_style_it_is_neutral_to(desk: Path, lake: Lake, config_in: ConfigIn) -> None:
    config = config_in(desk)
    plain = evaluate(lake, config, ["turnover_20"], start=START)
    neutral = evaluate(lake, config, ["turnover_20"], start=START, neutral=["volatility_20", "industry"])
    numbers = [json.loads(found.page.with_suffix(".json").read_text(encoding="utf-8"))["factors"]["turnover_20"] for found in (plain, neutral)]
    assert abs(numbers[1]["styles"]["Volatility"]) < 0.3 * abs(numbers[0]["styles"]["Volatility"])
    assert neutral.tries == 2
    with pytest.raises(KestrelError, match="names no_such_style"):
        evaluate(lake, config, ["turnover_20"], start=START, neutral=["no_such_style"])


def test_what_is_asked_for_and_not_there_is_said(desk: Path, lake: Lake, config_in: ConfigIn) -> None:
    with pytest.raises(KestrelError, match="no_such_factor"):
        evaluate(lake, config_in(desk), ["no_such_factor"])
    with pytest.raises(KestrelError, match="No session between --start and --end"):
        evaluate(lake, config_in(desk), NAMES, start=datetime(2031, 1, 1))


def test_columns_are_read_a_few_at_a_time_and_as_they_lie_in_the_table(desk: Path, lake: Lake, config_in: ConfigIn) -> None:
    config = config_in(desk)
    here = ground(lake, config, EvaluateSettings(), start=START.date())
    names = [name for name in lake.scan("factors").collect_schema().names() if name not in ("date", "symbol")]
    columns = Columns(lake, names, here.axes, config.factors.clean)
    assert list(columns) == names
    table = lake.read("factors")
    for name in (names[0], names[-1], "turnover_20"):
        day, symbol = here.axes.dates[5], here.axes.symbols[7]
        row = table.filter((pl.col("date") == day) & (pl.col("symbol") == symbol))
        assert columns[name][5, 7] == pytest.approx(row[name][0], nan_ok=True)
        assert len(columns.read) <= Columns.AT_ONCE


def test_a_trailing_mean_counts_the_finite_values_of_the_window() -> None:
    values = np.array([[1.0], [np.nan], [3.0], [8.0], [np.nan], [np.nan], [np.nan]])
    assert trailing_mean(values, 3)[:, 0] == pytest.approx([1, 1, 2, 5.5, 5.5, 8, np.nan], nan_ok=True)


def test_the_command_prints_a_table_or_json(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    run = lambda *words: CliRunner().invoke(main, ["factors", "evaluate", *NAMES, "--start", "2025-03-03", *words])  # noqa: E731
    plain = run("--combine", "icir", "--cost", "0.001")
    assert plain.exit_code == 0, plain.output
    assert "combined:icir" in plain.stdout
    assert "Tear sheet: runs/factors-" in plain.stderr
    rows = json.loads(run("--json").stdout)
    assert {"p_by", "p_holm", "p_bonferroni", "half_life", "capacity", "closest", "industry_share", "spread_t"} <= rows[0].keys()
    assert run("--cost", "2").exit_code == 2


def test_the_command_offers_every_way_to_weigh() -> None:
    assert get_args(Weighing) == WEIGHINGS


def test_an_expression_is_judged_as_the_factor_that_says_the_same(desk: Path, lake: Lake, config_in: ConfigIn) -> None:
    found = evaluate(lake, config_in(desk), ["reversal_20"], texts=["-returns(20)"], start=START, neutral=["log_float_cap"])
    rows = {row["factor"]: row for row in found.rows}
    registered, written = rows.pop("reversal_20"), rows.popitem()[1]
    assert not rows
    assert found.tries == 2
    for key in ("rank_ic", "ic", "spread_net", "coverage", "capacity"):
        assert written[key] == pytest.approx(registered[key], rel=1e-6), key


def test_an_expression_alone_is_judged_alone(desk: Path, lake: Lake, config_in: ConfigIn) -> None:
    found = evaluate(lake, config_in(desk), texts=["rank(ts_corr(close, volume, 10))"], start=START)
    assert [row["factor"] for row in found.rows] == ["cs_rank(ts_corr(close, volume, 10, 5))"]


@pytest.mark.parametrize(("text", "said"), [("ts_men(close, 5)", "Did you mean ts_mean"), ("news_event", "neither|needs")])
def test_an_expression_that_cannot_be_read_or_fed_is_one_error(text: str, said: str, desk: Path, lake: Lake, config_in: ConfigIn) -> None:
    with pytest.raises(KestrelError, match=said):
        evaluate(lake, config_in(desk), texts=[text], start=START)
