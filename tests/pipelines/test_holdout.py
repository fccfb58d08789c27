"""Sessions that are held out are seen by nothing that evaluates, until they are opened, once for a family of models."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from data.errors import KestrelError
from data.lake import open_lake
from pipelines.cli import main
from pipelines.config import Config
from pipelines.contrast import contrast
from pipelines.diary import log_backtest
from pipelines.evaluate import evaluate
from pipelines.holdout import HoldoutSettings, Sealed, seen
from pipelines.ledger import Ledger
from pipelines.opening import family, open_holdout
from pipelines.promote import promote
from pipelines.report import report
from pipelines.reproduce import reproduce
from pipelines.runs import latest, read_json
from pipelines.sweep import run_sweep
from pipelines.trade import backtest, trained_scores
from pipelines.train import train

OfficeIn = Callable[..., Config]
BEGIN = date(2026, 2, 2)


def sealed_in(office_in: OfficeIn, office: Path) -> Config:
    return office_in(office, holdout={"begin": BEGIN.isoformat()}, sweep={"k": [5, 10], "buffer": [20], "every": [5]})


def test_a_sealed_lake_ends_before_the_holdout_and_stays_sealed(prepared: Path) -> None:
    lake = seen(open_lake(prepared / "lake"), HoldoutSettings(begin=BEGIN))
    for name in ("bars", "factors", "members", "index_bars"):
        assert lake.pin().read(name)["date"].max() < BEGIN  # type: ignore[operator]
    assert lake.read("calendar")["date"].max() > BEGIN  # type: ignore[operator]
    assert isinstance(lake.at(datetime.now(UTC)), Sealed)
    assert seen(lake, HoldoutSettings(begin=date(2026, 3, 2))) is lake
    assert type(seen(open_lake(prepared / "lake"), HoldoutSettings())) is type(open_lake(prepared / "lake"))


def test_a_holdout_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValidationError, match="Name a begin"):
        HoldoutSettings(begin=BEGIN, end=date(2026, 1, 1))
    with pytest.raises(ValidationError, match="Name a begin"):
        HoldoutSettings(end=BEGIN)


def test_families_are_what_one_module_makes() -> None:
    assert {family(name) for name in ("lightgbm", "lambdarank")} == {"trees"}
    assert {family(name) for name in ("ranker", "gru", "mlp")} == {"ranker"}
    assert family("own.module:Name") == "own.module:Name"


def test_no_command_shows_a_figure_of_a_closed_holdout(office: Path, office_in: OfficeIn, capsys: pytest.CaptureFixture[str]) -> None:
    lake, config = open_lake(office / "lake"), sealed_in(office_in, office)
    earlier = latest(office / "runs", "train")  # made before the holdout was named: its scores reach into it
    open_config = office_in(office)
    accounts, _ = backtest(lake, open_config, trained_scores(office / "runs"))
    log_backtest(accounts, open_config, trained_scores(office / "runs"))
    assert read_json(accounts / "results.json")["span"][1] > BEGIN.isoformat()

    cut, _ = backtest(lake, config, trained_scores(office / "runs"))  # of the earlier training's scores
    assert cut != accounts
    assert read_json(cut / "results.json")["span"][1] < BEGIN.isoformat()
    for names in ((accounts.name, cut.name), (earlier.name, accounts.name)):
        found = contrast(config, *(f"{name}/ridge" for name in names))
        assert found.span[1] < BEGIN
        assert found.correlations is not None
        assert found.correlations["date"].max() < date(2026, 1, 27)  # type: ignore[operator]  # labels read six sessions ahead
    report(lake, config, accounts.name)
    numbers = json.loads((accounts / "ridge" / "report.json").read_text(encoding="utf-8"))
    assert numbers["series"]["date"][-1] < BEGIN.isoformat()
    swept, _ = run_sweep(lake, config, trained_scores(office / "runs"), model="ridge")
    assert read_json(swept / "results.json")["span"][1] < BEGIN.isoformat()
    judged = evaluate(lake, config, ["reversal_20"])
    assert json.loads(judged.page.with_suffix(".json").read_text(encoding="utf-8"))["date"][-1] < BEGIN.isoformat()

    folder, _ = train(lake, config)
    assert folder != earlier
    assert pl.read_parquet(folder / "daily.parquet")["date"].max() < BEGIN  # type: ignore[operator]


def test_no_evidence_comes_from_a_closed_holdout(office: Path, office_in: OfficeIn) -> None:
    lake, config = open_lake(office / "lake"), sealed_in(office_in, office)
    promote(lake, config, "latest/five_factors")
    with pytest.raises(KestrelError, match=r"holdout\.begin hides those from 2026-02-02 on"):
        promote(lake, config, "latest/ridge")


def test_a_family_opens_once_and_the_opening_is_recorded(office: Path, office_in: OfficeIn, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, config = open_lake(office / "lake"), sealed_in(office_in, office)
    with pytest.raises(KestrelError, match="names no holdout"):
        open_holdout(lake, office_in(office), "ridge")
    developed, _ = train(lake, config)
    with pytest.raises(KestrelError, match=r"no model of a family 'ranker'. It has: classics, ridge"):
        open_holdout(lake, config, "ranker")
    assert Ledger(office / "runs" / "ledger.db").openings() == []

    found = open_holdout(lake, config, "ridge", developed.name)
    assert {row["model"] for row in found.rows} == {"ridge"}
    assert next(row for row in found.rows if row["dates"] == "holdout")["sessions"] > 20
    assert read_json(found.accounts / "results.json")["span"][1] > BEGIN.isoformat()
    (opening,) = Ledger(office / "runs" / "ledger.db").openings()
    assert (opening.family, opening.first, opening.last, opening.run) == ("ridge", BEGIN, None, found.training.name)
    assert read_json(found.training / "holdout.json")["of"] == developed.name
    assert contrast(config, found.accounts.name, found.training.name).span[1] > BEGIN
    assert open_holdout(lake, config, "ridge", developed.name).training == found.training  # goes on where it was
    _, rows = reproduce(config, found.accounts.name)
    assert all(row["equal"] for row in rows)

    raw = config.model_dump(mode="json")
    raw["walk"]["every"] = 3
    again, _ = train(lake, Config.model_validate_json(json.dumps(raw, default=str)))
    with pytest.raises(KestrelError, match=f"was opened for the family 'ridge' on {opening.at[:10]} by {found.training.name}, and opens once"):
        open_holdout(lake, config, "ridge", again.name)
    monkeypatch.chdir(office)
    told = CliRunner().invoke(main, ["holdout", "--json"])
    assert [row["family"] for row in json.loads(told.stdout)] == ["ridge"]
