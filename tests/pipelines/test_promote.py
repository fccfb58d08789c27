"""A challenger takes the champion's place by evidence alone, or with a reason on record; every trial is remembered."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from data.errors import KestrelError
from data.lake import open_lake
from factors.judge import Interval, difference
from pipelines import promote as module
from pipelines.champion import CHALLENGER, CHAMPION, NAME, aliased
from pipelines.cli import main
from pipelines.config import Config
from pipelines.evidence import Contender, Evidence, fresh, weighed, widened
from pipelines.experiments import Experiments
from pipelines.ledger import Ledger
from pipelines.promote import promote
from pipelines.runs import latest, read_json

OfficeIn = Callable[..., Config]


def contenders(office: Path) -> tuple[Contender, Contender]:
    training = latest(office / "runs", "train")
    return Contender(training, "ridge"), Contender(training, "five_factors")


def test_a_challenger_is_promoted_by_evidence_or_by_a_reason_and_all_of_it_is_recorded(office: Path, office_in: OfficeIn) -> None:
    lake, config = open_lake(office / "lake"), office_in(office, promotion__sessions=40)
    five = contenders(office)[1]
    store, ledger = Experiments(office / "runs"), Ledger(office / "runs" / "ledger.db")
    with pytest.raises(KestrelError, match="The registry has no challenger"):
        promote(lake, config)
    assert promote(lake, config, "latest/five_factors")["why"] == "the first one"
    with pytest.raises(KestrelError, match="is the champion already"):
        promote(lake, config, "latest/five_factors")

    few = office_in(office, promotion__sessions=5000)
    with pytest.raises(KestrelError, match=r"can't be tried against .*promotion.sessions asks for 5000.*--force"):
        promote(lake, few, "latest/ridge")
    assert [one["first"] for one in ledger.promotions()] == [None]  # nothing was looked at

    never = office_in(office, promotion__sessions=40, promotion__gain=9.0)
    with pytest.raises(KestrelError, match=r"It had to be above \+900.00% a year .* misses that by .*The champion stays"):
        promote(lake, never, "latest/ridge")
    assert aliased(config, CHAMPION)["model"] == "five_factors"  # type: ignore[index]

    forced = promote(lake, never, "latest/ridge", force="the desk's head wants it")
    assert forced["outcome"] == "forced"
    tags = aliased(config, CHAMPION)
    assert tags is not None
    assert (tags["model"], tags["outcome"], tags["over"]) == ("ridge", "forced", str(five))
    assert tags["evidence"].endswith("Forced: the desk's head wants it")
    assert store.client.get_model_version_by_alias(NAME, CHAMPION).description.startswith("ridge of train-")

    always = office_in(office, promotion__sessions=40, promotion__gain=-9.0)
    found = promote(lake, always, "latest/five_factors")
    assert (found["outcome"], aliased(config, CHAMPION)["model"]) == ("promoted", "five_factors")  # type: ignore[index]
    assert aliased(config, CHALLENGER) is None
    assert [one["outcome"] for one in ledger.promotions()] == ["refused", "refused", "forced", "promoted"]
    assert ledger.promotions()[-1]["evidence"]["challenger"] == str(five)
    runs = store.find("`kestrel.kind`", "promotion")
    assert [run.data.tags["kestrel.outcome"] for run in runs] == ["promoted", "forced", "refused", "refused"]
    assert len(store.client.get_metric_history(runs[0].info.run_id, "ahead")) >= 39


def test_evidence_is_of_sessions_that_chose_neither_net_of_costs(office: Path, office_in: OfficeIn) -> None:
    lake, config = open_lake(office / "lake"), office_in(office)
    ridge, five = contenders(office)
    dates = fresh(lake, ridge, five)
    ends = [fold["valid"][1] for fold in read_json(ridge.training / "folds.json")]
    assert str(dates[0]) > max(ends)
    same = weighed(lake, config, ridge, ridge, dates, level=0.9, block=20)
    assert (same.gain.mean, same.gain.low, same.gain.high, same.rank_ic.mean) == (0, 0, 0, 0)
    found = weighed(lake, config, ridge, five, dates, level=0.9, block=20)
    dear = office_in(office, backtest__costs={**config.model_dump(mode="json")["backtest"]["costs"], "slippage": 0.01})
    costly = weighed(lake, dear, ridge, five, dates, level=0.9, block=20)
    assert found.gain.low < found.gain.mean < found.gain.high
    assert costly.accounts["challenger"]["excess_geometric"] < found.accounts["challenger"]["excess_geometric"]
    assert costly.gain != found.gain
    assert costly.rank_ic == found.rank_ic
    assert found.gain.mean == pytest.approx(243 * np.mean(found.gap_D))


def test_the_next_challenger_on_the_same_dates_must_be_surer(office: Path, office_in: OfficeIn, monkeypatch: pytest.MonkeyPatch) -> None:
    levels = []

    def noted(*values: Any, level: float, block: int) -> Evidence:
        levels.append(level)
        return weighed(*values, level=level, block=block)

    monkeypatch.setattr(module, "weighed", noted)
    lake, config = open_lake(office / "lake"), office_in(office, promotion__sessions=40, promotion__gain=9.0)
    promote(lake, config, "latest/five_factors")
    for _ in range(2):
        with pytest.raises(KestrelError):
            promote(lake, config, "latest/ridge")
    ridge, _ = contenders(office)
    dates = fresh(lake, ridge, ridge)
    Ledger(office / "runs" / "ledger.db").promote("another", "five_factors", dates[0], dates[-1], "refused", {})
    with pytest.raises(KestrelError, match="try 2 of these dates"):
        promote(lake, config, "latest/ridge")
    assert levels == [0.9, 0.9, 0.95]


def test_the_command_refuses_with_one_message(office: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(office)
    assert CliRunner().invoke(main, ["promote", "latest/five_factors"]).exit_code == 0
    found = CliRunner().invoke(main, ["--set", "promotion.sessions=900", "promote", "latest/ridge"])
    assert found.exit_code == 1
    assert found.output.startswith("error: train-")
    assert "Traceback" not in found.output


def test_luck_passes_about_as_often_as_the_config_says() -> None:
    rng, bare, wide = np.random.default_rng(1), 0, 0
    for seed in range(200):  # challengers worth as much as the champion, six blocks of days with fat tails
        gap_D = 0.003 * rng.standard_t(5, size=120)
        found = difference(gap_D, np.zeros(120), level=0.9, draws=500, seed=seed)
        bare, wide = bare + (found.low > 0), wide + (widened(found, 6.0, 0.9).low > 0)
    assert bare > 1.3 * 0.05 * 200
    assert 0.02 * 200 < wide < 1.3 * 0.05 * 200


def test_many_blocks_leave_an_interval_nearly_as_it_is() -> None:
    found = widened(Interval(1.0, 0.0, 3.0), 1000.0, 0.9)
    assert (found.mean, found.low, found.high) == pytest.approx((1.0, 0.0, 3.0), abs=0.01)
