"""A run that is made again from what it recorded comes out equal, whatever the lake has learnt since; a changed one is told apart."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from data.errors import KestrelError
from data.lake import open_lake
from models.registry import KINDS
from pipelines.cli import main
from pipelines.config import Config
from pipelines.equality import of_frames, of_values
from pipelines.fits import HOME
from pipelines.reproduce import REPRODUCED, reproduce, verdict
from pipelines.runs import read_json, write_frame
from pipelines.trade import backtest, trained_scores
from pipelines.train import train

ConfigIn = Callable[[Path], Config]
OfficeIn = Callable[..., Config]
SMALL = {"width": 16, "layers": 1, "epochs": 1, "lookback": 3}
TREES = {"leaves": 4, "rounds": 3, "leaf_rows": 50, "threads": 1}
SETTINGS = {
    **dict.fromkeys(("lightgbm", "lightgbm_rank", "lambdarank"), TREES),
    **dict.fromkeys(("ranker", "ranker_dense", "transformer", "gru"), SMALL),
    "ranker": {**SMALL, "experts": 2, "expert_width": 8},
    "ranker_dense": {**SMALL, "expert_width": 16},
    "mlp": {"width": 16, "layers": 1, "epochs": 1},
    "blend": {"members": ["ridge", "lightgbm_rank"]},
    "default": {"members": ["ridge", "lightgbm_rank"], "weights": "rank_ic"},
}


def small(config: Config, models: list[str]) -> Config:
    """The config with these models at their smallest, one fold, every eighth session."""
    raw = config.model_dump(mode="json")
    raw["train"]["models"] = models
    raw["model"] = {name: values for name, values in SETTINGS.items() if name in models or "default" in models}
    raw["walk"] |= {"refit_months": "never", "every": 8}
    return Config.model_validate_json(json.dumps(raw, default=str))


@pytest.mark.slow
def test_a_run_of_every_kind_of_model_comes_out_equal(desk: Path, config_in: ConfigIn) -> None:
    lake, config = open_lake(desk / "lake"), small(config_in(desk), list(KINDS))
    training, _ = train(lake, config)
    before = {path: path.stat().st_mtime_ns for path in (desk / "runs" / HOME).rglob("*")}
    folder, rows = reproduce(config, "latest")
    assert folder == training
    assert [row for row in rows if not row["equal"]] == []
    assert {f"scores of {name}" for name in KINDS} <= {row["what"] for row in rows}
    assert before == {path: path.stat().st_mtime_ns for path in (desk / "runs" / HOME).rglob("*")}


def test_a_lake_that_went_on_changes_nothing_of_a_run_of_the_past(office: Path, office_in: OfficeIn) -> None:
    lake, config = open_lake(office / "lake"), office_in(office)
    accounts, _ = backtest(lake, config, trained_scores(office / "runs"))
    bars = lake.read("bars")
    lake.write("bars", bars.with_columns(pl.col("volume") * 2).filter(pl.col("date") < bars["date"].max()))
    lake.write("factors", lake.read("factors").tail(100))
    folder, rows = reproduce(config, "train-")
    assert verdict(folder, rows).endswith(f"came out equal: {len(rows)} of {len(rows)} parts, to the bit.")
    folder, rows = reproduce(config, accounts.name)
    assert folder == accounts
    assert all(row["equal"] for row in rows), rows
    assert {"nav of ridge", "trades of five_factors", "positions of ridge", "results"} <= {row["what"] for row in rows}
    assert read_json(folder / REPRODUCED)["equal"] is True
    assert not list((office / "runs").glob(".again-*"))


def test_a_value_that_was_changed_is_named(office: Path, office_in: OfficeIn, monkeypatch: pytest.MonkeyPatch) -> None:
    config = office_in(office)
    (file,) = (office / "runs").glob("train-*/scores.parquet")
    scores = pl.read_parquet(file)
    spoilt = pl.when(pl.int_range(pl.len()) == 7).then(pl.col("score") + 1e-12).otherwise(pl.col("score"))
    write_frame(file, scores.with_columns(spoilt))
    _, rows = reproduce(config, "train-")
    (parted,) = [row for row in rows if not row["equal"]]
    assert parted["what"] == f"scores of {scores['model'][7]}"
    assert f"{scores['date'][7]} {scores['symbol'][7]} score: " in parted["first difference"]
    monkeypatch.chdir(office)
    found = CliRunner().invoke(main, ["--lake", str(office / "lake"), "reproduce", "train-", "--json"])
    assert found.exit_code == 1
    assert sum(not row["equal"] for row in json.loads(found.stdout)) == 1


def test_what_cannot_be_made_again_says_why(office: Path, office_in: OfficeIn, monkeypatch: pytest.MonkeyPatch) -> None:
    config = office_in(office)
    with pytest.raises(KestrelError, match="There is no finished run 'nowhere'"):
        reproduce(config, "nowhere")
    (training,) = (office / "runs").glob("train-*")
    monkeypatch.setattr("pipelines.build.code", lambda: "another")
    with pytest.raises(KestrelError, match="check out the code that made it"):
        reproduce(config, training.name)
    (training / "versions.json").unlink()
    with pytest.raises(KestrelError, match="before runs recorded the versions"):
        reproduce(config, training.name)


def test_nan_is_itself_and_a_signed_zero_is_not() -> None:
    frame = pl.DataFrame({"date": [1, 2], "x": [np.nan, 0.0]})
    assert of_frames("x", frame, frame.clone(), ["date"])["equal"]
    parted = of_frames("x", frame, pl.DataFrame({"date": [1, 2], "x": [np.nan, -0.0]}), ["date"])
    assert parted["first difference"].startswith("2 x: 0.0 became -0.0")
    assert of_values("x", {"a": float("nan")}, {"a": float("nan")})["equal"]
    assert of_values("x", {"a": 1.0}, {"a": 1})["first difference"] == "a: 1.0 became 1"
